package orchestrator

import (
	"testing"

	"tp0/supervisor/config"
)

func rollback(c *config.Config) *config.Config {
	c.Reload.Rollback = true
	return c
}

func TestReplace(t *testing.T) {
	old := newConfig(kid("a*3", parallel(1)))
	two := newConfig(kid("a*3", parallel(2), args("+")))
	up3 := []step{{"up a1", "spawn a1, spawn a2, spawn a3, a1 ready"}, {"up a2", "a2 ready"}, {"up a3", "a3 ready"}}
	playAll(t, []script{
		{"one after the other, each ready before the next", cfgs(old, newConfig(kid("a*3", parallel(1), args("+")))), append(up3[:3:3],
			step{"reload 1", "SIGTERM a1"},
			step{"exit a1", "spawn a1+"},
			step{"wait 1m", ""},
			step{"up a1", "a1 ready, SIGTERM a2"},
			step{"exit a2", "spawn a2+"},
			step{"up a2", "a2 ready, SIGTERM a3"},
			step{"exit a3", "spawn a3+"},
			step{"up a3", "a3 ready, reloaded +[] -[] ~[a1 a2 a3] =[]"},
		)},
		{"two at a time", cfgs(old, two), append(up3[:3:3],
			step{"reload 1", "SIGTERM a1, SIGTERM a2"},
			step{"exit a2", "spawn a2+"},
			step{"up a2", "a2 ready, SIGTERM a3"},
			step{"exit a3", "spawn a3+"},
			step{"exit a1", "spawn a1+"},
			step{"up a1", "a1 ready"},
			step{"up a3", "a3 ready, reloaded +[] -[] ~[a1 a2 a3] =[]"},
		)},
		{"back in the middle: who was not replaced keeps his run", cfgs(old, two, old), append(up3[:3:3],
			step{"reload 1", "SIGTERM a1, SIGTERM a2"},
			step{"exit a1", "spawn a1+"},
			step{"reload 2", "SIGTERM a1"},
			step{"up a1", ""},
			step{"exit a1", "spawn a1"},
			step{"up a1", "a1 ready"},
			step{"exit a2", "spawn a2"},
			step{"up a2", "a2 ready, reloaded +[] -[] ~[a1 a2] =[a3]"},
		)},
		{"more and fewer instances touch no other", cfgs(old, newConfig(kid("a*5", parallel(1))), newConfig(kid("a*2", parallel(1)))), append(up3[:3:3],
			step{"reload 1", "spawn a4, spawn a5"},
			step{"up a4", "a4 ready"},
			step{"up a5", "a5 ready, reloaded +[a4 a5] -[] ~[] =[a1 a2 a3]"},
			step{"reload 2", "SIGTERM a3, SIGTERM a4, SIGTERM a5"},
			step{"exit a5", ""},
			step{"exit a4", ""},
			step{"exit a3", "reloaded +[] -[a3 a4 a5] ~[] =[a1 a2]"},
		)},
		{"one that does not serve takes no turn", cfgs(old, newConfig(kid("a*3", parallel(1), args("+")))), append(up3[:3:3],
			step{"exit a3 1", "a3 again 1"},
			step{"reload 1", "SIGTERM a1, spawn a3+"},
			step{"up a3", "a3 ready"},
			step{"exit a1", "spawn a1+"},
			step{"up a1", "a1 ready, SIGTERM a2"},
		)},
		{"one that fails for good halts it", cfgs(newConfig(kid("a*2", onFailure(config.Ignore))), newConfig(kid("a*2", parallel(1), args("+"), restart("never"), onFailure(config.Ignore)))), []step{
			{"up a1", "spawn a1, spawn a2, a1 ready"},
			{"up a2", "a2 ready"},
			{"reload 1", "SIGTERM a1"},
			{"exit a1", "spawn a1+"},
			{"refuse a1", "a1 not spawned, a1 failed, halt a: the new a1 has failed"},
			{"wait 1h", ""},
			{"health", "the reload of a is halted: the new a1 has failed"},
			{"exit a2 1", "a2 again 1"}, // by what it is
			{"wait 1s", "spawn a2"},
			{"up a2", "a2 ready"},
			{"reload 0", "spawn a1"},
			{"up a1", "a1 ready, reloaded +[] -[] ~[a1] =[a2]"},
		}},
		{"nobody has a turn after one has failed", cfgs(newConfig(kid("a*4", parallel(2))),
			newConfig(kid("a*4", parallel(2), args("+"), restart("never"), onFailure(config.Ignore)))), []step{
			{"up a1", "spawn a1, spawn a2, spawn a3, spawn a4, a1 ready"},
			{"up a2", "a2 ready"},
			{"up a3", "a3 ready"},
			{"up a4", "a4 ready"},
			{"reload 1", "SIGTERM a1, SIGTERM a2"},
			{"exit a1", "spawn a1+"},
			{"refuse a1", "a1 not spawned, a1 failed, halt a: the new a1 has failed"},
			{"exit a2", "spawn a2+"},
			{"up a2", "a2 ready"},
		}},
		{"one that ends well before it serves is no success", cfgs(newConfig(kid("a*2", parallel(1))),
			newConfig(kid("a*2", parallel(1), readyAt("127.0.0.1:1"), args("+")))), []step{
			{"up a1", "spawn a1, spawn a2, a1 ready"},
			{"up a2", "a2 ready"},
			{"reload 1", "SIGTERM a1"},
			{"exit a1", "spawn a1+"},
			{"up a1", ""},
			{"exit a1", "a1 completed, halt a: the new a1 has failed"},
		}},
		{"one that waits for its turn is watched on", cfgs(newConfig(kid("a*2", parallel(1), checkBy("1ms"))),
			newConfig(kid("a*2", parallel(1), args("+")))), []step{
			{"up a1", "spawn a1, spawn a2, a1 ready"},
			{"up a2", "a2 ready"},
			{"ill", ""},
			{"reload 1", "SIGTERM a1"},
			{"wait 6s", "SIGKILL a1, try a2, a2 check alive failed"},
			{"wait 14s", "try a2, a2 unhealthy, SIGTERM a2, SIGKILL a2"},
			{"exit a2", "spawn a2+"},
		}},
		{"one that needs a oneshot is stopped once that has completed", cfgs(
			newConfig(kid("m", oneshot), kid("a", after("m:completed"))),
			newConfig(kid("m", oneshot, args("+")), kid("a", after("m:completed"), args("+")))), []step{
			{"up m", "spawn m, m ready"},
			{"exit m", "m completed, spawn a"},
			{"up a", "a ready"},
			{"reload 1", "spawn m+"},
			{"up m", "m ready"},
			{"exit m", "m completed, SIGTERM a"},
			{"exit a", "spawn a+"},
			{"up a", "a ready, reloaded +[] -[] ~[m a] =[]"},
		}},
		{"one that needs a oneshot which fails stays", cfgs(
			newConfig(kid("m", oneshot, onFailure(config.Ignore), restart("never")), kid("a", after("m:completed"))),
			newConfig(kid("m", oneshot, onFailure(config.Ignore), restart("never"), args("+")), kid("a", after("m:completed"), args("+")))), []step{
			{"up m", "spawn m, m ready"},
			{"exit m", "m completed, spawn a"},
			{"up a", "a ready"},
			{"reload 1", "spawn m+"},
			{"up m", "m ready"},
			{"exit m 1", "m failed, halt a: it needs m, which has failed"},
		}},
		{"who depends on what goes down goes with it", cfgs(
			newConfig(kid("a", parallel(1)), kid("b*3", after("a"), parallel(1))),
			newConfig(kid("a", parallel(1), args("+")), kid("b*3", after("a"), parallel(1), args("+")))), []step{
			{"up a", "spawn a, a ready, spawn b1, spawn b2, spawn b3"},
			{"up b1", "b1 ready"},
			{"up b2", "b2 ready"},
			{"up b3", "b3 ready"},
			{"reload 1", "SIGTERM b1, SIGTERM b2, SIGTERM b3"},
			{"exit b1", ""},
			{"exit b3", ""},
			{"exit b2", "SIGTERM a"},
			{"exit a", "spawn a+"},
			{"up a", "a ready, spawn b1+, spawn b2+, spawn b3+"},
		}},
		{"a dependency that waits for nobody", cfgs(
			newConfig(kid("a"), kid("b*2", after("a"), parallel(1))),
			newConfig(kid("a"), kid("b*2", after("a"), parallel(1), args("+")), kid("c"))), []step{
			{"up a", "spawn a, a ready, spawn b1, spawn b2"},
			{"up b1", "b1 ready"},
			{"up b2", "b2 ready"},
			{"reload 1", "SIGTERM b1, spawn c"},
			{"up c", "c ready"},
			{"exit a 1", "a again 1"},
			{"exit b1", ""}, // b1 waits for a
			{"reload 0", "SIGTERM c"},
			{"exit c", ""},
			{"wait 1s", "spawn a"},
			{"up a", "a ready, spawn b1"},
			{"up b1", "b1 ready, reloaded +[] -[] ~[b1] =[a b2]"},
		}},
	})
}

func TestOverlap(t *testing.T) {
	one := newConfig(kid("a", overlapping))
	new := newConfig(kid("a", overlapping, args("+")))
	up := step{"up a", "spawn a, a ready"}
	playAll(t, []script{
		{"the new one is ready before the old one is stopped", cfgs(one, new), []step{
			up,
			{"reload 1", "spawn a+"},
			{"wait 1m", ""},
			{"health", ""},
			{"up a", "a ready, SIGTERM a"},
			{"health", ""},
			{"exit a", "reloaded +[] -[] ~[a] =[]"},
			{"TERM", "SIGTERM a"},
			{"exit a", "sweep"},
			{"swept", ""},
			{"end", "graceful 0: spawned 2, reaped 2, orphans 0, killed 0, left 0"},
		}},
		{"a rolling one", cfgs(newConfig(kid("a*2", overlapping, parallel(1))), newConfig(kid("a*2", overlapping, parallel(1), args("+")))), []step{
			{"up a1", "spawn a1, spawn a2, a1 ready"},
			{"up a2", "a2 ready"},
			{"reload 1", "spawn a1+"},
			{"up a1", "a1 ready, SIGTERM a1, spawn a2+"},
			{"up a2", "a2 ready, SIGTERM a2"},
			{"exit a2", ""},
			{"exit a1", "reloaded +[] -[] ~[a1 a2] =[]"},
		}},
		{"the new one ends well before it serves", cfgs(one, newConfig(kid("a", overlapping, args("+"), readyAt("127.0.0.1:1")))), []step{
			up,
			{"reload 1", "spawn a+"},
			{"up a", ""},
			{"exit! a", "a completed, halt a: the new a has failed"},
			{"health", "the reload of a is halted: the new a has failed"},
		}},
		{"the old one ends by itself, for good, and the new one will serve", cfgs(newConfig(kid("a", overlapping, restart("never"))), new), []step{
			up,
			{"reload 1", "spawn a+"},
			{"exit a 1", ""},
			{"up a", "a ready, reloaded +[] -[] ~[a] =[]"},
		}},
		{"a stop in the middle stops both", cfgs(one, new), []step{
			up,
			{"reload 1", "spawn a+"},
			{"TERM", "ignored: a stop began before it was fully applied, SIGTERM a, SIGTERM a"},
		}},
		{"the old one ends by itself", cfgs(one, new), []step{
			up,
			{"reload 1", "spawn a+"},
			{"exit a 1", ""},
			{"wait 1m", ""},
			{"up a", "a ready, reloaded +[] -[] ~[a] =[]"},
		}},
		{"the new one fails, and comes again", cfgs(one, new), []step{
			up,
			{"reload 1", "spawn a+"},
			{"refuse a", "a not spawned, a again 1"},
			{"wait 1s", "spawn a+"},
			{"up a", "a ready, SIGTERM a"},
		}},
		{"the new one fails for good: the old one goes on", cfgs(newConfig(kid("a", overlapping)), newConfig(kid("a", overlapping, args("+"), restart("never"), onFailure(config.Ignore)))), []step{
			up,
			{"reload 1", "spawn a+"},
			{"refuse a", "a not spawned, a failed, halt a: the new a has failed"},
			{"health", "the reload of a is halted: the new a has failed"},
			{"exit a 1", "a again 1"},
			{"wait 1s", "spawn a"},
			{"up a", "a ready"},
			{"wait 1h", ""},
			{"reload 0", "reloaded +[] -[] ~[] =[a]"},
			{"health", ""},
		}},
		{"back in the middle", cfgs(one, new), []step{
			up,
			{"reload 1", "spawn a+"},
			{"up a", "a ready, SIGTERM a"},
			{"reload 0", "spawn a"},
			{"up a", "a ready, SIGTERM a"},
		}},
		{"back before the new one is ready", cfgs(one, new), []step{
			up,
			{"reload 1", "spawn a+"},
			{"reload 0", "SIGTERM a"},
		}},
		{"taken out in the middle", cfgs(one, new, newConfig(kid("b"))), []step{
			up,
			{"reload 1", "spawn a+"},
			{"reload 2", "spawn b, SIGTERM a, SIGTERM a"},
		}},
		{"one that is not ready yet has nothing to overlap", cfgs(newConfig(kid("a", overlapping, readyAt(":1"))), newConfig(kid("a", overlapping, args("+")))), []step{
			{"up a", "spawn a"},
			{"reload 1", "SIGTERM a"},
			{"exit a", "spawn a+"},
		}},
		{"what it depends on goes down", cfgs(
			newConfig(kid("a"), kid("b", after("a"), overlapping)),
			newConfig(kid("a", args("+")), kid("b", after("a"), overlapping, args("+")))), []step{
			{"up a", "spawn a, a ready, spawn b"},
			{"up b", "b ready"},
			{"reload 1", "SIGTERM b"},
			{"exit b", "SIGTERM a"},
			{"exit a", "spawn a+"},
			{"up a", "a ready, spawn b+"},
		}},
		{"what it depends on overlaps too", cfgs(
			newConfig(kid("a", overlapping), kid("b", after("a"), overlapping)),
			newConfig(kid("a", overlapping, args("+")), kid("b", after("a"), overlapping, args("+")))), []step{
			{"up a", "spawn a, a ready, spawn b"},
			{"up b", "b ready"},
			{"reload 1", "spawn a+"},
			{"up a", "a ready, SIGTERM a, spawn b+"},
			{"up b", "b ready, SIGTERM b"},
		}},
	})
}

func TestRollback(t *testing.T) {
	old := newConfig(kid("a"), kid("b*2", parallel(1)))
	one := newConfig(kid("a", overlapping))
	ups := []step{{"up a", "spawn a, spawn b1, spawn b2, a ready"}, {"up b1", "b1 ready"}, {"up b2", "b2 ready"}}
	bad := rollback(newConfig(kid("a"), kid("b*2", parallel(1), args("+"), readyAt("127.0.0.1:1")), kid("c")))
	playAll(t, []script{
		{"one that is late", cfgs(old, bad), append(ups[:3:3],
			step{"reload 1", "SIGTERM b1, spawn c"},
			step{"up c", "c ready"},
			step{"exit b1", "spawn b1+"},
			step{"up b1", ""},
			step{"wait 1s", "b1 not ready, SIGTERM b1, back for b1, SIGTERM c"},
			step{"exit c", ""},
			step{"exit b1", "spawn b1"},
			step{"up b1", "b1 ready, rejected: b1: not ready within 1s; the previous configuration is in force again"},
		)},
		{"one that ends before", cfgs(old, bad), append(ups[:3:3],
			step{"reload 1", "SIGTERM b1, spawn c"},
			step{"exit b1", "spawn b1+"},
			step{"up b1", ""},
			step{"exit b1 1", "back for b1, SIGTERM c, spawn b1"},
			step{"up c", ""},
			step{"exit c", ""},
			step{"up b1", "b1 ready, rejected: b1: exited with code 1 before it was ready; the previous configuration is in force again"},
			step{"health", ""},
		)},
		{"one that cannot be spawned, and the old one never left", cfgs(newConfig(kid("a", overlapping)), rollback(newConfig(kid("a", overlapping, args("+"))))), []step{
			{"up a", "spawn a, a ready"},
			{"reload 1", "spawn a+"},
			{"refuse a", "a not spawned, back for a, rejected: a: it could not be spawned: no such file; the previous configuration is in force again"},
			{"wait 1h", ""},
		}},
		{"one that ends well before it serves", cfgs(one, rollback(newConfig(kid("a", overlapping, args("+"), readyAt("127.0.0.1:1"))))), []step{
			{"up a", "spawn a, a ready"},
			{"reload 1", "spawn a+"},
			{"up a", ""},
			{"exit! a", "back for a, rejected: a: exited with code 0 before it was ready; the previous configuration is in force again"},
		}},
		{"a oneshot that fails", cfgs(newConfig(kid("a")), rollback(newConfig(kid("a", after("m")), kid("m", oneshot, onFailure(config.Ignore))))), []step{
			{"up a", "spawn a, a ready"},
			{"reload 1", "spawn m"},
			{"up m", "m ready"},
			{"exit m 1", "back for m, rejected: m: exited with code 1; the previous configuration is in force again"},
		}},
		{"what fails later does not", cfgs(newConfig(kid("a")), rollback(newConfig(kid("a", args("+")), kid("b", readyAt("127.0.0.1:1"))))), []step{
			{"up a", "spawn a, a ready"},
			{"reload 1", "SIGTERM a, spawn b"},
			{"exit a", "spawn a+"},
			{"up a", "a ready"},
			{"exit a 1", "a again 1"},
		}},
		{"one that a further reload replaces is nobody's fault", cfgs(newConfig(kid("a"), kid("b", after("a"))),
			rollback(newConfig(kid("a", args("+"), readyAt("127.0.0.1:1")), kid("b", after("a")))),
			rollback(newConfig(kid("a", args("++")), kid("b", after("a"), args("+"))))), []step{
			{"up a", "spawn a, a ready, spawn b"},
			{"up b", "b ready"},
			{"reload 1", "SIGTERM a"},
			{"exit a", "spawn a+"},
			{"up a", ""},
			{"reload 2", "SIGTERM b"},
			{"wait 1s", "a not ready, SIGTERM a"},
			{"exit a", "spawn a++"},
			{"up a", "a ready"},
			{"exit b", "spawn b+"},
			{"up b", "b ready, reloaded +[] -[] ~[a b] =[]"},
		}},
		{"a stop in the middle of it", cfgs(old, bad), append(ups[:3:3],
			step{"reload 1", "SIGTERM b1, spawn c"},
			step{"exit b1", "spawn b1+"},
			step{"refuse b1", "b1 not spawned, back for b1, SIGTERM c, spawn b1"},
			step{"TERM", "ignored: a stop began before it was fully applied, SIGTERM a, SIGTERM b1, SIGTERM b2"},
		)},
		{"a further reload in the middle of it", cfgs(old, bad), append(ups[:3:3],
			step{"reload 1", "SIGTERM b1, spawn c"},
			step{"exit b1", "spawn b1+"},
			step{"refuse b1", "b1 not spawned, back for b1, SIGTERM c, spawn b1"},
			step{"reload 0", ""},
			step{"up c", ""},
			step{"exit c", ""},
			step{"up b1", "b1 ready, reloaded +[] -[] ~[b1] =[a b2]"},
		)},
	})
}
