package hclconfig

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
	"tp0/supervisor/config"
	"tp0/supervisor/fixture/needs"

	"tp0/supervisor/program"

	"golang.org/x/sys/unix"
)

// TestMinReady checks the default of min_ready, which depends on the ready block.
func TestMinReady(t *testing.T) {
	for _, tt := range []struct {
		body string
		want time.Duration
	}{
		{"", 0},
		{"ready { log = \"up\" }", config.DefaultMinReady},
		{"oneshot = true\nready { log = \"up\" }", 0},
		{"ready { log = \"up\" }\nrestart { min_ready = \"0s\" }", 0},
		{"ready { log = \"up\" }\nrestart { min_ready = \"10s\" }", 10 * time.Second},
		{"restart { min_ready = \"3s\" }", 3 * time.Second},
	} {
		_, opt := machine(t)
		c := good(t, "child \"a\" {\ncommand = \"server\"\n"+tt.body+"\n}\n", opt)
		if got := c.Instances()[0].Policy.MinReady; got != tt.want {
			t.Errorf("%q: got %v, want %v", tt.body, got, tt.want)
		}
	}
}

func pointer[T any](v T) *T { return &v }

func TestProcessAttributes(t *testing.T) {
	_, opt := machine(t)
	c := good(t, `
child "a" {
  count = 2
  command = "server"
  umask = "0027"
  nice = -5
  oom_score_adj = index * 100
  no_new_privs = true
  rlimits {
    nofile = { soft = 10, hard = "unlimited" }
    core = "unlimited"
    cpu = index
  }
}
`, opt)
	for i, instance := range c.Instances() {
		n := i + 1
		want := config.Attributes{
			Umask: pointer(0o027), Nice: pointer(-5), OOMScoreAdj: pointer(n * 100),
			NoNewPrivs: true,
			Limits: map[int]unix.Rlimit{
				unix.RLIMIT_NOFILE: {Cur: 10, Max: unix.RLIM_INFINITY},
				unix.RLIMIT_CORE:   {Cur: unix.RLIM_INFINITY, Max: unix.RLIM_INFINITY},
				unix.RLIMIT_CPU:    {Cur: uint64(n), Max: uint64(n)},
			},
		}
		if !reflect.DeepEqual(instance.Launch.Attributes, want) {
			t.Errorf("got  %+v\nwant %+v", instance.Launch.Attributes, want)
		}
	}
}

// TestIdentify checks that names are looked up in the files, and that numbers need no entry.
func TestIdentify(t *testing.T) {
	needs.Check(t, "root")
	d := &decoder{machineState: machineState{
		users: parseAccounts([]byte("root:x:0:0:root:/root:/bin/sh\n"+
			"ann:x:7:8:Ann,,,:/home/ann:/bin/sh\n+::::::\nshort:x:1\nodd:x:no:8::/:\n"+
			"500:x:9:9::/five:\n"), 6),
		groups: parseAccounts([]byte("root:x:0:\nmail:x:12:bob,ann\nann:x:8:\nwww:x:33:ann\n"+
			"odd:x:no:ann\n"), 4),
	}}
	login := func(name, home string) map[string]string {
		return map[string]string{"HOME": home, "USER": name, "LOGNAME": name}
	}
	ids := func(uid, gid uint32, groups ...uint32) identity {
		return identity{uid: &uid, gid: &gid, groups: groups}
	}
	with := func(id identity, login map[string]string) identity {
		id.login = login
		return id
	}
	for _, tt := range []struct {
		user, group string
		want        identity
	}{
		{"", "", identity{}},
		{"ann", "", with(ids(7, 8, 8, 12, 33), login("ann", "/home/ann"))},
		{"7", "", with(ids(7, 8, 8, 12, 33), login("ann", "/home/ann"))},
		{"ann", "mail", with(ids(7, 12, 12, 33), login("ann", "/home/ann"))},
		{"ann", "99", with(ids(7, 99, 12, 33, 99), login("ann", "/home/ann"))},
		{"65534", "", with(ids(65534, 65534, 65534), login("65534", "/"))},
		{"65534", "mail", with(ids(65534, 12, 12), login("65534", "/"))},
		// A name has precedence over a number.
		{"500", "", with(ids(9, 9, 9), login("500", "/five"))},
		{"", "www", identity{gid: pointer(uint32(33)), groups: []uint32{33}}},
	} {
		got, _, err := d.identify(tt.user, tt.group)
		if err != nil || !reflect.DeepEqual(got, tt.want) {
			t.Errorf("user %q, group %q: got %+v and the error %v, want %+v", tt.user, tt.group,
				got, err, tt.want)
		}
	}
	for _, tt := range [][3]string{
		{"odd", "", "user"}, {"short", "", "user"}, {"", "ngroup", "group"},
		{"", "odd", "group"}, {"x", "y", "user"},
	} {
		if _, attribute, err := d.identify(tt[0], tt[1]); err == nil || attribute != tt[2] {
			t.Errorf("user %q, group %q: got the error %v of %q, want one of %q", tt[0], tt[1],
				err, attribute, tt[2])
		}
	}
	// An image from scratch has no users and no groups.
	none := &decoder{machineState: machineState{users: accounts{}, groups: accounts{}}}
	if got, _, err := none.identify("0", "0"); err != nil || *got.uid != 0 || *got.gid != 0 {
		t.Errorf("got %+v and the error %v, want uid 0 and gid 0", got, err)
	}
}

func TestEnvironment(t *testing.T) {
	needs.Check(t, "root")
	dir, opt := machine(t)
	must(t, os.WriteFile(filepath.Join(dir, "a.env"),
		[]byte("\ufeff# words\n\nA=a\n  B=\"q\" # no comment\r\nEMPTY\nUNSET\nC=x=y"), 0o644))
	must(t, os.WriteFile(filepath.Join(dir, "b.env"), []byte("A=later\nHOME=/b\n"), 0o644))
	path := "PATH=" + filepath.Join(dir, "bin")
	for lines, want := range map[string][]string{
		`env_file = "a.env"`: {"A=a", `B="q" # no comment`, "C=x=y",
			"EMPTY=", "HOME=/root", path},
		`env_file = ["a.env", "./b.env"]`: {"A=later", `B="q" # no comment`, "C=x=y",
			"EMPTY=", "HOME=/b", path},
		"env_file = \"a.env\"\nenv = { A = \"x\" }": {"A=x", `B="q" # no comment`, "C=x=y",
			"EMPTY=", "HOME=/root", path},
		"user = \"65534\"\nenv = { USER = \"me\" }": {"EMPTY=", "HOME=", "LOGNAME=", path,
			"USER=me"},
		"user = 4242424242\nenv_file = \"b.env\"": {"A=later", "EMPTY=", "HOME=/b",
			"LOGNAME=4242424242", path, "USER=4242424242"},
	} {
		c, err := Parse([]byte("child \"a\" {\ncommand = \"server\"\n"+lines+"\n}\n"),
			filepath.Join(dir, "supervisor.hcl"), opt)
		must(t, err)
		got := c.Instances()[0].Launch.Env
		// A wanted variable without a value stands for any value.
		equal := func(g, w string) bool {
			return g == w || strings.HasSuffix(w, "=") && strings.HasPrefix(g, w)
		}
		if !slices.EqualFunc(got, want, equal) {
			t.Errorf("%s:\ngot  %q\nwant %q", lines, got, want)
		}
	}
	src := "child \"a\" {\ncount = 2\ncommand = \"/bin/sh\"\nenv_clear = index == 1\n" +
		"env = { ID = index }\n}\n"
	c := good(t, src, opt)
	for i, want := range [][]string{
		{"ID=1", "PATH=" + program.DefaultPath},
		{"EMPTY=", "HOME=/root", "ID=2", path},
	} {
		if got := c.Instances()[i].Launch.Env; !slices.Equal(got, want) {
			t.Errorf("instance %d: got %q, want %q", i+1, got, want)
		}
	}
}

// TestAfterOneshot checks that files that a oneshot can make are not required when a child depends
// on it, directly or not, and that they are required otherwise.
func TestAfterOneshot(t *testing.T) {
	const missing = `
  command    = "/none/app"
  cwd        = "/none"
  env_file   = "/none/env"
  env        = { FIXED = "1" }
  ready { exec = ["/none/probe"] }
  check "c" { exec = ["none"] }
  logs { stdout = "/none/log" }
`
	const (
		oneshot = "command = \"true\"\noneshot = true"
		started = `depends_on = [{ child = "one", until = "started" }]`
	)
	for name, c := range map[string]struct {
		before, more string
		only         []string
		faults       int
	}{
		"a oneshot":           {oneshot, `depends_on = ["one"]`, nil, 0},
		"a started oneshot":   {oneshot, started, nil, 0},
		"a child between":     {oneshot, `depends_on = ["between"]`, nil, 0},
		"no oneshot":          {`command = "true"`, `depends_on = ["one"]`, nil, 2},
		"no dependency":       {oneshot, ``, nil, 2},
		"a disabled oneshot":  {oneshot + "\ndisabled = true", `depends_on = ["one"]`, nil, 2},
		"an excluded oneshot": {oneshot, `depends_on = ["one"]`, []string{"app"}, 2},
	} {
		src := "child \"one\" {\n" + c.before + "\n}\n" +
			"child \"between\" {\n  command = \"sleep\"\n  depends_on = [\"one\"]\n}\n" +
			"child \"app\" {" + missing + c.more + "\n}\n"
		opt := Options{Environ: []string{"PATH=/bin"}, Only: c.only}
		cfg, err := Parse([]byte(src), "s.hcl", opt)
		var faults *Faults
		if errors.As(err, &faults) && faults.Len() == c.faults {
			continue
		}
		if err != nil || c.faults > 0 {
			t.Errorf("%s: got %v, want %d faults", name, err, c.faults)
			continue
		}
		l := cfg.Child("app").Instances[0].Launch
		if l.Path != "" || l.Ready.ExecPath != "" || l.Dir != "/none" ||
			!slices.Equal(l.LateEnv.Paths, []string{"/none/env"}) ||
			!slices.Equal(l.LateEnv.Fixed, []string{"FIXED"}) {
			t.Errorf("%s: got %+v", name, l)
		}
	}
}

// TestOwnVariables checks that children do not get the variables that are for the supervisor.
func TestOwnVariables(t *testing.T) {
	const src = "variable \"secret\" {}\nchild \"a\" {\n  command = \"/bin/true\"\n}\n"
	cfg, err := Parse([]byte(src), "s.hcl", Options{Environ: []string{
		"A=a", "LISTEN_FDS=1", "SUPERVISOR_CONFIG=x", "SUPERVISOR_SOCKET=/s",
		"SUPERVISOR_VAR_secret=s", "SUPERVISOR_VAR_other=o",
	}})
	if err != nil {
		t.Fatal(err)
	}
	got := cfg.Children[0].Instances[0].Launch.Env
	if want := []string{"A=a", "SUPERVISOR_CONFIG=x"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}
