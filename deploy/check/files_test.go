package check

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/hcl/v2/hclparse"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	batch "k8s.io/api/batch/v1"
	core "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"

	apps "k8s.io/api/apps/v1"

	hclconfig "tp0/supervisor/config/hcl"
)

const root = "../.."

var update = flag.Bool("update", false, "write the table and the picture of docs/graceful-end.md")

func read(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(root, path))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// times are the stop times of a program in an engine, from the innermost to the outermost.
type times struct {
	engine, file, child string
	drain               time.Duration // of the program, to finish requests
	kill                time.Duration // kill_timeout of the child
	deadline            time.Duration // of the supervisor
	before              time.Duration // part of grace that passes before the signal
	grace               time.Duration // from the start of the stop to SIGKILL by the engine
}

// nests returns which time is not within the next one, or "".
func (n times) nests() string {
	switch {
	case n.drain >= n.kill:
		return fmt.Sprintf("%s drains for up to %v, but its kill_timeout is %v", n.child,
			n.drain, n.kill)
	case n.kill >= n.deadline:
		return fmt.Sprintf("%s has a kill_timeout of %v, but the deadline is %v", n.child,
			n.kill, n.deadline)
	case n.before+n.deadline >= n.grace:
		return fmt.Sprintf("the supervisor needs up to %v, including %v before the signal, "+
			"but the engine kills it after %v", n.before+n.deadline, n.before, n.grace)
	}
	return ""
}

// drains has the variable of each program that sets its drain timeout, and the default.
var drains = map[string]struct {
	name  string
	other time.Duration // default
}{"server": {"SERVER_DRAIN_TIMEOUT", 3 * time.Second}, "client": {"CLI_DRAIN_TIMEOUT", time.Second}}

// configured returns the times of the children in a configuration of the supervisor.
func configured(t *testing.T, engine, file string, hcl []byte, grace, before time.Duration,
	only ...string) (all []times) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "supervisor.hcl")
	if err := os.WriteFile(path, hcl, 0o600); err != nil {
		t.Fatal(err)
	}
	bin, err := filepath.Abs(filepath.Join(root, "bin"))
	if err != nil {
		t.Fatal(err)
	}
	cfg, err := hclconfig.Load(path,
		hclconfig.Options{Environ: []string{"PATH=" + bin}, Only: only})
	if err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	for _, c := range cfg.Children {
		for _, i := range c.Instances {
			d, ok := drains[i.Launch.Command]
			if !ok {
				t.Fatalf("%s: %s runs %s, whose drain timeout is not in drains", file, i.Name,
					i.Launch.Command)
			}
			n := times{engine, file, i.Name, d.other, i.Policy.KillTimeout, cfg.Shutdown.Deadline,
				before, grace}
			for _, entry := range i.Launch.Env {
				if value, ok := strings.CutPrefix(entry, d.name+"="); ok {
					n.drain = duration(t, value)
				}
			}
			all = append(all, n)
		}
	}
	return all
}

func duration(t *testing.T, text string) time.Duration {
	t.Helper()
	d, err := time.ParseDuration(text)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// composeFile has the checked attributes of a compose file or a stack of Swarm.
type composeFile struct {
	Services map[string]struct {
		Command []string `json:"command"`
		Grace   string   `json:"stop_grace_period"`
		Signal  string   `json:"stop_signal"`
		Deploy  struct {
			Mode string `json:"endpoint_mode"`
		} `json:"deploy"`
	} `json:"services"`
}

func compose(t *testing.T, engine, file, hcl string) (all []times) {
	t.Helper()
	var c composeFile
	if err := yaml.Unmarshal(read(t, file), &c); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	for name, s := range c.Services {
		if s.Grace == "" {
			t.Fatalf("%s: %s has no stop_grace_period", file, name)
		}
		if s.Signal != "" && s.Signal != "SIGTERM" {
			t.Errorf("%s: %s has stop_signal %s, want SIGTERM", file, name, s.Signal)
		}
		var only []string
		for i, word := range s.Command {
			if word == "--only" {
				only = s.Command[i+1 : i+2]
			}
		}
		all = append(all, configured(t, engine, file+", "+name, read(t, hcl), duration(t, s.Grace),
			0, only...)...)
	}
	return all
}

// objects returns the objects of a kind that kustomize builds, decoded into the types of the API.
// An unknown field is an error.
func objects[T any](t *testing.T, kind string) (all []T) {
	t.Helper()
	for _, r := range built(t) {
		if r.GetKind() != kind {
			continue
		}
		text, err := r.AsYAML()
		if err != nil {
			t.Fatal(err)
		}
		var object T
		if err := yaml.UnmarshalStrict(text, &object); err != nil {
			t.Errorf("%s %s: %v", kind, r.GetName(), err)
		}
		all = append(all, object)
	}
	if len(all) == 0 {
		t.Fatalf("got no %s, want one or more", kind)
	}
	return all
}

// pods returns the pod templates of the manifests by the name of their object.
func pods(t *testing.T) map[string]core.PodTemplateSpec {
	t.Helper()
	all := map[string]core.PodTemplateSpec{}
	for _, d := range objects[apps.Deployment](t, "Deployment") {
		all["deployment "+d.Name] = d.Spec.Template
	}
	for _, j := range objects[batch.Job](t, "Job") {
		all["job "+j.Name] = j.Spec.Template
	}
	return all
}

func kubernetes(t *testing.T) (all []times) {
	t.Helper()
	maps := objects[core.ConfigMap](t, "ConfigMap")
	for name, pod := range pods(t) {
		c := pod.Spec.Containers[0]
		file := filepath.Base(c.Args[len(c.Args)-1])
		text, ok := maps[0].Data[file]
		if !ok {
			t.Fatalf("%s runs with %s, which is not in the ConfigMap", name, file)
		}
		var before time.Duration // Kubernetes counts the sleep as part of the grace period
		if c.Lifecycle != nil && c.Lifecycle.PreStop != nil {
			before = time.Duration(c.Lifecycle.PreStop.Sleep.Seconds) * time.Second
		}
		grace := time.Duration(*pod.Spec.TerminationGracePeriodSeconds) * time.Second
		all = append(all, configured(t, "Kubernetes", "deploy/kubernetes, "+name, []byte(text),
			grace, before)...)
	}
	return all
}

func nomad(t *testing.T) (all []times) {
	t.Helper()
	task := func(attr string, b *hclsyntax.Body) string {
		t.Helper()
		v, diags := b.Attributes[attr].Expr.Value(nil)
		if diags.HasErrors() {
			t.Fatal(diags)
		}
		return v.AsString()
	}
	for _, b := range blocks(nomadFile(t), "job", "group", "task") {
		if got := task("kill_signal", b); got != "SIGTERM" {
			t.Errorf("deploy/nomad.hcl: got kill_signal %s, want SIGTERM", got)
		}
		grace := duration(t, task("kill_timeout", b))
		for _, template := range blocks(b, "template") {
			// shutdown_delay is not part of kill_timeout.
			all = append(all, configured(t, "Nomad", "deploy/nomad.hcl",
				[]byte(task("data", template)), grace, 0)...)
		}
	}
	return all
}

func nomadFile(t *testing.T) *hclsyntax.Body {
	t.Helper()
	f, diags := hclparse.NewParser().ParseHCL(read(t, "deploy/nomad.hcl"), "deploy/nomad.hcl")
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	return f.Body.(*hclsyntax.Body)
}

// blocks returns the blocks at a path of block types.
func blocks(b *hclsyntax.Body, path ...string) (all []*hclsyntax.Body) {
	if len(path) == 0 {
		return []*hclsyntax.Body{b}
	}
	for _, inner := range b.Blocks {
		if inner.Type == path[0] {
			all = append(all, blocks(inner.Body, path[1:]...)...)
		}
	}
	return all
}

// unit returns the keys of the systemd unit. The last value of a repeated key counts.
func unit(t *testing.T) map[string]string {
	t.Helper()
	keys := map[string]string{}
	for line := range strings.Lines(string(read(t, "deploy/systemd/supervisor.service"))) {
		if key, value, ok := strings.Cut(strings.TrimSpace(line), "="); ok &&
			!strings.HasPrefix(key, "#") {
			keys[key] = value
		}
	}
	return keys
}

func systemd(t *testing.T) []times {
	t.Helper()
	u := unit(t)
	if u["KillMode"] != "mixed" || u["Type"] != "notify" {
		t.Errorf("got KillMode %s and Type %s, want mixed and notify", u["KillMode"], u["Type"])
	}
	return configured(t, "systemd", "deploy/systemd/supervisor.service", read(t, "supervisor.hcl"),
		duration(t, u["TimeoutStopSec"]), 0)
}
