package acceptance

import (
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func (s *super) reload(hcl string) {
	s.t.Helper()
	s.write(hcl)
	s.signal(unix.SIGHUP)
}

func TestReload(t *testing.T) {
	keep := fixture("keep", "sleep", "")
	s := start(t, keep+fixture("old", "sleep", "")+fixture("other", "sleep", ""))
	s.prints("[keep] ready")
	s.prints("[old] ready")
	s.prints("[other] ready")
	pid := s.wait("child spawned", "child", "keep")["pid"]
	s.reload(keep + fixture("other", "print 1", "") + fixture("new", "sleep", ""))
	s.wait("config reloaded", "added", "[new]", "removed", "[old]", "changed", "[other]", "kept", "[keep]")
	s.prints("[new] ready")
	s.prints("[other] line 0")
	s.wait("child reaped", "child", "old", "code", 0)
	s.signal(unix.SIGTERM)
	e := s.ends(0, "graceful")
	if e.int("spawned") != 5 || s.count("child spawned", "child", "keep") != 1 {
		t.Errorf("%v", e)
	}
	s.wait("child reaped", "child", "keep", "pid", pid)
	s.prints("[other] last words")
}

// A file with a fault changes nothing, and what it says is logged.
func TestBadReloadIsRejectedWhole(t *testing.T) {
	good := fixture("a", "sleep", "")
	s := start(t, good)
	s.prints("[a] ready")
	for _, bad := range []string{"", good + "chid \"b\" {}\n", good + fixture("b", "sleep", "count = -1"), "child", good + fixture("b", "sleep", `depends_on = ["c"]`)} {
		i := s.count("config rejected")
		s.reload(bad)
		from := 0
		for range i + 1 {
			_, from = s.waitFrom(from, "config rejected", "@level", "error")
		}
	}
	if e := s.wait("config rejected"); !strings.Contains(e["diagnostics"].(string), "supervisor.hcl") {
		t.Errorf("%v", e)
	}
	s.signal(unix.SIGTERM)
	if e := s.ends(0, "graceful"); e.int("spawned") != 1 {
		t.Errorf("%v", e)
	}
}

// A change of policy alone restarts nobody, and has effect.
func TestPolicyChangeRestartsNobody(t *testing.T) {
	s := start(t, fixture("deaf", "deaf", `kill_timeout = "8s"`))
	s.prints("[deaf] ready")
	s.reload("log_level = \"debug\"\nshutdown { deadline = \"5s\" }\n" + fixture("deaf", "deaf", `kill_timeout = "100ms"`))
	s.wait("config reloaded", "changed", "[deaf]")
	s.signal(unix.SIGTERM)
	e := s.ends(124, "forced")
	if e.int("spawned") != 1 || e.int("deadline_ms") != 5000 || e.int("elapsed_ms") > 4000 {
		t.Errorf("%v", e)
	}
	if s.count("fd closed", "uncounted", "standard stream") == 0 {
		t.Error("the new log level has no effect")
	}
}

func TestScaleUpAndDown(t *testing.T) {
	of := func(count string) string { return fixture("c", "sleep", "count = "+count) }
	s := start(t, of("1"))
	s.prints("[c1] ready")
	s.reload(of("3"))
	s.wait("config reloaded", "added", "[c2 c3]", "kept", "[c1]")
	s.reload(of("2"))
	s.wait("config reloaded", "removed", "[c3]", "kept", "[c1 c2]")
	s.signal(unix.SIGTERM)
	if e := s.ends(0, "graceful"); e.int("spawned") != 3 {
		t.Errorf("%v", e)
	}
}

// A child that changes together with one that depends on it: the dependent is
// stopped first and started last.
func TestReloadKeepsTheOrder(t *testing.T) {
	both := func(word string) string {
		return fixture("a", "print 1 "+word, "") + fixture("b", "print 1 "+word, `depends_on = ["a"]`)
	}
	s := start(t, both("x"))
	s.prints("[b] line 0")
	s.reload(both("y"))
	s.wait("config reloaded", "changed", "[a b]")
	_, i := s.waitFrom(0, "child reaped", "child", "b")
	_, i = s.waitFrom(i, "signal sent", "child", "a")
	_, i = s.waitFrom(i, "child spawned", "child", "a")
	s.waitFrom(i, "child spawned", "child", "b")
	s.signal(unix.SIGTERM)
	s.ends(0, "graceful")
}

func TestReloadInAStopIsIgnored(t *testing.T) {
	s := start(t, fixture("deaf", "deaf", `kill_timeout = "500ms"`))
	s.prints("[deaf] ready")
	s.signal(unix.SIGTERM)
	s.wait("signal sent", "step", 1)
	s.reload(fixture("other", "sleep", ""))
	s.wait("reload ignored")
	if e := s.ends(124, "forced"); e.int("spawned") != 1 {
		t.Errorf("%v", e)
	}
}

// A run that changes while its restart is due, and one that has failed for
// good, follow the new file too.
func TestReloadMendsWhatFailed(t *testing.T) {
	s := start(t, fixture("ok", "sleep", "")+fixture("a", "exit 1", "on_failure = \"ignore\"\nrestart { on = \"never\" }")+fixture("b", "exit 1", "restart { delay = \"30s\" }"))
	s.wait("child failed", "child", "a")
	s.wait("child restarting", "child", "b")
	s.reload(fixture("ok", "sleep", "") + fixture("a", "sleep", "") + fixture("b", "sleep", ""))
	s.prints("[a] ready")
	s.prints("[b] ready")
	s.wait("config reloaded")
	s.signal(unix.SIGTERM)
	s.ends(0, "graceful")
}
