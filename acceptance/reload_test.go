package acceptance

import (
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func (s *supervisor) reload(hcl string) {
	s.t.Helper()
	s.write(hcl)
	s.signal(unix.SIGHUP)
}

func TestReload(t *testing.T) {
	keep := fixture("keep", "sleep", "")
	s := start(t, keep+fixture("old", "sleep", "")+fixture("other", "sleep", ""))
	s.awaitLine("[keep] ready")
	s.awaitLine("[old] ready")
	s.awaitLine("[other] ready")
	pid := s.awaitEntry("child spawned", "child", "keep")["pid"]
	s.reload(keep + fixture("other", "print 1", "") + fixture("new", "sleep", ""))
	s.awaitEntry("config reloaded", "added", "[new]", "removed", "[old]", "changed", "[other]",
		"kept", "[keep]")
	s.awaitLine("[new] ready")
	s.awaitLine("[other] line 0")
	s.awaitEntry("child reaped", "child", "old", "code", 0)
	s.signal(unix.SIGTERM)
	e := s.expectStop(0, "graceful")
	if e.int("spawned") != 5 || s.count("child spawned", "child", "keep") != 1 {
		t.Errorf("got %v, want spawned=5, and child keep spawned once", e)
	}
	s.awaitEntry("child reaped", "child", "keep", "pid", pid)
	s.awaitLine("[other] last words")
}

// TestVerdictIsOfTheStopAlone checks that a process which a reload had to kill, and what it leaked,
// do not make a later stop forced or leaky.
func TestVerdictIsOfTheStopAlone(t *testing.T) {
	strict := "shutdown {\n  strict = true\n  findings = \"all\"\n}\n"
	keep := fixture("keep", "sleep", "")
	s := start(t, strict+keep+fixture("old", "ignore-term", "kill_timeout = \"100ms\"")+
		fixture("leaky", "leaky", ""))
	s.awaitLine("[keep] ready")
	s.awaitLine("[old] ready")
	s.awaitLine("[leaky] ready")
	s.reload(strict + keep)
	s.awaitEntry("config reloaded", "removed", "[old leaky]")
	s.awaitEntry("child reaped", "child", "old", "signal", "SIGKILL")
	s.signal(unix.SIGTERM)
	e := s.expectStop(0, "graceful")
	if e.int("killed") != 0 || e.int("killed_before") != 1 || e.int("findings") != 0 ||
		e.int("fds_left_before") == 0 {
		t.Errorf("got %v, want killed=0, killed_before=1, findings=0, fds_left_before above 0", e)
	}
}

// TestInvalidReloadChangesNothing checks that a file with a fault changes nothing, and that
// its diagnostics are logged.
func TestInvalidReloadChangesNothing(t *testing.T) {
	good := fixture("a", "sleep", "")
	s := start(t, good)
	s.awaitLine("[a] ready")
	for _, bad := range []string{"", good + "chid \"b\" {}\n", good +
		fixture("b", "sleep", "count = -1"), "child", good +
		fixture("b", "sleep", `depends_on = ["c"]`)} {
		i := s.count("config rejected")
		s.reload(bad)
		from := 0
		for range i + 1 {
			_, from = s.awaitEntryFrom(from, "config rejected", "@level", "error")
		}
	}
	if e := s.awaitEntry("config rejected"); !strings.Contains(e["diagnostics"].(string),
		"supervisor.hcl") {
		t.Errorf("got %v, want the file in the diagnostics", e)
	}
	s.signal(unix.SIGTERM)
	s.expectStop(0, "graceful").expect(t, "spawned", 1)
}

// TestPolicyChangeRestartsNobody checks that a change of policy takes effect without a
// restart.
func TestPolicyChangeRestartsNobody(t *testing.T) {
	s := start(t, "log_level = \"info\"\n"+fixture("ignores", "ignore-term", `kill_timeout = "8s"`))
	s.awaitLine("[ignores] ready")
	s.reload("log_level = \"debug\"\nshutdown { deadline = \"5s\" }\n" +
		fixture("ignores", "ignore-term", `kill_timeout = "100ms"`))
	s.awaitEntry("config reloaded", "changed", "[ignores]")
	s.signal(unix.SIGTERM)
	e := s.expectStop(124, "forced")
	if e.int("spawned") != 1 || e.int("deadline_ms") != 5000 || e.int("elapsed_ms") > 4000 {
		t.Errorf("got %v, want spawned=1, deadline_ms=5000, and elapsed_ms of at most 4000", e)
	}
	if s.count("fd closed", "uncounted", "standard stream") == 0 {
		t.Error("the new log level has no effect")
	}
}

// TestReloadAppliesLogFDs checks which descriptors are at info before and after a reload that
// changes log_fds.
func TestReloadAppliesLogFDs(t *testing.T) {
	const level = "log_level = \"info\"\n"
	child := fixture("a", "sleep", "")
	s := start(t, level+child)
	s.awaitLine("[a] ready")
	if n := s.count("fd opened"); n > 0 {
		t.Errorf("%d entries \"fd opened\" at info by default, want 0", n)
	}
	s.reload(level + "log_fds = \"all\"\n" + child)
	s.awaitEntry("config reloaded", "kept", "[a]")
	s.signal(unix.SIGTERM)
	s.awaitEntry("fd closed", "owner", "supervisor", "target", "a stdout", "@level", "info")
	s.awaitEntry("shutdown complete", "spawned", 1)
	if n := s.count("fd closed", "target", "descriptors to hand over"); n > 0 {
		t.Errorf("%d entries about the handover at info, want 0", n)
	}
}

func TestScaleUpAndDown(t *testing.T) {
	of := func(count string) string { return fixture("c", "sleep", "count = "+count) }
	s := start(t, of("1"))
	s.awaitLine("[c1] ready")
	s.reload(of("3"))
	s.awaitEntry("config reloaded", "added", "[c2 c3]", "kept", "[c1]")
	s.reload(of("2"))
	s.awaitEntry("config reloaded", "removed", "[c3]", "kept", "[c1 c2]")
	s.signal(unix.SIGTERM)
	s.expectStop(0, "graceful").expect(t, "spawned", 3)
}

// TestReloadKeepsTheOrder changes a child and its dependency in one reload: the dependent is
// stopped first and started last.
func TestReloadKeepsTheOrder(t *testing.T) {
	both := func(word string) string {
		return fixture("a", "print 1 "+word, "") +
			fixture("b", "print 1 "+word, `depends_on = ["a"]`)
	}
	s := start(t, both("x"))
	s.awaitLine("[b] line 0")
	s.reload(both("y"))
	s.awaitEntry("config reloaded", "changed", "[a b]")
	_, i := s.awaitEntryFrom(0, "child reaped", "child", "b")
	_, i = s.awaitEntryFrom(i, "signal sent", "child", "a")
	_, i = s.awaitEntryFrom(i, "child spawned", "child", "a")
	s.awaitEntryFrom(i, "child spawned", "child", "b")
	s.signal(unix.SIGTERM)
	s.expectStop(0, "graceful")
}

func TestReloadInAStopIsIgnored(t *testing.T) {
	s := start(t, fixture("ignores", "ignore-term", `kill_timeout = "500ms"`))
	s.awaitLine("[ignores] ready")
	s.signal(unix.SIGTERM)
	s.awaitEntry("signal sent", "step", 1)
	s.reload(fixture("other", "sleep", ""))
	s.awaitEntry("reload ignored")
	s.expectStop(124, "forced").expect(t, "spawned", 1)
}

// TestReloadRestartsFailedChildren checks that a reload also starts a child that waits for its
// restart, and one that has failed permanently.
func TestReloadRestartsFailedChildren(t *testing.T) {
	s := start(t, fixture("ok", "sleep", "")+fixture("a", "exit 1",
		"on_failure = \"ignore\"\nrestart { on = \"never\" }")+fixture("b", "exit 1",
		"restart { delay = \"30s\" }"))
	s.awaitEntry("child failed", "child", "a")
	s.awaitEntry("child restarting", "child", "b")
	s.reload(fixture("ok", "sleep", "") + fixture("a", "sleep", "") + fixture("b", "sleep", ""))
	s.awaitLine("[a] ready")
	s.awaitLine("[b] ready")
	s.awaitEntry("config reloaded")
	s.signal(unix.SIGTERM)
	s.expectStop(0, "graceful")
}
