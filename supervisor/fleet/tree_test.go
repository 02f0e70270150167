package fleet

import (
	"testing"

	"tp0/supervisor/config"
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
