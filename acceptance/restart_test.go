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
		if _, printed, err = s.output.find(printed,
			func(line string) bool { return line == "[c] ready" }); err != nil {
			t.Fatal(err)
		}
	}
	for attempt := 1; attempt <= 3; attempt++ {
		var e entry
		e, next = s.awaitEntryFrom(next, "child ready")
		up()
		if err := unix.Kill(e.int("pid"), unix.SIGKILL); err != nil {
			t.Fatal(err)
		}
		e, next = s.awaitEntryFrom(next, "child restarting", "child", "c", "attempt", attempt,
			"reason", "ended by SIGKILL")
		if least := 8 << (attempt - 1); e.int("delay_ms") < least {
			t.Errorf("attempt %d after %d ms, want %d at least", attempt, e.int("delay_ms"), least)
		}
	}
	s.awaitEntryFrom(next, "child ready")
	up()
	s.awaitEntry("child ended unexpectedly", "reason", "ended by SIGKILL")
	s.signal(unix.SIGTERM)
	s.expectStop(0, "graceful").expect(t, "spawned", 4, "killed", 0)
}

func TestChildFailsForGood(t *testing.T) {
	s := start(t, fixture("good", "sleep", "")+fixture("bad", "exit 7",
		"restart {\n    attempts = 2\n    delay = \"1ms\"\n  }"))
	e := s.expectStop(1, "graceful")
	e.expect(t, "spawned", 4)
	s.awaitEntry("child failed", "child", "bad", "attempts", 2)
	s.awaitEntry("shutdown begun", "reason",
		"bad failed, and on_failure is \"shutdown\", the default")
}

func TestFailureIgnored(t *testing.T) {
	s := start(t, fixture("good", "sleep", "")+fixture("bad", "exit 7",
		"on_failure = \"ignore\"\n  restart { on = \"never\" }"))
	s.awaitEntry("child failed", "child", "bad")
	s.awaitLine("[good] ready")
	s.signal(unix.SIGTERM)
	s.expectStop(1, "graceful")
}

func TestOnSuccessShutdown(t *testing.T) {
	s := start(t, fixture("server", "sleep", "")+fixture("job", "exit 0",
		"count = 3\n  on_success = \"shutdown\""))
	s.expectStop(0, "graceful")
	s.awaitEntry("shutdown begun", "reason", "job completed, and on_success is \"shutdown\"")
	if n := s.count("child completed"); n != 3 {
		t.Errorf("%d jobs completed, want 3", n)
	}
}

func TestNotReadyInTime(t *testing.T) {
	port := freePort(t)
	s := start(t, fixture("c", "sleep", fmt.Sprintf("ready {\n    tcp = \"127.0.0.1:%s\"\n"+
		"    timeout = \"100ms\"\n  }\n  restart {\n    attempts = 1\n    delay = \"1ms\"\n  }",
		port)))
	s.expectStop(1, "graceful")
	if n := s.count("not ready in time", "child", "c", "timeout_ms", 100); n != 2 {
		t.Errorf("logged %d times, want 2", n)
	}
	s.awaitEntry("child failed", "child", "c")
}

func TestLastLinesOfACrash(t *testing.T) {
	s := start(t, "child \"c\" {\n  command = \"/bin/sh\"\n"+
		"  args = [\"-c\", \"echo one; echo two; echo boom >&2; kill -SEGV $$\"]\n"+
		"  restart { on = \"never\" }\n}\n")
	s.expectStop(1, "graceful")
	e := s.awaitEntry("child ended unexpectedly", "child", "c", "reason", "ended by SIGSEGV")
	if out, _ := e["output"].(string); !strings.Contains(out, "two") ||
		!strings.Contains(out, "boom") {
		t.Errorf("got %v, want \"two\" and \"boom\" in the output", e)
	}
	if _, ok := e["core"].(bool); !ok {
		t.Errorf("no core flag: %v", e)
	}
}

// TestRestartsLeakNoDescriptor checks that the supervisor holds as many descriptors after 300
// restarts as before.
func TestRestartsLeakNoDescriptor(t *testing.T) {
	s := start(t, fixture("ok", "sleep", "")+fixture("c", "exit 0",
		"restart {\n    on = \"always\"\n    attempts = 100000\n    delay = \"1ms\"\n"+
			"    max_delay = \"1ms\"\n  }"))
	s.awaitLine("[ok] ready")
	open := func() int {
		all, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", s.pid))
		if err != nil {
			t.Fatal(err)
		}
		return len(all)
	}
	s.awaitEntry("child restarting", "attempt", 10)
	most := open() + 8 // two runs may overlap in their end and their start
	s.awaitEntry("child restarting", "attempt", 300)
	if n := open(); n > most {
		t.Errorf("%d descriptors are open, want about the %d of the first restarts", n, most-8)
	}
	s.signal(unix.SIGTERM)
	s.expectStop(0, "graceful")
}

// TestOutOfDescriptors checks that a spawn without a free descriptor is repeated and succeeds
// once one is free.
func TestOutOfDescriptors(t *testing.T) {
	s := start(t, fixture("a", "sleep", ""))
	s.awaitLine("[a] ready")
	limit := func(n uint64) {
		l := unix.Rlimit{Cur: n, Max: 4096}
		if err := unix.Prlimit(s.pid, unix.RLIMIT_NOFILE, &l, nil); err != nil {
			t.Fatal(err)
		}
	}
	limit(12)
	hcl := fixture("a", "sleep", "") + fixture("b", "sleep",
		"restart {\n    attempts = 1000\n    delay = \"20ms\"\n    max_delay = \"20ms\"\n  }")
	s.write(hcl)
	limit(400) // so that the file passes its check
	s.signal(unix.SIGHUP)
	s.awaitEntry("config reloaded")
	limit(12)
	pid := s.awaitEntry("child spawned", "child", "b").int("pid")
	if err := unix.Kill(pid, unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	_, i := s.awaitEntryFrom(0, "spawn delayed", "child", "b")
	limit(4096)
	s.awaitEntryFrom(i, "child ready", "child", "b")
	s.signal(unix.SIGTERM)
	s.expectStop(0, "graceful")
}

func TestTooFewDescriptorsForTheFile(t *testing.T) {
	s := prepare(t, fixture("c", "sleep", "count = 100"))
	s.cmd.Args = append([]string{"sh", "-c", `ulimit -n 128; exec "$0" "$@"`, s.cmd.Path},
		s.cmd.Args[1:]...)
	s.cmd.Path = "/bin/sh"
	s.launch()
	if code := s.exitCode(); code != 2 {
		t.Errorf("exit code %d, want 2", code)
	}
	if !strings.Contains(s.log.text(), "ulimit -n") {
		t.Error(s.log.text())
	}
}

func TestAllConfigFaultsAreReported(t *testing.T) {
	s := start(t, "log_fsd = \"all\"\n"+fixture("a", "sleep",
		"depends_on = [\"b\"]\n  kill_timeout = \"-1s\"")+
		"child \"x\" { command = \"/does/not/exist\" }\n")
	if code := s.exitCode(); code != 2 {
		t.Errorf("exit code %d, want 2", code)
	}
	for _, want := range []string{"log_fsd", `"log_fds"?`, `depends_on = ["b"]`, "kill_timeout",
		"/does/not/exist", "^", "line 3"} {
		if !strings.Contains(s.log.text(), want) {
			t.Errorf("want %q in the log", want)
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
		{"run extra", 2, "run takes no arguments"},
		{"run", 2, "supervisor.hcl"},
		{"validate", 2, "supervisor.hcl"},
		{"validate --config " + valid, 0, "1 child, 2 instances"},
		{"run --config " + valid + " --only b", 2, "b"},
		{"health --config " + valid, 1, "no supervisor runs"},
	} {
		c := exec.Command(filepath.Join(bin, "supervisor"), strings.Fields(tt.args)...)
		c.Dir = empty
		c.Env = append(os.Environ(), "PATH="+bin)
		out, _ := c.CombinedOutput()
		if c.ProcessState.ExitCode() != tt.code || !strings.Contains(string(out), tt.want) {
			t.Errorf("%q: exit code %d, want %d and %q:\n%s", tt.args, c.ProcessState.ExitCode(),
				tt.code, tt.want, out)
		}
	}
}

func TestOnly(t *testing.T) {
	s := start(t, fixture("server", "sleep", "")+fixture("client", "sleep",
		"count = 3\n  depends_on = [\"server\"]"), "--only", "client2,client3")
	s.awaitLine("[client2] ready")
	s.awaitLine("[client3] ready")
	s.signal(unix.SIGTERM)
	s.expectStop(0, "graceful").expect(t, "spawned", 2)
}

func TestHealth(t *testing.T) {
	s := start(t, fixture("ok", "sleep", "")+fixture("bad", "exit 1",
		"restart {\n    delay = \"1s\"\n  }"))
	health := func(more ...string) (string, int) {
		c := exec.Command(filepath.Join(bin, "supervisor"),
			append([]string{"health", "--config", s.config}, more...)...)
		out, _ := c.CombinedOutput()
		return string(out), c.ProcessState.ExitCode()
	}
	s.awaitEntry("child restarting", "child", "bad")
	if out, code := health("--ready"); code != 1 || !strings.Contains(out, "bad is ") {
		t.Errorf("health --ready: got %d %s, want 1 and the child bad", code, out)
	}
	if out, code := health(); code != 0 || out != "ok\n" { // it is being mended
		t.Errorf("health: got %d %s, want 0 ok", code, out)
	}
	s.reload(fixture("ok", "sleep", ""))
	s.awaitEntry("config reloaded")
	s.awaitEntry("all children ready", "children", 1)
	if out, code := health("--ready"); code != 0 {
		t.Errorf("health --ready: got %d %s, want 0", code, out)
	}
	// A supervisor that is stopped by job control does not answer. The command must still return
	// within its timeout.
	s.signal(unix.SIGSTOP)
	if out, code := health("--timeout", "100ms"); code != 1 || !strings.Contains(out, "no answer") {
		t.Errorf("health of a stopped supervisor: got %d %s, want 1", code, out)
	}
	s.signal(unix.SIGCONT)
	if out, code := health(); code != 0 {
		t.Errorf("health: got %d %s, want 0", code, out)
	}
	s.signal(unix.SIGTERM)
	s.expectStop(0, "graceful")
}
