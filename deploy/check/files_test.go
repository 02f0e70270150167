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

var update = flag.Bool("update", false, "write the table of docs/graceful-end.md anew")

func read(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(root, path))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// times are those of one engine and one program, from the inside out.
type times struct {
	engine, file, child string
	drain               time.Duration // of the program
	kill                time.Duration // of the child
	deadline            time.Duration
	before              time.Duration // what the engine takes out of its grace before the signal
	grace               time.Duration
}

// nests says which of the nestings is broken; empty: none.
func (n times) nests() string {
	switch {
	case n.drain >= n.kill:
		return fmt.Sprintf("%s drains for %v, and is killed after %v", n.child, n.drain, n.kill)
	case n.kill >= n.deadline:
		return fmt.Sprintf("%s has %v, and all of it only %v", n.child, n.kill, n.deadline)
	case n.before+n.deadline >= n.grace:
		return fmt.Sprintf("the supervisor needs up to %v, %v before it gets the signal "+
			"included, and the engine kills it after %v", n.before+n.deadline, n.before, n.grace)
	}
	return ""
}

// drains is what each program waits for at most, and by which variable.
var drains = map[string]struct {
	name  string
	other time.Duration // without it
}{"server": {"SERVER_DRAIN_TIMEOUT", 3 * time.Second}, "client": {"CLI_DRAIN_TIMEOUT", time.Second}}

// configured reads a configuration of the supervisor with its own reader.
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
	cfg, err := hclconfig.Load(path, hclconfig.Options{Environ: []string{"PATH=" + bin}, Only: only})
	if err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	for _, c := range cfg.Children {
		for _, i := range c.Instances {
			d, ok := drains[i.Launch.Command]
			if !ok {
				t.Fatalf("%s: %s runs %s: how long does that drain?", file, i.Name,
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

// composeFile is what we look at of one, and of a stack of Swarm.
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
			t.Errorf("%s: %s is stopped by %s", file, name, s.Signal)
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

// objects are what kustomize makes of the directory, in the types of their API.
// A field that these do not have is a fault.
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
		t.Fatalf("no %s", kind)
	}
	return all
}

// pods are all pods that the manifests ask for.
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
			t.Fatalf("%s is run with %s, which is in no ConfigMap", name, file)
		}
		var before time.Duration
		if c.Lifecycle != nil && c.Lifecycle.PreStop != nil {
			before = time.Duration(c.Lifecycle.PreStop.Sleep.Seconds) * time.Second // it counts
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
			t.Errorf("deploy/nomad.hcl: kill_signal is %s", got)
		}
		grace := duration(t, task("kill_timeout", b))
		for _, template := range blocks(b, "template") {
			// shutdown_delay comes on top
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

// blocks are those at a path of types.
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

// unit is the service's section of the unit: of a key that comes again the last.
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
		t.Errorf("KillMode is %s, Type is %s", u["KillMode"], u["Type"])
	}
	return configured(t, "systemd", "deploy/systemd/supervisor.service", read(t, "supervisor.hcl"),
		duration(t, u["TimeoutStopSec"]), 0)
}
