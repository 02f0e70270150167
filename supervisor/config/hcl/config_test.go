package hclconfig

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
	"tp0/supervisor/config"
	"tp0/supervisor/config/plan"
	"tp0/supervisor/event"
	"tp0/supervisor/findings"
	"tp0/supervisor/lifecycle"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// machine returns a new directory with programs in bin, and options whose PATH is bin.
func machine(t testing.TB) (dir string, opt Options) {
	t.Helper()
	dir = t.TempDir()
	must(t, os.MkdirAll(filepath.Join(dir, "bin", "sub"), 0o755))
	for _, name := range []string{"server", "client"} {
		must(t, os.WriteFile(filepath.Join(dir, "bin", name), []byte("#!/bin/sh\n"), 0o755))
	}
	must(t, os.WriteFile(filepath.Join(dir, "bin", "data"), nil, 0o644))
	return dir,
		Options{Environ: []string{"PATH=" + filepath.Join(dir, "bin"), "HOME=/root", "EMPTY="}}
}

// must fails the test if there is an error.
func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// good returns the configuration of a file without faults.
func good(t testing.TB, src string, opt Options) *config.Config {
	t.Helper()
	c, err := Parse([]byte(src), "supervisor.hcl", opt)
	var faults *Faults
	if errors.As(err, &faults) {
		var b bytes.Buffer
		must(t, faults.Write(&b, 0, false))
		t.Fatalf("faults:\n%s", b.String())
	}
	must(t, err)
	return c
}

const example = `
log_level  = "info"
log_format = "text"

shutdown {
  deadline = "9s"
  proof    = "exact"
  strict   = false
}

child "server" {
  command      = "server"
  env          = { SERVER_PORT = env("SERVER_PORT", "12345") }
  kill_signal  = "SIGTERM"
  kill_timeout = "5s"
  ready {
    tcp     = "127.0.0.1:12345"
    timeout = "5s"
  }
}

child "client" {
  count      = 2
  command    = "client"
  env        = { CLI_ID = index }
  depends_on = ["server"]
  restart {
    on       = "failure"
    attempts = 5
    interval = "1m"
    delay    = "200ms"
    max_delay = "30s"
  }
  on_success = "ignore"
  on_failure = "shutdown"
  logs {
    format = "text"
    stdout = "stdout"
    stderr = "stdout"
  }
}
`

func TestContractExample(t *testing.T) {
	dir, opt := machine(t)
	c := good(t, example, opt)
	wd, err := os.Getwd()
	must(t, err)
	base := []string{"EMPTY=", "HOME=/root", "PATH=" + filepath.Join(dir, "bin")}
	logs := config.Logs{Format: "text", Colors: "keep", Stdout: "stdout", Stderr: "stdout"}
	restart := config.Restart{On: "failure", Attempts: 5, Interval: time.Minute,
		Delay: 200 * time.Millisecond, MaxDelay: 30 * time.Second}
	policy := config.Policy{KillSignal: syscall.SIGTERM, KillTimeout: 5 * time.Second,
		KillHold: 250 * time.Millisecond, KillScope: lifecycle.ScopeGroup,
		Descendants: config.EndDescendants, SuccessCodes: []int{0}, Restart: restart,
		Hooks:       defaultHooks,
		MaxParallel: 1, OnSuccess: config.Ignore, OnFailure: config.ShutDown,
		Logs: config.LogPolicy{
			Retain: config.DefaultRetain, Rotate: config.Rotate{Keep: 5},
		},
		DefaultOnFailure: true}
	server := policy
	server.MinReady = 2 * time.Second
	shared := policy
	shared.KillTimeout, shared.SharedTimeout = 3550*time.Millisecond, true
	shared.DefaultOnFailure = false
	client := func(i int) *config.Instance {
		return &config.Instance{
			Name: fmt.Sprintf("client%d", i), Child: "client", Index: i,
			Launch: config.Launch{
				Command: "client", Path: filepath.Join(dir, "bin", "client"),
				Env:  append([]string{fmt.Sprintf("CLI_ID=%d", i)}, base...),
				Logs: logs,
			},
			Policy: shared,
		}
	}
	want := &config.Config{
		Path: filepath.Join(wd, "supervisor.hcl"),
		Log:  defaultConfig().Log,
		Shutdown: config.Shutdown{Deadline: 9 * time.Second, Reserve: 450 * time.Millisecond,
			Proof: event.ProofExact, Findings: findings.Policy{Level: findings.Data}},
		Children: []*config.Child{
			{Name: "server", Instances: []*config.Instance{{
				Name: "server", Child: "server", Index: 1,
				Launch: config.Launch{
					Command: "server", Path: filepath.Join(dir, "bin", "server"),
					Env: append(slices.Clone(base), "SERVER_PORT=12345"),
					Ready: &config.Ready{Probe: config.Probe{TCP: "127.0.0.1:12345"},
						Timeout: 5 * time.Second},
					Logs: logs,
				},
				Policy: server,
			}}},
			{Name: "client",
				DependsOn: []config.Dependency{{Child: "server", Until: config.UntilReady}},
				Instances: []*config.Instance{client(1), client(2)}},
		},
	}
	if !reflect.DeepEqual(c, want) {
		t.Errorf("got  %s\nwant %s", dump(c), dump(want))
	}
}

// defaultHooks are the hooks of a child without a hooks block.
var defaultHooks = config.Hooks{
	Timeout: 10 * time.Second, StopTimeout: 10 * time.Second, SharedTimeout: true,
}

func TestChild(t *testing.T) {
	_, opt := machine(t)
	c := good(t, example, opt)
	if got := c.Child("client"); got != c.Children[1] {
		t.Errorf("Child(client): got %v, want %v", got, c.Children[1])
	}
	if got := c.Child("nobody"); got != nil {
		t.Errorf("Child(nobody): got %v, want nil", got)
	}
}

// dump returns a configuration and its instances as text.
func dump(c *config.Config) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%+v\n", *c)
	for _, i := range c.Instances() {
		fmt.Fprintf(&b, "  %+v %+v\n", *i, i.Launch.Ready)
	}
	return b.String()
}

// TestDefaults checks that a file without attributes means the same as one with all defaults.
func TestDefaults(t *testing.T) {
	_, opt := machine(t)
	short := good(t, `child "a" { command = "server" }`, opt)
	long := good(t, `
log_level = "info"
log_format = "text"
shutdown {
  deadline = "9s"
  proof = "exact"
  strict = false
}
child "a" {
  command = "server"
  args = []
  env = {}
  depends_on = []
  kill_signal = "SIGTERM"
  kill_timeout = "8.55s"
  on_success = "ignore"
  on_failure = "shutdown"
  restart {
    on = "failure"
    attempts = 5
    interval = "1m"
    delay = "200ms"
    max_delay = "30s"
  }
  logs {
    format = "text"
    stdout = "stdout"
    stderr = "stdout"
  }
}`, opt)
	// These two tell that the file has no value.
	long.Instances()[0].Policy.SharedTimeout = true
	long.Instances()[0].Policy.DefaultOnFailure = true
	if !reflect.DeepEqual(short, long) {
		t.Errorf("short %s\nlong %s", dump(short), dump(long))
	}
	withReady := good(t, `child "a" {
  command = "server"
  ready { 
    tcp = ":1" 
  }
}`, opt)
	if got := *withReady.Instances()[0].Launch.Ready; !reflect.DeepEqual(got,
		config.Ready{Probe: config.Probe{TCP: ":1"}, Timeout: 5 * time.Second}) {
		t.Errorf("ready: got %+v, want the address :1 and a timeout of 5 s", got)
	}
}

// valueCase is a line in a child block, and the value that it sets.
type valueCase struct {
	body string
	of   func(*config.Instance) any
	want any
}

// policyValues are values of a policy and of a name.
var policyValues = map[string]valueCase{
	"signal without SIG": {`kill_signal = "int"`,
		func(i *config.Instance) any { return i.Policy.KillSignal }, syscall.SIGINT},
	"signal in lower case": {`kill_signal = "sigquit"`,
		func(i *config.Instance) any { return i.Policy.KillSignal }, syscall.SIGQUIT},
	"signal KILL": {`kill_signal = "KILL"`,
		func(i *config.Instance) any { return i.Policy.KillSignal }, syscall.SIGKILL},
	"signal above RTMIN": {`kill_signal = "SIGRTMIN+3"`,
		func(i *config.Instance) any { return i.Policy.KillSignal }, syscall.Signal(37)},
	"signal below RTMAX": {`kill_signal = "RTMAX-1"`,
		func(i *config.Instance) any { return i.Policy.KillSignal }, syscall.Signal(63)},
	"zero attempts": {"restart {\n attempts = 0\n}",
		func(i *config.Instance) any { return i.Policy.Restart.Attempts }, 0},
	"zero delay": {"restart {\n delay = \"0s\"\n}",
		func(i *config.Instance) any { return i.Policy.Restart.Delay }, time.Duration(0)},
	"per instance timeout": {`kill_timeout = "${index}s"`,
		func(i *config.Instance) any { return i.Policy.KillTimeout }, time.Second},
	"reload signal": {`reload_signal = "winch"`,
		func(i *config.Instance) any { return i.Policy.ReloadSignal }, syscall.SIGWINCH},
	"watch_fds": {`watch_fds = "90s"`,
		func(i *config.Instance) any { return i.Policy.WatchFDs }, 90 * time.Second},
	"critical by index": {`critical = index == 1`,
		func(i *config.Instance) any { return i.Policy.Critical }, true},
	"count 1": {`count = 1`, func(i *config.Instance) any { return i.Name },
		"a1"},
	"count as a string": {`count = "1"`, func(i *config.Instance) any { return i.Name },
		"a1"},
}

func TestPolicyValues(t *testing.T) {
	_, opt := machine(t)
	for name, test := range policyValues {
		t.Run(name, func(t *testing.T) { testValue(t, test, opt) })
	}
}

func TestLaunchValues(t *testing.T) {
	dir, opt := machine(t)
	sub := filepath.Join(dir, "bin", "sub")
	bin := filepath.Join(dir, "bin")
	opt.Environ = append(opt.Environ, "PORT=7000", "HOME=/twice")
	path := "..:"
	if os.Geteuid() == 0 {
		path += bin // root ignores relative entries
	}
	for name, test := range map[string]valueCase{
		"args of several types": {`args = ["a", 1, true, "${index}"]`,
			func(i *config.Instance) any { return i.Launch.Args }, []string{"a", "1", "true", "1"}},
		"index without count": {`args = [index]`,
			func(i *config.Instance) any { return i.Launch.Args }, []string{"1"}},
		"arithmetic": {`args = [env("PORT") + index]`,
			func(i *config.Instance) any { return i.Launch.Args }, []string{"7001"}},
		"for": {`args = [for x in ["a", "b"] : "-${x}"]`,
			func(i *config.Instance) any { return i.Launch.Args }, []string{"-a", "-b"}},
		"env over the environment": {`env = { HOME = "/h", "N" = 5, B = false }`,
			func(i *config.Instance) any { return i.Launch.Env },
			[]string{"B=false", "EMPTY=", "HOME=/h", "N=5", "PATH=" + bin, "PORT=7000"}},
		"last of two equal variables": {``, func(i *config.Instance) any { return i.Launch.Env },
			[]string{"EMPTY=", "HOME=/twice", "PATH=" + bin, "PORT=7000"}},
		"env set wins over default": {`args = [env("PORT", 1), env("EMPTY", "x"), env("NOT", "d")]`,
			func(i *config.Instance) any { return i.Launch.Args }, []string{"7000", "", "d"}},
		"cwd and a relative path": {`cwd = "` + sub + `"` + "\n" + `command = "../client"`,
			func(i *config.Instance) any { return [2]string{i.Launch.Dir, i.Launch.Path} },
			[2]string{sub, filepath.Join(bin, "client")}},
		"PATH relative to cwd": {`cwd = "` + sub + `"` + "\n" + `env = { PATH = "` + path + `" }`,
			func(i *config.Instance) any { return i.Launch.Path }, filepath.Join(bin, "server")},
		"log file relative to cwd": {
			`cwd = "` + sub + `"` + "\nlogs {\n stdout = \"./x.log\"\n stderr = \"none\"\n}",
			func(i *config.Instance) any { return i.Launch.Logs },
			config.Logs{
				Format: "text", Colors: "keep", Stdout: filepath.Join(sub, "x.log"), Stderr: "none",
			}},
		"inherit none": {"logs {\n format = \"inherit\"\n stderr = \"none\"\n}",
			func(i *config.Instance) any { return i.Launch.Logs },
			config.Logs{Format: "inherit", Colors: "keep", Stdout: "stdout", Stderr: "none"}},
		"IPv6 address": {"ready {\n tcp = \"[fe80::1%eth0]:80\"\n}",
			func(i *config.Instance) any { return i.Launch.Ready.TCP }, "[fe80::1%eth0]:80"},
	} {
		t.Run(name, func(t *testing.T) { testValue(t, test, opt) })
	}
}

// testValue reads the line with both line endings, after a byte order mark.
func testValue(t *testing.T, test valueCase, opt Options) {
	body := test.body
	if !strings.Contains(body, "command") {
		body += "\ncommand = \"server\""
	}
	for _, ending := range []string{"\n", "\r\n"} {
		src := "\ufeff" + strings.ReplaceAll("child \"a\" {\n"+body+"\n}\n", "\n", ending)
		c := good(t, src, opt)
		if got := test.of(c.Instances()[0]); !reflect.DeepEqual(got, test.want) {
			t.Errorf("got %v, want %v", got, test.want)
		}
	}
}

func TestCommandWithoutPath(t *testing.T) {
	c := good(t, `child "a" { command = "sh" }`, Options{})
	i := c.Instances()[0]
	if !strings.HasSuffix(i.Launch.Path, "/sh") || len(i.Launch.Env) != 0 {
		t.Errorf("got %+v, want a path that ends in /sh and no environment", i.Launch)
	}
}

func TestCountZero(t *testing.T) {
	_, opt := machine(t)
	c := good(t, `
child "a" {
  command = "server"
  count = 0
}
child "b" {
  command = "client"
  depends_on = ["a"]
}`, opt)
	if len(c.Children) != 2 || len(c.Children[0].Instances) != 0 || len(c.Instances()) != 1 {
		t.Errorf("got %s", dump(c))
	}
	if got := c.Instances()[0].Policy.KillTimeout; got != 8550*time.Millisecond {
		t.Errorf("kill_timeout: got %v, want 8.55s, as a child without instances has no share", got)
	}
}

func TestOnly(t *testing.T) {
	_, opt := machine(t)
	const src = `
child "db" { command = "server" }
child "server" {
  command = "server"
  count = 3
  depends_on = ["db"]
}
child "client" {
  command = "nowhere"
  env = { ID = env("UNSET") }
  cwd = "/not/there"
  kill_timeout = "1h"
  depends_on = ["server", "db"]
}`
	tests := map[string]struct {
		only []string
		want string
	}{
		"a child":     {[]string{"server"}, "server[]: server1 server2 server3"},
		"an instance": {[]string{"server2", "db"}, "db[]: db; server[db ready]: server2"},
		"an instance twice": {[]string{"server1", "server", "server1"},
			"server[]: server1 server2 server3"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			opt := opt
			opt.Only = test.only
			c := good(t, src, opt)
			var parts []string
			for _, child := range c.Children {
				part := fmt.Sprintf("%s%v:", child.Name, child.DependsOn)
				for _, i := range child.Instances {
					part += " " + i.Name
				}
				parts = append(parts, part)
			}
			if got := strings.Join(parts, "; "); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

// TestSharedValues checks that the instances of a child share values, to save memory.
func TestSharedValues(t *testing.T) {
	_, opt := machine(t)
	c := good(t, `child "a" {
  count = 2
  command = "server"
  args = ["x"]
  kill_timeout = "${index}s"
}`, opt)
	a, b := c.Instances()[0], c.Instances()[1]
	if &a.Launch.Args[0] != &b.Launch.Args[0] || &a.Launch.Env[0] != &b.Launch.Env[0] {
		t.Error("the instances have copies of values that do not use index, want shared values")
	}
	if a.Policy.KillTimeout == b.Policy.KillTimeout {
		t.Error("the instances share a value that uses index, want two values")
	}
}

func TestLoad(t *testing.T) {
	dir, opt := machine(t)
	path := filepath.Join(dir, "s.hcl")
	must(t, os.WriteFile(path, []byte(`child "a" { command = "server" }`), 0o600))
	c, err := Load(path, opt)
	must(t, err)
	if c.Path != path {
		t.Errorf("got the path %q, want %q", c.Path, path)
	}

	fifo, large := filepath.Join(dir, "fifo"), filepath.Join(dir, "large")
	must(t, syscall.Mkfifo(fifo, 0o600))
	must(t, os.WriteFile(large, bytes.Repeat([]byte("#\n"), maxFile/2+1), 0o600))
	for _, test := range []struct{ path, want string }{
		{dir, "not a regular file"},
		{fifo, "not a regular file"},
		{"/dev/zero", "not a regular file"},
		{large, "larger than 4 MiB"},
		{filepath.Join(dir, "none"), "no such file"},
	} {
		_, err := Load(test.path, opt)
		var faults *Faults
		if err == nil || errors.As(err, &faults) || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got the error %v, want %q", test.path, err, test.want)
		}
	}
}

func TestSchemaIsDocumentedAndCompared(t *testing.T) {
	names, childNames := plan.AttributeNames()
	walk(t, fileSchema(), "", func(path string) {
		if !slices.Contains(names, path) {
			t.Errorf("plan.Compare does not compare %s", path)
		}
	})
	names = append(childNames, "count", "disabled", "env_file",
		"env_clear") // Compare sees these in the instances and in env
	walk(t, childSchema(), "", func(path string) {
		if !slices.Contains(names, path) {
			t.Errorf("plan.Compare does not compare %s", path)
		}
	})
	walk(t, listenSchema(), "", func(string) {}) // Compare compares the whole list
}

// walk calls visit for each attribute of a block and of the blocks in it.
func walk[T any](t *testing.T, b *block[T], prefix string, visit func(path string)) {
	if b.doc == "" {
		t.Errorf("block %q has no documentation", b.name)
	}
	for _, a := range b.attributes {
		if a.doc == "" || a.get == nil {
			t.Errorf("attribute %s has no documentation or no value", a.name)
		}
		visit(prefix + a.name)
	}
	for i := range b.blocks {
		walk(t, &b.blocks[i], prefix+b.blocks[i].name+".", visit)
	}
}
