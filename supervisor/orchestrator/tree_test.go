package orchestrator

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"

	"tp0/supervisor/config"
	"tp0/supervisor/process"
)

// TestProcessEndsWithItsTree checks that nothing follows a process before its tree has ended.
func TestProcessEndsWithItsTree(t *testing.T) {
	const worker = `[worker (pid 77)]`
	up := func(names ...string) (steps []step) {
		for i, name := range names {
			s := step{"", "spawn " + name}
			if i > 0 {
				s.do = "spawned " + names[i-1]
				s.want = names[i-1] + " ready, " + s.want
			}
			steps = append(steps, s)
		}
		last := names[len(names)-1]
		return append(steps, step{"spawned " + last, last + " ready"})
	}
	with := func(before []step, more ...step) []step { return append(before, more...) }
	one := configs(newConfig(child("a")), newConfig(child("a", args("2"))), newConfig(child("b")))
	chain := configs(newConfig(child("db"), child("app", after("db"))))
	runScripts(t, []script{
		{"a crash", one, with(up("a"),
			step{"main-exit a 1", "a outlived by " + worker + ", SIGTERM a"},
			step{"wait 1999ms", ""},
			step{"wait 1ms", "SIGKILL a"},
			step{"exit a", "a restart 1"},
			step{"wait 1s", "spawn a"})},
		{"a daemon in the background", one, with(up("a"),
			step{"main-exit a", "a outlived by " + worker + ", SIGTERM a"},
			step{"exit a", "a completed, stop: nothing runs and nothing is due, cleanup"})},
		{"a reload", one, with(up("a"),
			step{"reload-later 1", "SIGTERM a"},
			step{"main-exit a", "a outlived by " + worker},
			step{"wait 1s", ""},
			step{"exit a", "spawn a2"},
			step{"spawned a", "a ready, reloaded +[] -[] ~[a] =[]"})},
		{"a removal", one, with(up("a"),
			step{"reload-later 2", "spawn b, SIGTERM a"},
			step{"spawned b", "b ready"},
			step{"main-exit a", "a outlived by " + worker},
			step{"exit a", "reloaded +[b] -[a] ~[] =[]"})},
		{"the stop of a dependency", chain, with(up("db", "app"),
			step{"TERM", "SIGTERM app"},
			step{"main-exit app", "app outlived by " + worker},
			step{"wait 1s", ""},
			step{"exit app", "SIGTERM db"})},
		{"a stop while the descendants end", one, with(up("a"),
			step{"main-exit a 1", "a outlived by " + worker + ", SIGTERM a"},
			step{"TERM", ""},
			step{"exit a", "cleanup"})},
		{"a reload while the descendants end", one, with(up("a"),
			step{"main-exit a 1", "a outlived by " + worker + ", SIGTERM a"},
			step{"reload-later 1", "SIGKILL a"}, // reload-later waits for 2 s
			step{"exit a", "spawn a2"})},
	})
}

// TestOrderThroughEndedDependency checks that a child is stopped before its indirect dependencies,
// also if the dependency between them has ended.
func TestOrderThroughEndedDependency(t *testing.T) {
	migrated := newConfig(
		child("db"), child("migrate", oneshot, after("db")),
		child("web", after("migrate:completed")),
	)
	failed := newConfig(
		child("db"), child("app", never, ignored, after("db")), child("web", after("app")),
	)
	runScripts(t, []script{
		{"a completed dependency", configs(migrated, newConfig(child("x"))), []step{
			{"", "spawn db"},
			{"spawned db", "db ready, spawn migrate"},
			{"spawned migrate", ""},
			{"exit migrate", "migrate completed, spawn web"},
			{"spawned web", "web ready"},
			{"TERM", "SIGTERM web"},
			{"exit web", "SIGTERM db"},
		}},
		{"a completed dependency that is removed", configs(migrated, newConfig(child("x"))), []step{
			{"", "spawn db"},
			{"spawned db", "db ready, spawn migrate"},
			{"spawned migrate", ""},
			{"exit migrate", "migrate completed, spawn web"},
			{"spawned web", "web ready"},
			{"reload-later 1", "spawn x, SIGTERM web"},
			{"exit web", "SIGTERM db"},
		}},
		{"a failed dependency", configs(failed), []step{
			{"", "spawn db"},
			{"spawned db", "db ready, spawn app"},
			{"spawned app", "app ready, spawn web"},
			{"spawned web", "web ready"},
			{"exit app 1", "app failed"},
			{"TERM", "SIGTERM web"},
			{"exit web", "SIGTERM db"},
		}},
	})
}

// TestVerdictJudgesTheStopAlone checks that a SIGKILL before the stop does not change the verdict.
func TestVerdictJudgesTheStopAlone(t *testing.T) {
	relay := newRelay(t)
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t, relay, newConfig(child("a")))
		defer h.finish()
		h.do("spawned a")
		h.actions()
		h.do("main-exit a 1")
		h.actions()
		h.mu.Lock()
		p := h.processOf("a")
		h.mu.Unlock()
		h.o.Deliver(process.Signalled{
			Process: p.id, Pid: 77, Descendant: "worker", Signal: unix.SIGKILL, Step: 2,
		})
		h.do("exit a")
		h.do("wait 1s")
		h.actions()
		h.do("spawned a")
		h.do("TERM")
		h.do("exit a")
		h.actions()
		h.do("cleaned-up")
		h.actions()
		const want = "graceful 0: spawned 2, reaped 2, orphans 0, killed 0, left 0"
		if got := h.do("end"); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
		if c := h.o.Summary(); c.KilledBefore != 1 {
			t.Errorf("killed before the stop: %d, want 1", c.KilledBefore)
		}
	})
}

// TestFailureBeforeTheStopCounts checks that a main process that failed before the stop began
// counts as failed, though its descendants ended in the stop.
func TestFailureBeforeTheStopCounts(t *testing.T) {
	criticalNever := policy(func(p *config.Policy) { p.Critical, p.Restart.On = true, "never" })
	for name, test := range map[string]struct {
		change change
		want   string // verdict and exit code
	}{
		"never restarted": {never, "graceful 1"},
		"critical":        {criticalNever, "graceful 7"},
		"to be restarted": {restart("failure"), "graceful 0"},
	} {
		t.Run(name, func(t *testing.T) {
			failed := "a failed"
			if name == "to be restarted" {
				failed = ""
			}
			want := func(s string) string { return strings.Trim(failed+", "+s, ", ") }
			runScript(t, configs(newConfig(child("a", test.change))), []step{
				{"", "spawn a"},
				{"spawned a", "a ready"},
				{"main-exit a 7", "a outlived by [worker (pid 77)], SIGTERM a"},
				{"TERM", ""},
				{"exit a", want("cleanup")},
				{"cleaned-up", ""},
				{"end", test.want + ": spawned 1, reaped 1, orphans 0, killed 0, left 0"},
			})
		})
	}
}

// TestReplacedProcessDoesNotFail checks that a process that a reload stops does not count as failed
// if a shutdown begins while its descendants end, with every exit code.
func TestReplacedProcessDoesNotFail(t *testing.T) {
	runScript(t, configs(newConfig(child("a", never)), newConfig(child("a", never, args("2")))),
		[]step{
			{"", "spawn a"},
			{"spawned a", "a ready"},
			{"reload-later 1", "SIGTERM a"},
			{"main-exit a 7", "a outlived by [worker (pid 77)]"},
			{"TERM", "ignored: a stop began before it was fully applied"},
			{"exit a", "cleanup"},
			{"cleaned-up", ""},
			{"end", "graceful 0: spawned 1, reaped 1, orphans 0, killed 0, left 0"},
		})
}

// TestSharedTimeout checks that a child without a kill_timeout has 5 s in a restart or a reload,
// and its share of the deadline in the final stop.
func TestSharedTimeout(t *testing.T) {
	timeout := func(d time.Duration) change {
		return policy(func(p *config.Policy) { p.SharedTimeout, p.KillTimeout = true, d })
	}
	shared, short := timeout(9*time.Second), timeout(2*time.Second)
	both := configs(newConfig(child("a", shared)), newConfig(child("a", shared, args("2"))))
	up := []step{{"", "spawn a"}, {"spawned a", "a ready"}}
	runScripts(t, []script{
		{"a reload", both, append(up[:2:2],
			step{"reload-later 1", "SIGTERM a"},
			step{"wait 4999ms", ""},
			step{"wait 1ms", "SIGKILL a"})},
		{"a removal, with a short share", configs(
			newConfig(child("a", short)), newConfig(child("b")),
		), append(up[:2:2],
			step{"reload-later 1", "spawn b, SIGTERM a"},
			step{"spawned b", "b ready"},
			step{"wait 4999ms", ""},
			step{"wait 1ms", "SIGKILL a"})},
		{"a failed check", configs(newConfig(child("a", short, checkBy("1ms")))), append(up[:2:2],
			step{"probe-fails", ""},
			step{"wait 6s", "probe a, a check alive failed"},
			step{"wait 11s", "probe a, a unhealthy, SIGTERM a"}, // 1 s to 3 s ago
			step{"wait 1900ms", ""},
			step{"wait 3s", "SIGKILL a"})},
		{"not ready in time", configs(newConfig(child("a", short, neverReady))), []step{
			{"spawned a", "spawn a"},
			{"wait 1s", "a not ready, SIGTERM a"},
			{"wait 4999ms", ""},
			{"wait 1ms", "SIGKILL a"}}},
		{"the old process of an overlap", configs(
			newConfig(child("a", short, overlap)), newConfig(child("a", short, overlap, args("2"))),
		), append(up[:2:2],
			step{"reload-later 1", "spawn a2"},
			step{"spawned a", "a ready, SIGTERM a"},
			step{"wait 4999ms", ""},
			step{"wait 1ms", "SIGKILL a"})},
		{"a stop during a replacement", configs(
			newConfig(child("a", short)),
			newConfig(child("a", short, args("2"))),
		), append(up[:2:2],
			step{"reload-later 1", "SIGTERM a"},
			step{"wait 1s", ""},
			step{"TERM", "ignored: a stop began before it was fully applied"},
			step{"wait 1999ms", ""},
			step{"wait 1ms", "SIGKILL a"})},
		{"a stop", both, append(up[:2:2],
			step{"TERM", "SIGTERM a"},
			step{"wait 8999ms", ""},
			step{"wait 1ms", "SIGKILL a"})},
	})
}
