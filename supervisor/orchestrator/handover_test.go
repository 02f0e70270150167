package orchestrator

import (
	"testing"
	"time"

	"tp0/supervisor/config"
)

// at makes a child listen on a port: its processes have the port in their environment, and a check
// of it that never runs.
func at(port string) change {
	return func(c *config.Child, i *config.Instance) {
		i.Launch.Env = []string{"PORT=" + port}
		i.Policy.Checks = []config.Check{{
			Name: "alive", Probe: config.Probe{TCP: "127.0.0.1:" + port}, Limit: 1,
			Grace: 1000 * time.Hour, Interval: time.Hour, Timeout: time.Second,
		}}
	}
}

// each gives the instances of a child ports of their own, in the order of their names.
func each(ports ...string) change {
	return func(c *config.Child, i *config.Instance) { at(ports[i.Index-1])(c, i) }
}

// TestHandOver has reloads in which processes need the addresses of others.
func TestHandOver(t *testing.T) {
	keep := child("keep")
	runScripts(t, []script{
		{"a rename", configs(newConfig(child("a", at("1")), keep),
			newConfig(child("b", at("1")), keep)),
			append(start("a", "keep"), []step{
				{"reload 1", "b waits for a: both claim 127.0.0.1:1, SIGTERM a"},
				{"main-exit a", "a outlived by " + helper},
				{"exit a", "spawn b"},
				{"spawned b", "b ready, reloaded +[b] -[a] ~[] =[keep]"},
			}...)},
		{"swapped ports", configs(newConfig(child("a", at("1")), child("b", at("2"))),
			newConfig(child("a", at("2")), child("b", at("1")))),
			append(start("a", "b"), []step{
				{"reload 1", "SIGTERM a, a waits for b: both claim 127.0.0.1:2, " +
					"SIGTERM b, b waits for a: both claim 127.0.0.1:1"},
				{"exit a", ""},
				{"exit b", "spawn a, spawn b"},
			}...)},
		{"a chain", configs(
			newConfig(child("a", at("1")), child("b", at("2")), child("c", at("3"))),
			newConfig(child("a", at("2")), child("b", at("3")))),
			append(start("a", "b", "c"), []step{
				{"reload 1", "SIGTERM a, a waits for b: both claim 127.0.0.1:2, " +
					"SIGTERM b, b waits for c: both claim 127.0.0.1:3, SIGTERM c"},
				{"exit b", ""},
				{"exit a", "spawn a"},
				{"exit c", "spawn b"},
			}...)},
		{"from one to many", configs(newConfig(child("a", at("1"))),
			newConfig(child("a*2", each("1", "2")))),
			append(start("a"), []step{
				{"reload 1", "spawn a2, a1 waits for a: both claim 127.0.0.1:1, SIGTERM a"},
				{"exit a", "spawn a1"},
			}...)},
		{"a rename without an address", configs(newConfig(child("a", path("p"))),
			newConfig(child("b", path("p")))),
			append(start("a"), []step{
				{"reload 1", "b waits for a: both run the same command with the same arguments, " +
					"SIGTERM a"},
				{"exit a", "spawn b"},
			}...)},
		{"a listener that was found",
			configs(newConfig(child("a")), newConfig(child("b", at("1")))),
			append(start("a"), []step{
				{"listens a [::]:1", ""},
				{"reload 1", "b waits for a: both claim [::]:1, SIGTERM a"},
				{"exit a", "spawn b"},
			}...)},
		{"a stop during a hand-over",
			configs(newConfig(child("a", at("1"))), newConfig(child("b", at("1")))),
			append(start("a"), []step{
				{"reload 1", "b waits for a: both claim 127.0.0.1:1, SIGTERM a"},
				{"TERM", "ignored: a stop began before it was fully applied"},
				{"exit a", "cleanup"},
			}...)},
	})
}

// helper is the descendant that outlives a main process.
const helper = "[worker (pid 77)]"

func path(p string) change { return launch(func(l *config.Launch) { l.Path = p }) }

// TestHandOverSlots has hand-overs between the instances of a child that is updated.
func TestHandOverSlots(t *testing.T) {
	runScripts(t, []script{
		{"each takes the port of the next one", configs(
			newConfig(child("a*3", each("1", "2", "3"), maxParallel(1))),
			newConfig(child("a*3", each("2", "3", "4"), maxParallel(1)))),
			append(start("a1", "a2", "a3"), []step{
				{"reload 1", "SIGTERM a3"},
				{"exit a3", "spawn a3"},
				{"spawned a3", "a3 ready, SIGTERM a2"},
				{"exit a2", "spawn a2"},
				{"spawned a2", "a2 ready, SIGTERM a1"},
			}...)},
		{"a circle needs more slots", configs(
			newConfig(child("a*3", each("1", "2", "3"), maxParallel(1))),
			newConfig(child("a*3", each("2", "1", "3"), maxParallel(1)))),
			append(start("a1", "a2", "a3"), []step{
				{"reload 1", "SIGTERM a1, a1 waits for a2: both claim 127.0.0.1:2, " +
					"SIGTERM a2, a2 waits for a1: both claim 127.0.0.1:1"},
				{"exit a1", ""},
				{"exit a2", "spawn a1, spawn a2"},
			}...)},
		{"no overlap", configs(newConfig(child("a", at("1"), overlap), child("b", at("2"))),
			newConfig(child("a", at("2"), overlap))),
			append(start("a", "b"), []step{
				{"reload 1", "SIGTERM a, a waits for b: both claim 127.0.0.1:2, SIGTERM b"},
				{"exit a", ""},
				{"exit b", "spawn a"},
			}...)},
		{"an overlap that hands nothing over", configs(newConfig(child("a", at("1"), overlap)),
			newConfig(child("a", at("2"), overlap))),
			append(start("a"), step{"reload 1", "spawn a"})},
	})
}

// TestHandOverHalted has updates that need an address of an instance whose update is halted.
func TestHandOverHalted(t *testing.T) {
	db := func(word string) *config.Child { return child("db", args(word), never, ignored) }
	needs := after("db")
	runScripts(t, []script{
		{"before the stop", configs(
			newConfig(db(""), child("a", at("1")), child("b", at("2"), needs)),
			newConfig(db(""), child("a", at("2")), child("b", at("1"), needs))),
			[]step{
				{"", "spawn db, spawn a"},
				{"spawned db", "db ready, spawn b"},
				{"spawned a", "a ready"},
				{"spawned b", "b ready"},
				{"exit db 1", "db failed"},
				{"reload 1", "halted b: it needs db, which has failed, " +
					"halted a: it needs an address of b, whose update is halted"},
			}},
		{"after the stop", configs(
			newConfig(db(""), child("a", at("1")), child("b", at("2"), needs),
				child("c", after("b"))),
			newConfig(db(""), child("a", at("2")), child("b", at("1"), needs),
				child("c", after("b"), args("+")))),
			[]step{
				{"", "spawn db, spawn a"},
				{"spawned db", "db ready, spawn b"},
				{"spawned a", "a ready"},
				{"spawned b", "b ready, spawn c"},
				{"spawned c", "c ready"},
				{"reload 1", "SIGTERM a, a waits for b: both claim 127.0.0.1:2, SIGTERM c"},
				{"exit db 1", "db failed, halted b: it needs db, which has failed, " +
					"a waits for halted b: both claim 127.0.0.1:2"},
				{"exit a", ""},
				{"exit c", "spawn c+"},
				{"reload 0", "SIGTERM c, spawn a"},
			}},
	})
}

// TestHandOverInterrupted has reloads and failures in the middle of a hand-over.
func TestHandOverInterrupted(t *testing.T) {
	a, b := newConfig(child("a", at("1"))), newConfig(child("b", at("1")))
	bad := child("bad", readyAt("127.0.0.1:9"), never, ignored)
	runScripts(t, []script{
		{"another rename", configs(a, b, newConfig(child("c", at("1")))),
			append(start("a"), []step{
				{"reload 1", "b waits for a: both claim 127.0.0.1:1, SIGTERM a"},
				{"reload 2", "c waits for a: both claim 127.0.0.1:1"},
				{"exit a", "spawn c"},
				{"spawned c", "c ready, reloaded +[c] -[a] ~[] =[]"},
			}...)},
		{"back again", configs(a, b), append(start("a"), []step{
			{"reload 1", "b waits for a: both claim 127.0.0.1:1, SIGTERM a"},
			{"reload 0", ""},
			{"exit a", "spawn a"},
			{"spawned a", "a ready, reloaded +[] -[] ~[a] =[]"},
		}...)},
		{"a rollback while the old process ends",
			configs(a, withRollback(newConfig(child("b", at("1")), bad))),
			append(start("a"), []step{
				{"reload 1", "b waits for a: both claim 127.0.0.1:1, SIGTERM a, spawn bad"},
				{"spawned bad", ""},
				{"exit bad 1", "rollback for bad"},
				{"exit a", "spawn a"},
			}...)},
		{"a rollback after the hand-over",
			configs(a, withRollback(newConfig(child("b", at("1")), bad))),
			append(start("a"), []step{
				{"reload 1", "b waits for a: both claim 127.0.0.1:1, SIGTERM a, spawn bad"},
				{"spawned bad", ""},
				{"exit a", "spawn b"},
				{"spawned b", "b ready"},
				{"exit bad 1",
					"rollback for bad, a waits for b: both claim 127.0.0.1:1, SIGTERM b"},
				{"exit b", "spawn a"},
			}...)},
	})
}
