package acceptance

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestKilledChildIsRestartedWithBackoff(t *testing.T) {
	s := start(t, fixture("c", "sleep", "restart {\n    delay = \"10ms\"\n  }"))
	next, printed := 0, 0
	up := func() { // one that has no handler yet does not end well
		var err error
		if _, printed, err = s.output.from(printed, func(line string) bool { return line == "[c] ready" }); err != nil {
			t.Fatal(err)
		}
	}
	for attempt := 1; attempt <= 3; attempt++ {
		var e entry
		e, next = s.waitFrom(next, "child ready")
		up()
		if err := unix.Kill(e.int("pid"), unix.SIGKILL); err != nil {
			t.Fatal(err)
		}
		e, next = s.waitFrom(next, "child restarting", "child", "c", "attempt", attempt, "reason", "ended by SIGKILL")
		if least := 8 << (attempt - 1); e.int("delay_ms") < least {
			t.Errorf("attempt %d after %d ms, want %d at least", attempt, e.int("delay_ms"), least)
		}
	}
	s.waitFrom(next, "child ready")
	up()
	s.wait("child ended unexpectedly", "reason", "ended by SIGKILL")
	s.signal(unix.SIGTERM)
	if e := s.ends(0, "graceful"); e.int("spawned") != 4 || e.int("killed") != 0 {
		t.Errorf("%v", e)
	}
}

func TestChildFailsForGood(t *testing.T) {
	s := start(t, fixture("good", "sleep", "")+fixture("bad", "exit 7", "restart {\n    attempts = 2\n    delay = \"1ms\"\n  }"))
	e := s.ends(1, "graceful")
	if e.int("spawned") != 4 {
		t.Errorf("%v", e)
	}
	s.wait("child failed", "child", "bad", "attempts", 2)
	s.wait("shutdown begun", "reason", "child failed: bad")
}

func TestFailureIgnored(t *testing.T) {
	s := start(t, fixture("good", "sleep", "")+fixture("bad", "exit 7", "on_failure = \"ignore\"\n  restart { on = \"never\" }"))
	s.wait("child failed", "child", "bad")
	s.prints("[good] ready")
	s.signal(unix.SIGTERM)
	s.ends(1, "graceful")
}

func TestSuccessEndsAll(t *testing.T) {
	s := start(t, fixture("server", "sleep", "")+fixture("job", "exit 0", "count = 3\n  on_success = \"shutdown\""))
	s.ends(0, "graceful")
	s.wait("shutdown begun", "reason", "child completed: job")
	if n := s.count("child completed"); n != 3 {
		t.Errorf("%d of 3 jobs completed", n)
	}
}

func TestNotReadyInTime(t *testing.T) {
	port := free(t)
	s := start(t, fixture("c", "sleep", fmt.Sprintf("ready {\n    tcp = \"127.0.0.1:%s\"\n    timeout = \"100ms\"\n  }\n  restart {\n    attempts = 1\n    delay = \"1ms\"\n  }", port)))
	s.ends(1, "graceful")
	if n := s.count("not ready in time", "child", "c", "timeout_ms", 100); n != 2 {
		t.Errorf("said %d times", n)
	}
	s.wait("child failed", "child", "c")
}

func TestLastLinesOfACrash(t *testing.T) {
	s := start(t, "child \"c\" {\n  command = \"/bin/sh\"\n  args = [\"-c\", \"echo one; echo two; echo boom >&2; kill -SEGV $$\"]\n  restart { on = \"never\" }\n}\n")
	s.ends(1, "graceful")
	e := s.wait("child ended unexpectedly", "child", "c", "reason", "ended by SIGSEGV")
	if out, _ := e["output"].(string); !strings.Contains(out, "two") || !strings.Contains(out, "boom") {
		t.Errorf("%v", e)
	}
	if _, ok := e["core"].(bool); !ok {
		t.Errorf("no core flag: %v", e)
	}
}

// The supervisor's own descriptors are as many after 300 restarts as before.
func TestRestartsLeakNothing(t *testing.T) {
	s := start(t, fixture("ok", "sleep", "")+fixture("c", "exit 0", "restart {\n    on = \"always\"\n    attempts = 100000\n    delay = \"1ms\"\n    max_delay = \"1ms\"\n  }"))
	s.prints("[ok] ready")
	open := func() int {
		all, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", s.pid))
		if err != nil {
			t.Fatal(err)
		}
		return len(all)
	}
	s.wait("child restarting", "attempt", 10)
	most := open() + 8 // two runs may overlap in their end and their start
	s.wait("child restarting", "attempt", 300)
	if n := open(); n > most {
		t.Errorf("%d descriptors are open, %d were", n, most-8)
	}
	s.signal(unix.SIGTERM)
	s.ends(0, "graceful")
}

// Out of descriptors at a spawn: it is tried again, and goes well once there
// are some.
func TestOutOfDescriptors(t *testing.T) {
	s := start(t, fixture("a", "sleep", ""))
	s.prints("[a] ready")
	limit := func(n uint64) {
		l := unix.Rlimit{Cur: n, Max: 4096}
		if err := unix.Prlimit(s.pid, unix.RLIMIT_NOFILE, &l, nil); err != nil {
			t.Fatal(err)
		}
	}
	limit(12)
	hcl := fixture("a", "sleep", "") + fixture("b", "sleep", "restart {\n    attempts = 1000\n    delay = \"20ms\"\n    max_delay = \"20ms\"\n  }")
	s.write(hcl)
	limit(400) // so that the file passes its check
	s.signal(unix.SIGHUP)
	s.wait("config reloaded")
	limit(12)
	pid := s.wait("child spawned", "child", "b").int("pid")
	if err := unix.Kill(pid, unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	_, i := s.waitFrom(0, "spawn delayed", "child", "b")
	limit(4096)
	s.waitFrom(i, "child ready", "child", "b")
	s.signal(unix.SIGTERM)
	s.ends(0, "graceful")
}

func TestTooFewDescriptorsForTheFile(t *testing.T) {
	s := prepare(t, fixture("c", "sleep", "count = 100"))
	s.cmd.Args = append([]string{"sh", "-c", `ulimit -n 128; exec "$0" "$@"`, s.cmd.Path}, s.cmd.Args[1:]...)
	s.cmd.Path = "/bin/sh"
	s.launch()
	if code := s.code(); code != 2 {
		t.Errorf("exit code %d", code)
	}
	if !strings.Contains(s.log.text(), "ulimit -n") {
		t.Error(s.log.text())
	}
}

func TestFaultsAreToldAllAtOnce(t *testing.T) {
	s := start(t, "log_levle = \"info\"\n"+fixture("a", "sleep", "depends_on = [\"b\"]\n  kill_timeout = \"-1s\"")+"child \"x\" { command = \"/does/not/exist\" }\n")
	if code := s.code(); code != 2 {
		t.Errorf("exit code %d", code)
	}
	for _, want := range []string{"log_levle", "log_level", `depends_on = ["b"]`, "kill_timeout", "/does/not/exist", "^", "line 2"} {
		if !strings.Contains(s.log.text(), want) {
			t.Errorf("nothing about %q", want)
		}
	}
}

func TestCommandLine(t *testing.T) {
	empty := t.TempDir()
	valid := filepath.Join(empty, "valid.hcl")
	if err := os.WriteFile(valid, []byte(fixture("a", "sleep", "count = 2")), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		args string
		code int
		want string
	}{
		{"", 0, "Usage:"},
		{"--help", 0, "health"},
		{"version", 0, "supervisor "},
		{"nonsense", 2, "unknown command"},
		{"run --nonsense", 2, "unknown flag"},
		{"run extra", 2, "unknown command"},
		{"run", 2, "supervisor.hcl"},
		{"validate", 2, "supervisor.hcl"},
		{"validate --config " + valid, 0, "1 children, 2 instances"},
		{"run --config " + valid + " --only b", 2, "b"},
		{"health --config " + valid, 1, "no supervisor runs"},
	} {
		c := exec.Command(filepath.Join(bin, "supervisor"), strings.Fields(tt.args)...)
		c.Dir = empty
		c.Env = append(os.Environ(), "PATH="+bin)
		out, _ := c.CombinedOutput()
		if c.ProcessState.ExitCode() != tt.code || !strings.Contains(string(out), tt.want) {
			t.Errorf("%q: exit code %d, want %d and %q:\n%s", tt.args, c.ProcessState.ExitCode(), tt.code, tt.want, out)
		}
	}
}

func TestOnly(t *testing.T) {
	s := start(t, fixture("server", "sleep", "")+fixture("client", "sleep", "count = 3\n  depends_on = [\"server\"]"), "--only", "client2,client3")
	s.prints("[client2] ready")
	s.prints("[client3] ready")
	s.signal(unix.SIGTERM)
	if e := s.ends(0, "graceful"); e.int("spawned") != 2 {
		t.Errorf("%v", e)
	}
}

func TestHealth(t *testing.T) {
	s := start(t, fixture("ok", "sleep", "")+fixture("bad", "exit 1", "restart {\n    delay = \"1s\"\n  }"))
	health := func(more ...string) (string, int) {
		c := exec.Command(filepath.Join(bin, "supervisor"), append([]string{"health", "--config", s.config}, more...)...)
		out, _ := c.CombinedOutput()
		return string(out), c.ProcessState.ExitCode()
	}
	s.wait("child restarting", "child", "bad")
	if out, code := health("--ready"); code != 1 || !strings.Contains(out, "bad is ") {
		t.Errorf("%d %s", code, out)
	}
	if out, code := health(); code != 0 || out != "ok\n" { // it is being mended
		t.Errorf("%d %s", code, out)
	}
	s.reload(fixture("ok", "sleep", ""))
	s.wait("config reloaded")
	s.wait("all children ready", "children", 1)
	if out, code := health("--ready"); code != 0 {
		t.Errorf("%d %s", code, out)
	}
	// Whatever state it is in, who asks gets an answer in time.
	s.signal(unix.SIGSTOP)
	if out, code := health("--timeout", "100ms"); code != 1 || !strings.Contains(out, "no answer") {
		t.Errorf("%d %s", code, out)
	}
	s.signal(unix.SIGCONT)
	if out, code := health(); code != 0 {
		t.Errorf("%d %s", code, out)
	}
	s.signal(unix.SIGTERM)
	s.ends(0, "graceful")
}
