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
	chain := cfgs(newConfig(kid("c", after("b1")), kid("web*2", after("db")), kid("db"), kid("b1", after("web"))))
	playAll(t, []script{
		{"a chain starts and stops in order", chain, []step{
			{"", "spawn db"},
			{"health", "c is waiting"},
			{"up db", "db ready, spawn web1, spawn web2"},
			{"up web2", "web2 ready"},
			{"up web1", "web1 ready, spawn b1"},
			{"up b1", "b1 ready, spawn c"},
			{"health", "c is starting"},
			{"up c", "c ready"},
			{"health", ""},
			{"TERM", "SIGTERM c"},
			{"health", "stopping"},
			{"exit c", "SIGTERM b1"},
			{"exit b1", "SIGTERM web1, SIGTERM web2"},
			{"exit web1", ""},
			{"exit web2", "SIGTERM db"},
			{"exit db", "sweep"},
			{"end", "not over"},
			{"swept", ""},
			{"end", "graceful 0: spawned 5, reaped 5, orphans 0, killed 0, left 0"},
			{"health", "the supervisor has ended"},
		}},
		{"a stop in mid-start", chain, []step{
			{"", "spawn db"},
			{"up db", "db ready, spawn web1, spawn web2"},
			{"up web1", "web1 ready"},
			{"TERM", "SIGTERM web1, SIGTERM web2"}, // web2 has no pid yet
			{"up web2", ""},
			{"exit web1", ""},
			{"die web2 SIGTERM", "SIGTERM db"},
			{"exit db", "sweep"},
		}},
		{"one that succeeded counts as ready", cfgs(newConfig(kid("init"), kid("a", after("init")))), []step{
			{"", "spawn init"},
			{"up init", "init ready, spawn a"},
			{"up a", "a ready"},
			{"exit init", "init completed"},
			{"exit a 1", "a again 1"},
			{"wait 1s", "spawn a"},
			{"up a", "a ready"},
			{"health", ""},
		}},
		{"one that failed and is ignored is in nobody's way", cfgs(newConfig(kid("a", restart("never"), onFailure(config.Ignore)), kid("b", after("a")))), []step{
			{"", "spawn a"},
			{"refuse a", "a not spawned, a failed, b waits in vain for a, stop: nothing runs and nothing is due, sweep"},
			{"swept", ""},
			{"end", "graceful 1: spawned 0, reaped 0, orphans 0, killed 0, left 0"},
		}},
	})
}

func TestLadder(t *testing.T) {
	pair := cfgs(newConfig(kid("a"), kid("b", after("a"))))
	up := []step{{"", "spawn a"}, {"up a", "a ready, spawn b"}, {"up b", "b ready"}}
	scripts := []script{
		{"its time passes", pair, []step{
			{"TERM", "SIGTERM b"},
			{"wait 1999ms", ""},
			{"wait 1ms", "SIGKILL b"},
			{"wait 99ms", ""}, // there is nothing after SIGKILL
			{"die b SIGKILL", "SIGTERM a"},
			{"exit a", "sweep"},
			{"swept", ""},
			{"end", "forced 124: spawned 2, reaped 2, orphans 0, killed 1, left 0"},
		}},
		{"each its own signal and time", cfgs(newConfig(kid("a", killBy(9, 0)), kid("b", after("a"), killBy(2, 1e9)))), []step{
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
			{"exit a", "sweep"},
			{"TERM", "sweep"}, // it kills at once
		}},
		{"the second is the next rung", cfgs(newConfig(kid("a"), kid("b"))), []step{
			{"exit b 1", "b again 1"}, // nothing to signal
			{"TERM", "SIGTERM a"},
			{"wait 1s", ""},
			{"TERM", "SIGKILL a"},
			{"wait 1s", ""}, // the time of the rung that was left early
			{"exit a", "sweep"},
		}},
		{"the second tells those that were not told", pair, []step{
			{"TERM", "SIGTERM b"},
			{"TERM", "SIGTERM a, SIGKILL b"},
		}},
		{"one ends before its turn", pair, []step{
			{"TERM", "SIGTERM b"},
			{"exit a 1", ""}, // no restart is due, and no failure
			{"exit b", "sweep"},
			{"swept", ""},
			{"end", "graceful 0: spawned 2, reaped 2, orphans 0, killed 0, left 0"},
		}},
		{"a first signal after a fault of ours", pair, []step{
			{"broken", "stop: an internal fault, SIGTERM b"},
			{"TERM", ""},
		}},
		{"the deadline kills, and gives up", cfgs(newConfig(kid("a", killBy(15, 1e12)), kid("b", after("a"), killBy(15, 1e12)))), []step{
			{"TERM", "SIGTERM b"},
			{"wait 9599ms", ""},
			{"wait 1ms", "SIGTERM a, SIGKILL a, SIGKILL b"},
			{"exit b", ""},
			{"wait 199ms", ""},
			{"wait 1ms", "sweep"},
			{"swept 77", "left 77"},
			{"end", "forced 124: spawned 2, reaped 1, orphans 0, killed 1, left 0"},
		}},
		{"books that do not balance", pair, []step{
			{"TERM", "SIGTERM b"},
			{"exit b", "SIGTERM a"},
			{"wait 2s", "SIGKILL a"},
			{"wait 7800ms", "sweep"},
			{"swept", ""}, // nothing is left, but nobody saw the end of it
			{"end", "leaky 1: spawned 2, reaped 1, orphans 0, killed 0, left 0"},
		}},
		{"an internal fault", pair, []step{
			{"broken", "stop: an internal fault, SIGTERM b"},
			{"exit b", "SIGTERM a"},
			{"exit a", "sweep"},
			{"swept", ""},
			{"end", "leaky 1: spawned 2, reaped 2, orphans 0, killed 0, left 0"},
		}},
	}
	for i := range scripts {
		first := up
		if scripts[i].name == "the second is the next rung" {
			first = []step{{"", "spawn a, spawn b"}, {"up a", "a ready"}, {"up b", "b ready"}}
		}
		scripts[i].steps = append(append([]step{}, first...), scripts[i].steps...)
	}
	playAll(t, scripts)
}

// What a file can say of an end: its signals, whom they reach, what is a success.
func TestGivenEnds(t *testing.T) {
	both := ladder(lifecycle.Step{Signal: unix.SIGINT, Wait: time.Second}, lifecycle.Step{Signal: unix.SIGQUIT, Wait: time.Second / 2})
	playAll(t, []script{
		{"one of several rungs", cfgs(newConfig(kid("b", both))), []step{
			{"", "spawn b"},
			{"up b", "b ready"},
			{"TERM", "SIGINT b"},
			{"wait 1s", "SIGQUIT b"},
			{"wait 499ms", ""},
			{"wait 1ms", "SIGKILL b"},
			{"die b SIGKILL", "sweep"},
			{"swept", ""},
			{"end", "forced 124: spawned 1, reaped 1, orphans 0, killed 1, left 0"},
		}},
		{"a success that is not 0", cfgs(newConfig(kid("a", successes(0, 3, 143)))), []step{
			{"", "spawn a"},
			{"up a", "a ready"},
			{"exit a 3", "a completed, stop: nothing runs and nothing is due, sweep"},
			{"swept", ""},
			{"end", "graceful 0: spawned 1, reaped 1, orphans 0, killed 0, left 0"},
		}},
		{"a success by a signal", cfgs(newConfig(kid("a", successes(0, 3, 143)), kid("b"))), []step{
			{"", "spawn a, spawn b"},
			{"up a", "a ready"},
			{"up b", "b ready"},
			{"die a SIGTERM", "a completed"},
			{"die b SIGTERM", "b again 1"},
			{"wait 1s", "spawn b"},
		}},
		{"0 is no success", cfgs(newConfig(kid("a", successes(3)))), []step{
			{"", "spawn a"},
			{"up a", "a ready"},
			{"exit a 0", "a again 1"},
			{"wait 1s", "spawn a"},
		}},
		{"another scope", cfgs(newConfig(kid("a")), newConfig(kid("a", scope(lifecycle.ScopeTree)))), []step{
			{"", "spawn a"},
			{"up a", "a ready"},
			{"reload 1", "scope tree a, reloaded +[] -[] ~[a] =[]"},
		}},
	})
}

func TestEnds(t *testing.T) {
	one := cfgs(newConfig(kid("a")))
	playAll(t, []script{
		{"restarts, until there are too many", one, []step{
			{"", "spawn a"},
			{"up a", "a ready"},
			{"exit a 3", "a again 1"},
			{"health", "a is backing off"},
			{"wait 1s", "spawn a"},
			{"refuse a", "a not spawned, a again 2"},
			{"wait 1s", "spawn a"},
			{"up a", "a ready"},
			{"die a SIGSEGV", "a failed, stop: child failed: a, sweep"},
			{"swept", ""},
			{"end", "graceful 1: spawned 2, reaped 2, orphans 0, killed 0, left 0"},
		}},
		{"no restart in a stop", one, []step{
			{"", "spawn a"},
			{"up a", "a ready"},
			{"exit a 3", "a again 1"},
			{"TERM", "sweep"},
			{"wait 1s", ""},
			{"swept", ""},
			{"end", "graceful 0: spawned 1, reaped 1, orphans 0, killed 0, left 0"},
		}},
		{"always", cfgs(newConfig(kid("a", restart("always")))), []step{
			{"", "spawn a"},
			{"up a", "a ready"},
			{"exit a", "a again 1"},
			{"wait 1s", "spawn a"},
		}},
		{"a failure that ends all", cfgs(newConfig(kid("a", restart("never")), kid("b"))), []step{
			{"", "spawn a, spawn b"},
			{"up b", "b ready"},
			{"refuse a", "a not spawned, a failed, stop: child failed: a, SIGTERM b"},
			{"exit b", "sweep"},
			{"swept", ""},
			{"end", "graceful 1: spawned 1, reaped 1, orphans 0, killed 0, left 0"},
		}},
		{"a failure that is ignored", cfgs(newConfig(kid("a", restart("never"), onFailure(config.Ignore)), kid("b"))), []step{
			{"", "spawn a, spawn b"},
			{"up a", "a ready"},
			{"up b", "b ready"},
			{"exit a 1", "a failed"},
			{"health", "a is failed"},
			{"exit b", "b completed, stop: nothing runs and nothing is due, sweep"},
			{"swept", ""},
			{"end", "graceful 1: spawned 2, reaped 2, orphans 0, killed 0, left 0"},
		}},
		{"a success of all instances ends all", cfgs(newConfig(kid("a*2", onSuccess(config.ShutDown)), kid("b"))), []step{
			{"", "spawn a1, spawn a2, spawn b"},
			{"up a1", "a1 ready"},
			{"up a2", "a2 ready"},
			{"up b", "b ready"},
			{"exit a2", "a2 completed"},
			{"exit a1 1", "a1 again 1"},
			{"wait 1s", "spawn a1"},
			{"up a1", "a1 ready"},
			{"exit a1", "a1 completed, stop: child completed: a, SIGTERM b"},
			{"exit b", "sweep"},
			{"swept", ""},
			{"end", "graceful 0: spawned 4, reaped 4, orphans 0, killed 0, left 0"},
		}},
	})
	strict := newConfig(kid("a"))
	strict.Shutdown.Strict = true
	for _, leak := range []struct {
		cfg   *config.Config
		proof string
		end   string
	}{
		{newConfig(kid("a")), "exact", "leaky 0"},
		{strict, "sampled", "leaky 0"},
		{strict, "exact", "leaky 3"},
	} {
		play(t, cfgs(leak.cfg), []step{
			{"", "spawn a"},
			{"up a", "a ready"},
			{"TERM", "SIGTERM a"},
			{"leak a " + leak.proof, "sweep"},
			{"swept", ""},
			{"end", leak.end + ": spawned 1, reaped 1, orphans 0, killed 0, left 1"},
		})
	}
}

func TestReload(t *testing.T) {
	up := []step{{"", "spawn a"}, {"up a", "a ready, spawn b"}, {"up b", "b ready"}}
	base := newConfig(kid("a"), kid("b", after("a")))
	scripts := []script{
		{"nothing", cfgs(base, newConfig(kid("a"), kid("b", after("a")))), []step{
			{"reload 1", "reloaded +[] -[] ~[] =[a b]"},
		}},
		{"added and removed", cfgs(base, newConfig(kid("a"), kid("c", after("a")))), []step{
			{"reload 1", "spawn c, SIGTERM b"},
			{"up c", "c ready"},
			{"health", "b is stopping"},
			{"exit b", "reloaded +[c] -[b] ~[] =[a]"},
			{"health", ""},
			{"TERM", "SIGTERM c"},
		}},
		{"changed", cfgs(base, newConfig(kid("a"), kid("b", after("a"), args("+")))), []step{
			{"reload 1", "SIGTERM b"},
			{"health", "b is replacing"},
			{"exit b", "spawn b+"},
			{"up b", "b ready, reloaded +[] -[] ~[b] =[a]"},
		}},
		{"a renewed dependency stops its renewed dependents first", cfgs(base, newConfig(kid("a", args("+")), kid("b", after("a"), args("+")))), []step{
			{"reload 1", "SIGTERM b"},
			{"exit b", "SIGTERM a"},
			{"exit a", "spawn a+"},
			{"up a", "a ready, spawn b+"},
			{"up b", "b ready, reloaded +[] -[] ~[a b] =[]"},
		}},
		{"a renewed dependency leaves the others alone", cfgs(base, newConfig(kid("a", args("+")), kid("b", after("a")))), []step{
			{"reload 1", "SIGTERM a"},
			{"exit a 1", "spawn a+"}, // that it failed does not matter any more
			{"up a", "a ready, reloaded +[] -[] ~[a] =[b]"},
		}},
		{"a policy at once, without a restart", cfgs(base, newConfig(kid("a"), kid("b", after("a"), killBy(1, 1e9)))), []step{
			{"reload 1", "reloaded +[] -[] ~[b] =[a]"},
			{"TERM", "SIGHUP b"},
			{"wait 1s", "SIGKILL b"},
		}},
		{"a dependency removed", cfgs(base, newConfig(kid("b"))), []step{
			{"reload 1", "SIGTERM a"},
			{"exit a", "reloaded +[] -[a] ~[b] =[]"},
			{"TERM", "SIGTERM b"},
		}},
		{"both removed, in order", cfgs(base, newConfig(kid("c"))), []step{
			{"reload 1", "spawn c, SIGTERM b"},
			{"up c", "c ready"},
			{"exit b", "SIGTERM a"},
			{"exit a", "reloaded +[c] -[a b] ~[] =[]"},
		}},
		{"a newer one supersedes", cfgs(base, newConfig(kid("a"), kid("b", after("a"), args("+"))), newConfig(kid("a"), kid("b", after("a"), args("-")))), []step{
			{"reload 1", "SIGTERM b"},
			{"reload 2", ""},
			{"exit b", "spawn b-"},
			{"up b", "b ready, reloaded +[] -[] ~[b] =[a]"},
		}},
		{"one that is back before it is gone", cfgs(base, newConfig(kid("a")), base), []step{
			{"reload 1", "SIGTERM b"},
			{"reload 2", ""},
			{"wait 2s", "SIGKILL b"},
			{"exit b", "spawn b"},
			{"up b", "b ready, reloaded +[] -[] ~[b] =[a]"},
		}},
		{"a start that is renewed", cfgs(base, newConfig(kid("a"), kid("b", after("a"), args("+"))), base), []step{
			{"reload 1", "SIGTERM b"},
			{"exit b", "spawn b+"},
			{"reload 2", "SIGTERM b"},
			{"refuse b", "b not spawned, spawn b"},
			{"up b", "b ready, reloaded +[] -[] ~[b] =[a]"},
		}},
		{"one that backs off, and one that is to go", cfgs(newConfig(kid("a"), kid("b", after("a"))), newConfig(kid("b", args("+")))), []step{
			{"exit a 1", "a again 1"},
			{"exit b 1", "b again 1"},
			{"reload 1", "spawn b+"},
			{"up b", "b ready, reloaded +[] -[a] ~[b] =[]"},
			{"wait 1s", ""},
			{"exit b 1", "b again 1"}, // the old ones do not count
		}},
		{"one that failed gets another chance", cfgs(newConfig(kid("a"), kid("b", after("a"), restart("never"), onFailure(config.Ignore))), newConfig(kid("a"), kid("b", args("+")))), []step{
			{"exit b 1", "b failed"},
			{"reload 1", "spawn b+"},
			{"up b", "b ready, reloaded +[] -[] ~[b] =[a]"},
			{"health", ""},
			{"TERM", "SIGTERM a, SIGTERM b"},
			{"exit a", ""},
			{"exit b", "sweep"},
			{"swept", ""},
			{"end", "graceful 0: spawned 3, reaped 3, orphans 0, killed 0, left 0"},
		}},
		{"a stop in mid-reload", cfgs(base, newConfig(kid("a"), kid("b", after("a"), args("+")))), []step{
			{"reload 1", "SIGTERM b"},
			{"TERM", "ignored: a stop began before it was fully applied"},
			{"wait 2s", "SIGKILL b"}, // its ladder went on
			{"exit b", "SIGTERM a"},
			{"reload 1", "ignored: a stop is under way"},
			{"exit a", "sweep"},
		}},
		{"what is new comes before what depends on it", cfgs(base, newConfig(kid("a"), kid("c"), kid("b", after("c"), args("+")))), []step{
			{"reload 1", "spawn c, SIGTERM b"},
			{"exit b", ""},
			{"up c", "c ready, spawn b+"},
			{"up b", "b ready, reloaded +[c] -[] ~[b] =[a]"},
		}},
		{"a dependency turned around", cfgs(base, newConfig(kid("a", after("b"), args("+")), kid("b", args("+")))), []step{
			{"reload 1", "SIGTERM a"},
			{"exit a", "SIGTERM b"},
			{"exit b", "spawn b+"},
			{"up b", "b ready, spawn a+"},
			{"up a", "a ready, reloaded +[] -[] ~[a b] =[]"},
		}},
		{"an instance less makes room", cfgs(newConfig(kid("a*2"), kid("b", after("a"))), newConfig(kid("a*1"), kid("b", after("a")), kid("c", after("a")))), []step{
			{"reload 1", "SIGTERM a2"},
			{"exit a2", "spawn c"},
			{"up c", "c ready, reloaded +[c] -[a2] ~[] =[a1 b]"},
		}},
		{"an instance that becomes a child", cfgs(newConfig(kid("a*2"), kid("b", after("a"))), newConfig(kid("a1"), kid("a2", args("+")), kid("b", after("a2"), args("+")))), []step{
			{"reload 1", "SIGTERM b"},
			{"exit b", "SIGTERM a2"},
			{"exit a2", "spawn a2+"},
			{"up a2", "a2 ready, spawn b+"},
			{"up b", "b ready, reloaded +[] -[] ~[a1 a2 b] =[]"},
		}},
		{"the deadline of the new file", cfgs(base, func() *config.Config {
			c := newConfig(kid("a"), kid("b", after("a")))
			c.Shutdown.Deadline = reserve
			return c
		}()), []step{
			{"reload 1", "reloaded +[] -[] ~[] =[a b]"},
			{"TERM", "SIGTERM b, SIGTERM a, SIGKILL a, SIGKILL b"},
		}},
	}
	two := []step{{"", "spawn a1, spawn a2"}, {"up a1", "a1 ready"}, {"up a2", "a2 ready, spawn b"}, {"up b", "b ready"}}
	for i := range scripts {
		first := up
		if len(scripts[i].cfgs[0].Instances()) == 3 {
			first = two
		}
		scripts[i].steps = append(append([]step{}, first...), scripts[i].steps...)
	}
	// a2 is of the old file, by which it goes before b; b is of the new one, by
	// which it goes before all of a.
	scripts = append(scripts, script{"old and new in a circle",
		cfgs(newConfig(kid("a*2", after("b")), kid("b")), newConfig(kid("a*1"), kid("b", after("a"), args("+")))), []step{
			{"", "spawn b"},
			{"up b", "b ready, spawn a1, spawn a2"},
			{"up a1", "a1 ready"},
			{"up a2", "a2 ready"},
			{"reload 1", "SIGTERM a2"},
			{"exit a2", "SIGTERM b"},
			{"exit b", "spawn b+"},
			{"up b", "b ready, reloaded +[] -[a2] ~[a1 b] =[]"},
		}})
	playAll(t, scripts)
}

// What does not end by SIGKILL is not waited for: what it depends on has its own time to end.
func TestStopGoesOnAfterKill(t *testing.T) {
	playAll(t, []script{
		{"in a stop", cfgs(newConfig(kid("a", after("b")), kid("b", after("c")), kid("c"))), []step{
			{"", "spawn c"},
			{"up c", "c ready, spawn b"},
			{"up b", "b ready, spawn a"},
			{"up a", "a ready"},
			{"TERM", "SIGTERM a"},
			{"wait 2s", "SIGKILL a"},
			{"wait 99ms", ""},
			{"wait 1ms", "SIGTERM b"},
			{"exit b", "SIGTERM c"},
			{"exit c", ""},
			{"die a SIGKILL", "sweep"},
		}},
	})
}

// After the supervisor stood still both moments of the budget are due at once. Whichever comes
// first, all are killed as runs before the sweep begins.
func TestSweepBeforeKill(t *testing.T) {
	hub := newHub(t)
	synctest.Test(t, func(t *testing.T) {
		w := open(t, hub, newConfig(kid("a")))
		defer w.finish()
		w.do("up a")
		w.do("TERM")
		w.took()
		w.f.mail.Put(budgetTimerFired{cleanUpAtAll}, budgetTimerFired{killAll})
		if got, want := w.took(), "SIGKILL a, sweep"; got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	})
}
