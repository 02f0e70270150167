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

// A run is over when nothing of its process tree is left, whatever ends it.
func TestRunEndsWithItsTree(t *testing.T) {
	const worker = `[worker (pid 77)]`
	up := func(names ...string) (steps []step) {
		for i, name := range names {
			s := step{"", "spawn " + name}
			if i > 0 {
				s.do = "up " + names[i-1]
				s.want = names[i-1] + " ready, " + s.want
			}
			steps = append(steps, s)
		}
		last := names[len(names)-1]
		return append(steps, step{"up " + last, last + " ready"})
	}
	with := func(before []step, more ...step) []step { return append(before, more...) }
	one := cfgs(newConfig(kid("a")), newConfig(kid("a", args("2"))), newConfig(kid("b")))
	chain := cfgs(newConfig(kid("db"), kid("app", after("db"))))
	playAll(t, []script{
		{"a crash", one, with(up("a"),
			step{"outlive a 1", "a outlived by " + worker + ", SIGTERM a"},
			step{"wait 1999ms", ""},
			step{"wait 1ms", "SIGKILL a"},
			step{"exit a", "a again 1"},
			step{"wait 1s", "spawn a"})},
		{"a daemon that goes into the background", one, with(up("a"),
			step{"outlive a", "a outlived by " + worker + ", SIGTERM a"},
			step{"exit a", "a completed, stop: nothing runs and nothing is due, sweep"})},
		{"a reload", one, with(up("a"),
			step{"hup 1", "SIGTERM a"},
			step{"outlive a", "a outlived by " + worker},
			step{"wait 1s", ""},
			step{"exit a", "spawn a2"},
			step{"up a", "a ready, reloaded +[] -[] ~[a] =[]"})},
		{"a removal", one, with(up("a"),
			step{"hup 2", "spawn b, SIGTERM a"},
			step{"up b", "b ready"},
			step{"outlive a", "a outlived by " + worker},
			step{"exit a", "reloaded +[b] -[a] ~[] =[]"})},
		{"the stop of what it depends on", chain, with(up("db", "app"),
			step{"TERM", "SIGTERM app"},
			step{"outlive app", "app outlived by " + worker},
			step{"wait 1s", ""},
			step{"exit app", "SIGTERM db"})},
		{"a stop while the descendants end", one, with(up("a"),
			step{"outlive a 1", "a outlived by " + worker + ", SIGTERM a"},
			step{"TERM", ""},
			step{"exit a", "sweep"})},
		{"a reload while the descendants end", one, with(up("a"),
			step{"outlive a 1", "a outlived by " + worker + ", SIGTERM a"},
			step{"hup 1", "SIGKILL a"}, // two seconds later
			step{"exit a", "spawn a2"})},
	})
}

// What a child needs is stopped after it through children that have completed, or
// failed.
func TestOrderThroughWhatHasEnded(t *testing.T) {
	migrated := newConfig(kid("db"), kid("migrate", oneshot, after("db")), kid("web", after("migrate:completed")))
	failed := newConfig(kid("db"), kid("app", restart("never"), onFailure(config.Ignore), after("db")), kid("web", after("app")))
	playAll(t, []script{
		{"completed", cfgs(migrated, newConfig(kid("x"))), []step{
			{"", "spawn db"},
			{"up db", "db ready, spawn migrate"},
			{"up migrate", "migrate ready"},
			{"exit migrate", "migrate completed, spawn web"},
			{"up web", "web ready"},
			{"TERM", "SIGTERM web"},
			{"exit web", "SIGTERM db"},
		}},
		{"completed and removed", cfgs(migrated, newConfig(kid("x"))), []step{
			{"", "spawn db"},
			{"up db", "db ready, spawn migrate"},
			{"up migrate", "migrate ready"},
			{"exit migrate", "migrate completed, spawn web"},
			{"up web", "web ready"},
			{"hup 1", "spawn x, SIGTERM web"},
			{"exit web", "SIGTERM db"},
		}},
		{"failed", cfgs(failed), []step{
			{"", "spawn db"},
			{"up db", "db ready, spawn app"},
			{"up app", "app ready, spawn web"},
			{"up web", "web ready"},
			{"exit app 1", "app failed"},
			{"TERM", "SIGTERM web"},
			{"exit web", "SIGTERM db"},
		}},
	})
}

// What was killed before the stop is not judged with it.
func TestVerdictJudgesTheStopAlone(t *testing.T) {
	hub := newHub(t)
	synctest.Test(t, func(t *testing.T) {
		w := open(t, hub, newConfig(kid("a")))
		defer w.finish()
		w.do("up a")
		w.took()
		w.do("outlive a 1")
		w.took()
		w.mu.Lock()
		r := w.run("a")
		w.mu.Unlock()
		w.f.Deliver(process.Signalled{Process: r.id, Pid: 77, Descendant: "worker", Signal: unix.SIGKILL, Step: 2})
		w.do("exit a")
		w.do("wait 1s")
		w.took()
		w.do("up a")
		w.do("TERM")
		w.do("exit a")
		w.took()
		w.do("swept")
		w.took()
		if got, want := w.do("end"), "graceful 0: spawned 2, reaped 2, orphans 0, killed 0, left 0"; got != want {
			t.Errorf("got %s, want %s", got, want)
		}
		if c := w.f.Summary(); c.KilledBefore != 1 {
			t.Errorf("killed before the stop: %d, want 1", c.KilledBefore)
		}
	})
}

// A main process that failed for good before a stop began has failed, though its
// descendants ended in the stop.
func TestFailureBeforeTheStopCounts(t *testing.T) {
	for name, test := range map[string]struct {
		change change
		want   string
	}{
		"never restarted": {restart("never"), "graceful 1: spawned 1, reaped 1, orphans 0, killed 0, left 0"},
		"critical":        {policy(func(p *config.Policy) { p.Critical, p.Restart.On = true, "never" }), "graceful 7: spawned 1, reaped 1, orphans 0, killed 0, left 0"},
		"to be restarted": {restart("failure"), "graceful 0: spawned 1, reaped 1, orphans 0, killed 0, left 0"},
	} {
		t.Run(name, func(t *testing.T) {
			failed := "a failed"
			if name == "to be restarted" {
				failed = ""
			}
			want := func(s string) string { return strings.Trim(failed+", "+s, ", ") }
			play(t, cfgs(newConfig(kid("a", test.change))), []step{
				{"", "spawn a"},
				{"up a", "a ready"},
				{"outlive a 7", "a outlived by [worker (pid 77)], SIGTERM a"},
				{"TERM", ""},
				{"exit a", want("sweep")},
				{"swept", ""},
				{"end", test.want},
			})
		})
	}
}

// Without a kill_timeout of its own a child has 5 s in a restart or a reload, and its
// share of the deadline in the final stop.
func TestTimeoutOfARestart(t *testing.T) {
	shared := policy(func(p *config.Policy) { p.SharedTimeout, p.KillTimeout = true, 9*time.Second })
	short := policy(func(p *config.Policy) { p.SharedTimeout, p.KillTimeout = true, 2*time.Second })
	both := cfgs(newConfig(kid("a", shared)), newConfig(kid("a", shared, args("2"))))
	up := []step{{"", "spawn a"}, {"up a", "a ready"}}
	playAll(t, []script{
		{"a reload", both, append(up[:2:2],
			step{"hup 1", "SIGTERM a"},
			step{"wait 4999ms", ""},
			step{"wait 1ms", "SIGKILL a"})},
		{"a stop while it is replaced", cfgs(newConfig(kid("a", short)), newConfig(kid("a", short, args("2")))), append(up[:2:2],
			step{"hup 1", "SIGTERM a"},
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
