package orchestrator

import (
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"

	"tp0/supervisor/config"
	"tp0/supervisor/lifecycle"
)

func TestOrder(t *testing.T) {
	chain := configs(newConfig(child("c", after("b1")), child("web*2", after("db")), child("db"), child("b1", after("web"))))
	runScripts(t, []script{
		{"a chain starts and stops in order", chain, []step{
			{"", "spawn db"},
			{"health", "c is waiting"},
			{"spawned db", "db ready, spawn web1, spawn web2"},
			{"spawned web2", "web2 ready"},
			{"spawned web1", "web1 ready, spawn b1"},
			{"spawned b1", "b1 ready, spawn c"},
			{"health", "c is starting"},
			{"spawned c", "c ready"},
			{"health", ""},
			{"TERM", "SIGTERM c"},
			{"health", "stopping"},
			{"exit c", "SIGTERM b1"},
			{"exit b1", "SIGTERM web1, SIGTERM web2"},
			{"exit web1", ""},
			{"exit web2", "SIGTERM db"},
			{"exit db", "cleanup"},
			{"end", "not over"},
			{"cleaned-up", ""},
			{"end", "graceful 0: spawned 5, reaped 5, orphans 0, killed 0, left 0"},
			{"health", "the supervisor has ended"},
		}},
		{"a stop in mid-start", chain, []step{
			{"", "spawn db"},
			{"spawned db", "db ready, spawn web1, spawn web2"},
			{"spawned web1", "web1 ready"},
			{"TERM", "SIGTERM web1, SIGTERM web2"}, // web2 has no pid yet
			{"spawned web2", ""},
			{"exit web1", ""},
			{"exit-by web2 SIGTERM", "SIGTERM db"},
			{"exit db", "cleanup"},
		}},
		{"one that succeeded counts as ready", configs(newConfig(child("init"), child("a", after("init")))), []step{
			{"", "spawn init"},
			{"spawned init", "init ready, spawn a"},
			{"spawned a", "a ready"},
			{"exit init", "init completed"},
			{"exit a 1", "a restart 1"},
			{"wait 1s", "spawn a"},
			{"spawned a", "a ready"},
			{"health", ""},
		}},
		{"one that failed and is ignored is in nobody's way", configs(newConfig(child("a", never, ignored), child("b", after("a")))), []step{
			{"", "spawn a"},
			{"spawn-failed a", "a not spawned, a failed, b blocked by a, stop: nothing runs and nothing is due, cleanup"},
			{"cleaned-up", ""},
			{"end", "graceful 1: spawned 0, reaped 0, orphans 0, killed 0, left 0"},
		}},
	})
}

func TestLadder(t *testing.T) {
	pair := configs(newConfig(child("a"), child("b", after("a"))))
	up := []step{{"", "spawn a"}, {"spawned a", "a ready, spawn b"}, {"spawned b", "b ready"}}
	scripts := []script{
		{"its time passes", pair, []step{
			{"TERM", "SIGTERM b"},
			{"wait 1999ms", ""},
			{"wait 1ms", "SIGKILL b"},
			{"wait 99ms", ""}, // there is nothing after SIGKILL
			{"exit-by b SIGKILL", "SIGTERM a"},
			{"exit a", "cleanup"},
			{"cleaned-up", ""},
			{"end", "forced 124: spawned 2, reaped 2, orphans 0, killed 1, left 0"},
		}},
		{"each its own signal and time", configs(newConfig(child("a", killSignal(9, 0)), child("b", after("a"), killSignal(2, 1e9)))), []step{
			{"TERM", "SIGINT b"},
			{"wait 999ms", ""},
			{"wait 1ms", "SIGKILL b"},
			{"exit b", "SIGKILL a"},
		}},
		{"the third signal kills all", pair, []step{
			{"INT", "SIGTERM b"},
			{"exit b", "SIGTERM a"},
			{"INT", "SIGKILL a"},
			{"TERM", ""},
			{"exit a", "cleanup"},
			{"TERM", "cleanup"}, // it kills at once
		}},
		{"the second is the next rung", configs(newConfig(child("a"), child("b"))), []step{
			{"exit b 1", "b restart 1"}, // nothing to signal
			{"TERM", "SIGTERM a"},
			{"wait 1s", ""},
			{"TERM", "SIGKILL a"},
			{"wait 1s", ""}, // the time of the rung that was left early
			{"exit a", "cleanup"},
		}},
		{"the second tells those that were not told", pair, []step{
			{"TERM", "SIGTERM b"},
			{"TERM", "SIGTERM a, SIGKILL b"},
		}},
		{"one ends before its turn", pair, []step{
			{"TERM", "SIGTERM b"},
			{"exit a 1", ""}, // no restart is due, and no failure
			{"exit b", "cleanup"},
			{"cleaned-up", ""},
			{"end", "graceful 0: spawned 2, reaped 2, orphans 0, killed 0, left 0"},
		}},
		{"a first signal after a fault of ours", pair, []step{
			{"fault", "stop: an internal fault, SIGTERM b"},
			{"TERM", ""},
		}},
		{"the deadline kills, and gives up", configs(newConfig(child("a", killSignal(15, 1e12)), child("b", after("a"), killSignal(15, 1e12)))), []step{
			{"TERM", "SIGTERM b"},
			{"wait 9599ms", ""},
			{"wait 1ms", "SIGTERM a, SIGKILL a, SIGKILL b"},
			{"exit b", ""},
			{"wait 199ms", ""},
			{"wait 1ms", "cleanup"},
			{"cleaned-up 77", "leftover 77"},
			{"end", "forced 124: spawned 2, reaped 1, orphans 0, killed 1, left 0"},
		}},
		{"books that do not balance", pair, []step{
			{"TERM", "SIGTERM b"},
			{"exit b", "SIGTERM a"},
			{"wait 2s", "SIGKILL a"},
			{"wait 7800ms", "cleanup"},
			{"cleaned-up", ""}, // nothing is left, but nobody saw the end of it
			{"end", "leaky 1: spawned 2, reaped 1, orphans 0, killed 0, left 0"},
		}},
		{"an internal fault", pair, []step{
			{"fault", "stop: an internal fault, SIGTERM b"},
			{"exit b", "SIGTERM a"},
			{"exit a", "cleanup"},
			{"cleaned-up", ""},
			{"end", "leaky 1: spawned 2, reaped 2, orphans 0, killed 0, left 0"},
		}},
	}
	for i := range scripts {
		first := up
		if scripts[i].name == "the second is the next rung" {
			first = []step{{"", "spawn a, spawn b"}, {"spawned a", "a ready"}, {"spawned b", "b ready"}}
		}
		scripts[i].steps = append(append([]step{}, first...), scripts[i].steps...)
	}
	runScripts(t, scripts)
}

// What a file can say of an end: its signals, whom they reach, what is a success.
func TestGivenEnds(t *testing.T) {
	both := killSequence(lifecycle.Step{Signal: unix.SIGINT, Wait: time.Second}, lifecycle.Step{Signal: unix.SIGQUIT, Wait: time.Second / 2})
	runScripts(t, []script{
		{"one of several rungs", configs(newConfig(child("b", both))), []step{
			{"", "spawn b"},
			{"spawned b", "b ready"},
			{"TERM", "SIGINT b"},
			{"wait 1s", "SIGQUIT b"},
			{"wait 499ms", ""},
			{"wait 1ms", "SIGKILL b"},
			{"exit-by b SIGKILL", "cleanup"},
			{"cleaned-up", ""},
			{"end", "forced 124: spawned 1, reaped 1, orphans 0, killed 1, left 0"},
		}},
		{"a success that is not 0", configs(newConfig(child("a", successCodes(0, 3, 143)))), []step{
			{"", "spawn a"},
			{"spawned a", "a ready"},
			{"exit a 3", "a completed, stop: nothing runs and nothing is due, cleanup"},
			{"cleaned-up", ""},
			{"end", "graceful 0: spawned 1, reaped 1, orphans 0, killed 0, left 0"},
		}},
		{"a success by a signal", configs(newConfig(child("a", successCodes(0, 3, 143)), child("b"))), []step{
			{"", "spawn a, spawn b"},
			{"spawned a", "a ready"},
			{"spawned b", "b ready"},
			{"exit-by a SIGTERM", "a completed"},
			{"exit-by b SIGTERM", "b restart 1"},
			{"wait 1s", "spawn b"},
		}},
		{"0 is no success", configs(newConfig(child("a", successCodes(3)))), []step{
			{"", "spawn a"},
			{"spawned a", "a ready"},
			{"exit a 0", "a restart 1"},
			{"wait 1s", "spawn a"},
		}},
		{"another scope", configs(newConfig(child("a")), newConfig(child("a", scope(lifecycle.ScopeTree)))), []step{
			{"", "spawn a"},
			{"spawned a", "a ready"},
			{"reload 1", "scope tree a, reloaded +[] -[] ~[a] =[]"},
		}},
	})
}

func TestEnds(t *testing.T) {
	one := configs(newConfig(child("a")))
	runScripts(t, []script{
		{"restarts, until there are too many", one, []step{
			{"", "spawn a"},
			{"spawned a", "a ready"},
			{"exit a 3", "a restart 1"},
			{"health", "a is backing off"},
			{"wait 1s", "spawn a"},
			{"spawn-failed a", "a not spawned, a restart 2"},
			{"wait 1s", "spawn a"},
			{"spawned a", "a ready"},
			{"exit-by a SIGSEGV", "a failed, stop: child failed: a, cleanup"},
			{"cleaned-up", ""},
			{"end", "graceful 1: spawned 2, reaped 2, orphans 0, killed 0, left 0"},
		}},
		{"no restart in a stop", one, []step{
			{"", "spawn a"},
			{"spawned a", "a ready"},
			{"exit a 3", "a restart 1"},
			{"TERM", "cleanup"},
			{"wait 1s", ""},
			{"cleaned-up", ""},
			{"end", "graceful 0: spawned 1, reaped 1, orphans 0, killed 0, left 0"},
		}},
		{"always", configs(newConfig(child("a", restart("always")))), []step{
			{"", "spawn a"},
			{"spawned a", "a ready"},
			{"exit a", "a restart 1"},
			{"wait 1s", "spawn a"},
		}},
		{"a failure that ends all", configs(newConfig(child("a", never), child("b"))), []step{
			{"", "spawn a, spawn b"},
			{"spawned b", "b ready"},
			{"spawn-failed a", "a not spawned, a failed, stop: child failed: a, SIGTERM b"},
			{"exit b", "cleanup"},
			{"cleaned-up", ""},
			{"end", "graceful 1: spawned 1, reaped 1, orphans 0, killed 0, left 0"},
		}},
		{"a failure that is ignored", configs(newConfig(child("a", never, ignored), child("b"))), []step{
			{"", "spawn a, spawn b"},
			{"spawned a", "a ready"},
			{"spawned b", "b ready"},
			{"exit a 1", "a failed"},
			{"health", "a is failed"},
			{"exit b", "b completed, stop: nothing runs and nothing is due, cleanup"},
			{"cleaned-up", ""},
			{"end", "graceful 1: spawned 2, reaped 2, orphans 0, killed 0, left 0"},
		}},
		{"a success of all instances ends all", configs(newConfig(child("a*2", onSuccess(config.ShutDown)), child("b"))), []step{
			{"", "spawn a1, spawn a2, spawn b"},
			{"spawned a1", "a1 ready"},
			{"spawned a2", "a2 ready"},
			{"spawned b", "b ready"},
			{"exit a2", "a2 completed"},
			{"exit a1 1", "a1 restart 1"},
			{"wait 1s", "spawn a1"},
			{"spawned a1", "a1 ready"},
			{"exit a1", "a1 completed, stop: child completed: a, SIGTERM b"},
			{"exit b", "cleanup"},
			{"cleaned-up", ""},
			{"end", "graceful 0: spawned 4, reaped 4, orphans 0, killed 0, left 0"},
		}},
	})
	strict := newConfig(child("a"))
	strict.Shutdown.Strict = true
	for _, leak := range []struct {
		cfg   *config.Config
		proof string
		end   string
	}{
		{newConfig(child("a")), "exact", "leaky 0"},
		{strict, "sampled", "leaky 0"},
		{strict, "exact", "leaky 3"},
	} {
		runScript(t, configs(leak.cfg), []step{
			{"", "spawn a"},
			{"spawned a", "a ready"},
			{"TERM", "SIGTERM a"},
			{"exit-leaking a " + leak.proof, "cleanup"},
			{"cleaned-up", ""},
			{"end", leak.end + ": spawned 1, reaped 1, orphans 0, killed 0, left 1"},
		})
	}
}

func TestReload(t *testing.T) {
	up := []step{{"", "spawn a"}, {"spawned a", "a ready, spawn b"}, {"spawned b", "b ready"}}
	base := newConfig(child("a"), child("b", after("a")))
	scripts := []script{
		{"nothing", configs(base, newConfig(child("a"), child("b", after("a")))), []step{
			{"reload 1", "reloaded +[] -[] ~[] =[a b]"},
		}},
		{"added and removed", configs(base, newConfig(child("a"), child("c", after("a")))), []step{
			{"reload 1", "spawn c, SIGTERM b"},
			{"spawned c", "c ready"},
			{"health", "b is stopping"},
			{"exit b", "reloaded +[c] -[b] ~[] =[a]"},
			{"health", ""},
			{"TERM", "SIGTERM c"},
		}},
		{"changed", configs(base, newConfig(child("a"), child("b", after("a"), args("+")))), []step{
			{"reload 1", "SIGTERM b"},
			{"health", "b is replacing"},
			{"exit b", "spawn b+"},
			{"spawned b", "b ready, reloaded +[] -[] ~[b] =[a]"},
		}},
		{"a renewed dependency stops its renewed dependents first", configs(base, newConfig(child("a", args("+")), child("b", after("a"), args("+")))), []step{
			{"reload 1", "SIGTERM b"},
			{"exit b", "SIGTERM a"},
			{"exit a", "spawn a+"},
			{"spawned a", "a ready, spawn b+"},
			{"spawned b", "b ready, reloaded +[] -[] ~[a b] =[]"},
		}},
		{"a renewed dependency leaves the others alone", configs(base, newConfig(child("a", args("+")), child("b", after("a")))), []step{
			{"reload 1", "SIGTERM a"},
			{"exit a 1", "spawn a+"}, // that it failed does not matter any more
			{"spawned a", "a ready, reloaded +[] -[] ~[a] =[b]"},
		}},
		{"a policy at once, without a restart", configs(base, newConfig(child("a"), child("b", after("a"), killSignal(1, 1e9)))), []step{
			{"reload 1", "reloaded +[] -[] ~[b] =[a]"},
			{"TERM", "SIGHUP b"},
			{"wait 1s", "SIGKILL b"},
		}},
		{"a dependency removed", configs(base, newConfig(child("b"))), []step{
			{"reload 1", "SIGTERM a"},
			{"exit a", "reloaded +[] -[a] ~[b] =[]"},
			{"TERM", "SIGTERM b"},
		}},
		{"both removed, in order", configs(base, newConfig(child("c"))), []step{
			{"reload 1", "spawn c, SIGTERM b"},
			{"spawned c", "c ready"},
			{"exit b", "SIGTERM a"},
			{"exit a", "reloaded +[c] -[a b] ~[] =[]"},
		}},
		{"a newer one supersedes", configs(base, newConfig(child("a"), child("b", after("a"), args("+"))), newConfig(child("a"), child("b", after("a"), args("-")))), []step{
			{"reload 1", "SIGTERM b"},
			{"reload 2", ""},
			{"exit b", "spawn b-"},
			{"spawned b", "b ready, reloaded +[] -[] ~[b] =[a]"},
		}},
		{"one that is back before it is gone", configs(base, newConfig(child("a")), base), []step{
			{"reload 1", "SIGTERM b"},
			{"reload 2", ""},
			{"wait 2s", "SIGKILL b"},
			{"exit b", "spawn b"},
			{"spawned b", "b ready, reloaded +[] -[] ~[b] =[a]"},
		}},
		{"a start that is renewed", configs(base, newConfig(child("a"), child("b", after("a"), args("+"))), base), []step{
			{"reload 1", "SIGTERM b"},
			{"exit b", "spawn b+"},
			{"reload 2", "SIGTERM b"},
			{"spawn-failed b", "b not spawned, spawn b"},
			{"spawned b", "b ready, reloaded +[] -[] ~[b] =[a]"},
		}},
		{"one that backs off, and one that is to go", configs(newConfig(child("a"), child("b", after("a"))), newConfig(child("b", args("+")))), []step{
			{"exit a 1", "a restart 1"},
			{"exit b 1", "b restart 1"},
			{"reload 1", "spawn b+"},
			{"spawned b", "b ready, reloaded +[] -[a] ~[b] =[]"},
			{"wait 1s", ""},
			{"exit b 1", "b restart 1"}, // the old ones do not count
		}},
		{"one that failed gets another chance", configs(newConfig(child("a"), child("b", after("a"), never, ignored)), newConfig(child("a"), child("b", args("+")))), []step{
			{"exit b 1", "b failed"},
			{"reload 1", "spawn b+"},
			{"spawned b", "b ready, reloaded +[] -[] ~[b] =[a]"},
			{"health", ""},
			{"TERM", "SIGTERM a, SIGTERM b"},
			{"exit a", ""},
			{"exit b", "cleanup"},
			{"cleaned-up", ""},
			{"end", "graceful 0: spawned 3, reaped 3, orphans 0, killed 0, left 0"},
		}},
		{"a stop in mid-reload", configs(base, newConfig(child("a"), child("b", after("a"), args("+")))), []step{
			{"reload 1", "SIGTERM b"},
			{"TERM", "ignored: a stop began before it was fully applied"},
			{"wait 2s", "SIGKILL b"}, // its ladder went on
			{"exit b", "SIGTERM a"},
			{"reload 1", "ignored: a stop is under way"},
			{"exit a", "cleanup"},
		}},
		{"what is new comes before what depends on it", configs(base, newConfig(child("a"), child("c"), child("b", after("c"), args("+")))), []step{
			{"reload 1", "spawn c, SIGTERM b"},
			{"exit b", ""},
			{"spawned c", "c ready, spawn b+"},
			{"spawned b", "b ready, reloaded +[c] -[] ~[b] =[a]"},
		}},
		{"a dependency turned around", configs(base, newConfig(child("a", after("b"), args("+")), child("b", args("+")))), []step{
			{"reload 1", "SIGTERM a"},
			{"exit a", "SIGTERM b"},
			{"exit b", "spawn b+"},
			{"spawned b", "b ready, spawn a+"},
			{"spawned a", "a ready, reloaded +[] -[] ~[a b] =[]"},
		}},
		{"an instance less makes room", configs(newConfig(child("a*2"), child("b", after("a"))), newConfig(child("a*1"), child("b", after("a")), child("c", after("a")))), []step{
			{"reload 1", "SIGTERM a2"},
			{"exit a2", "spawn c"},
			{"spawned c", "c ready, reloaded +[c] -[a2] ~[] =[a1 b]"},
		}},
		{"an instance that becomes a child", configs(newConfig(child("a*2"), child("b", after("a"))), newConfig(child("a1"), child("a2", args("+")), child("b", after("a2"), args("+")))), []step{
			{"reload 1", "SIGTERM b"},
			{"exit b", "SIGTERM a2"},
			{"exit a2", "spawn a2+"},
			{"spawned a2", "a2 ready, spawn b+"},
			{"spawned b", "b ready, reloaded +[] -[] ~[a1 a2 b] =[]"},
		}},
		{"the deadline of the new file", configs(base, func() *config.Config {
			c := newConfig(child("a"), child("b", after("a")))
			c.Shutdown.Deadline = reserve
			return c
		}()), []step{
			{"reload 1", "reloaded +[] -[] ~[] =[a b]"},
			{"TERM", "SIGTERM b, SIGTERM a, SIGKILL a, SIGKILL b"},
		}},
	}
	two := []step{{"", "spawn a1, spawn a2"}, {"spawned a1", "a1 ready"}, {"spawned a2", "a2 ready, spawn b"}, {"spawned b", "b ready"}}
	for i := range scripts {
		first := up
		if len(scripts[i].configs[0].Instances()) == 3 {
			first = two
		}
		scripts[i].steps = append(append([]step{}, first...), scripts[i].steps...)
	}
	// a2 is of the old file, by which it goes before b; b is of the new one, by
	// which it goes before all of a.
	scripts = append(scripts, script{"old and new in a circle",
		configs(newConfig(child("a*2", after("b")), child("b")), newConfig(child("a*1"), child("b", after("a"), args("+")))), []step{
			{"", "spawn b"},
			{"spawned b", "b ready, spawn a1, spawn a2"},
			{"spawned a1", "a1 ready"},
			{"spawned a2", "a2 ready"},
			{"reload 1", "SIGTERM a2"},
			{"exit a2", "SIGTERM b"},
			{"exit b", "spawn b+"},
			{"spawned b", "b ready, reloaded +[] -[a2] ~[a1 b] =[]"},
		}})
	runScripts(t, scripts)
}

// What does not end by SIGKILL is not waited for: what it depends on has its own time to end.
func TestStopGoesOnAfterKill(t *testing.T) {
	runScripts(t, []script{
		{"in a stop", configs(newConfig(child("a", after("b")), child("b", after("c")), child("c"))), []step{
			{"", "spawn c"},
			{"spawned c", "c ready, spawn b"},
			{"spawned b", "b ready, spawn a"},
			{"spawned a", "a ready"},
			{"TERM", "SIGTERM a"},
			{"wait 2s", "SIGKILL a"},
			{"wait 99ms", ""},
			{"wait 1ms", "SIGTERM b"},
			{"exit b", "SIGTERM c"},
			{"exit c", ""},
			{"exit-by a SIGKILL", "cleanup"},
		}},
	})
}

// After the supervisor stood still both moments of the budget are due at once. Whichever comes
// first, all are killed as runs before the sweep begins.
func TestSweepBeforeKill(t *testing.T) {
	relay := newRelay(t)
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t, relay, newConfig(child("a")))
		defer h.finish()
		h.do("spawned a")
		h.do("TERM")
		h.actions()
		h.o.mail.Put(budgetTimerFired{cleanUpAtAll}, budgetTimerFired{killAll})
		if got, want := h.actions(), "SIGKILL a, cleanup"; got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	})
}
