package orchestrator

import (
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"

	"tp0/supervisor/config"
	"tp0/supervisor/findings"
	"tp0/supervisor/lifecycle"
)

func TestOrder(t *testing.T) {
	chain := configs(
		newConfig(
			child("c", after("b1")), child("web*2", after("db")), child("db"),
			child("b1", after("web")),
		),
	)
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
		{"a stop while children start", chain, []step{
			{"", "spawn db"},
			{"spawned db", "db ready, spawn web1, spawn web2"},
			{"spawned web1", "web1 ready"},
			{"TERM", "SIGTERM web1, SIGTERM web2"}, // web2 has no pid yet
			{"spawned web2", ""},
			{"exit web1", ""},
			{"exit-by web2 SIGTERM", "SIGTERM db"},
			{"exit db", "cleanup"},
		}},
	})
}

func TestEndedDependency(t *testing.T) {
	runScripts(t, []script{
		{"a completed dependency counts as ready", configs(
			newConfig(child("init"), child("a", after("init"))),
		), []step{
			{"", "spawn init"},
			{"spawned init", "init ready, spawn a"},
			{"spawned a", "a ready"},
			{"exit init", "init completed"},
			{"exit a 1", "a restart 1"},
			{"wait 1s", "spawn a"},
			{"spawned a", "a ready"},
			{"health", ""},
		}},
		{"an ignored failure ends the supervisor if nothing else runs", configs(
			newConfig(child("a", never, ignored), child("b", after("a"))),
		), []step{
			{"", "spawn a"},
			{"spawn-failed a", "a not spawned, a failed, b blocked by a, " +
				"stop: nothing runs and nothing is due, cleanup"},
			{"cleaned-up", ""},
			{"end", "graceful 1: spawned 0, reaped 0, orphans 0, killed 0, left 0"},
		}},
	})
}

func TestStopSequence(t *testing.T) {
	pair := configs(newConfig(child("a"), child("b", after("a"))))
	up := []step{{"", "spawn a"}, {"spawned a", "a ready, spawn b"}, {"spawned b", "b ready"}}
	runScripts(t, beginWith(up, []script{
		{"the timeout of a step", pair, []step{
			{"TERM", "SIGTERM b"},
			{"wait 1999ms", ""},
			{"wait 1ms", "SIGKILL b"},
			{"wait 99ms", ""}, // SIGKILL is the last step
			{"exit-by b SIGKILL", "SIGTERM a"},
			{"exit a", "cleanup"},
			{"cleaned-up", ""},
			{"end", "forced 124: spawned 2, reaped 2, orphans 0, killed 1, left 0"},
		}},
		{"each child has its own kill_signal and kill_timeout", configs(
			newConfig(child("a", killSignal(9, 0)), child("b", after("a"), killSignal(2, 1e9))),
		), []step{
			{"TERM", "SIGINT b"},
			{"wait 999ms", ""},
			{"wait 1ms", "SIGKILL b"},
			{"exit b", "SIGKILL a"},
		}},
		{"an instance ends before its stop", pair, []step{
			{"TERM", "SIGTERM b"},
			{"exit a 1", ""}, // neither a restart nor a failure
			{"exit b", "cleanup"},
			{"cleaned-up", ""},
			{"end", "graceful 0: spawned 2, reaped 2, orphans 0, killed 0, left 0"},
		}},
	}...))
}

// TestStopRequests checks what the second and the third request do.
func TestStopRequests(t *testing.T) {
	pair := configs(newConfig(child("a"), child("b", after("a"))))
	up := []step{{"", "spawn a"}, {"spawned a", "a ready, spawn b"}, {"spawned b", "b ready"}}
	runScripts(t, beginWith(up, []script{
		{"the third request sends SIGKILL to all", pair, []step{
			{"INT", "SIGTERM b"},
			{"exit b", "SIGTERM a"},
			{"INT", "SIGKILL a"},
			{"TERM", ""},
			{"exit a", "cleanup"},
			{"TERM", "cleanup"}, // with SIGKILL now
		}},
		{"the second request stops instances that wait for dependents", pair, []step{
			{"TERM", "SIGTERM b"},
			{"TERM", "SIGTERM a, SIGKILL b"},
		}},
		{"the first request after an internal fault", pair, []step{
			{"fault", "stop: an internal fault, SIGTERM b"},
			{"TERM", ""},
		}},
	}...))
}

func TestNextStepOfAll(t *testing.T) {
	runScripts(t, beginWith(start("a", "b"), []script{
		{"the second request takes the next step", configs(
			newConfig(child("a"), child("b")),
		), []step{
			{"exit b 1", "b restart 1"}, // it has no process
			{"TERM", "SIGTERM a"},
			{"wait 1s", ""},
			{"TERM", "SIGKILL a"},
			{"wait 1s", ""}, // the timeout of the first step is over
			{"exit a", "cleanup"},
		}},
	}...))
}

func TestDeadline(t *testing.T) {
	pair := configs(newConfig(child("a"), child("b", after("a"))))
	up := []step{{"", "spawn a"}, {"spawned a", "a ready, spawn b"}, {"spawned b", "b ready"}}
	runScripts(t, beginWith(up, []script{
		{"the deadline kills all and gives up", configs(
			newConfig(
				child("a", killSignal(15, 1e12)), child("b", after("a"), killSignal(15, 1e12)),
			),
		), []step{
			{"TERM", "SIGTERM b"},
			{"wait 9599ms", ""},
			{"wait 1ms", "SIGTERM a, SIGKILL a, SIGKILL b"},
			{"exit b", ""},
			{"wait 199ms", ""},
			{"wait 1ms", "cleanup"},
			{"cleaned-up 77", "leftover 77"},
			{"end", "forced 124: spawned 2, reaped 1, orphans 0, killed 1, left 0"},
		}},
		{"spawned and reaped differ", pair, []step{
			{"TERM", "SIGTERM b"},
			{"exit b", "SIGTERM a"},
			{"wait 2s", "SIGKILL a"},
			{"wait 7800ms", "cleanup"},
			{"cleaned-up", ""}, // the exit of a was never seen
			{"end", "leaky 1: spawned 2, reaped 1, orphans 0, killed 0, left 0"},
		}},
		{"an internal fault", pair, []step{
			{"fault", "stop: an internal fault, SIGTERM b"},
			{"exit b", "SIGTERM a"},
			{"exit a", "cleanup"},
			{"cleaned-up", ""},
			{"end", "leaky 1: spawned 2, reaped 2, orphans 0, killed 0, left 0"},
		}},
	}...))
}

func TestKillSequenceAndSuccessCodes(t *testing.T) {
	both := killSequence(
		lifecycle.Step{Signal: unix.SIGINT, Wait: time.Second},
		lifecycle.Step{Signal: unix.SIGQUIT, Wait: time.Second / 2},
	)
	runScripts(t, []script{
		{"a kill_sequence with several steps", configs(newConfig(child("b", both))), []step{
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
		{"a success code that is not 0", configs(
			newConfig(child("a", successCodes(0, 3, 143))),
		), []step{
			{"", "spawn a"},
			{"spawned a", "a ready"},
			{"exit a 3", "a completed, stop: nothing runs and nothing is due, cleanup"},
			{"cleaned-up", ""},
			{"end", "graceful 0: spawned 1, reaped 1, orphans 0, killed 0, left 0"},
		}},
		{"a success code of a signal", configs(
			newConfig(child("a", successCodes(0, 3, 143)), child("b")),
		), []step{
			{"", "spawn a, spawn b"},
			{"spawned a", "a ready"},
			{"spawned b", "b ready"},
			{"exit-by a SIGTERM", "a completed"},
			{"exit-by b SIGTERM", "b restart 1"},
			{"wait 1s", "spawn b"},
		}},
		{"0 is no success code", configs(newConfig(child("a", successCodes(3)))), []step{
			{"", "spawn a"},
			{"spawned a", "a ready"},
			{"exit a 0", "a restart 1"},
			{"wait 1s", "spawn a"},
		}},
		{"a new kill_scope", configs(
			newConfig(child("a")),
			newConfig(child("a", scope(lifecycle.ScopeTree))),
		), []step{
			{"", "spawn a"},
			{"spawned a", "a ready"},
			{"reload 1", "scope tree a, reloaded +[] -[] ~[a] =[]"},
		}},
	})
}

func TestRestart(t *testing.T) {
	one := configs(newConfig(child("a")))
	runScripts(t, []script{
		{"restarts up to the limit", one, []step{
			{"", "spawn a"},
			{"spawned a", "a ready"},
			{"exit a 3", "a restart 1"},
			{"health", "a is backing off"},
			{"wait 1s", "spawn a"},
			{"spawn-failed a", "a not spawned, a restart 2"},
			{"wait 1s", "spawn a"},
			{"spawned a", "a ready"},
			{"exit-by a SIGSEGV", "a failed, " +
				"stop: a failed, and on_failure is \"shutdown\", cleanup"},
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
		{"restart always", configs(newConfig(child("a", restart("always")))), []step{
			{"", "spawn a"},
			{"spawned a", "a ready"},
			{"exit a", "a restart 1"},
			{"wait 1s", "spawn a"},
		}},
	})
}

func TestOnFailureAndOnSuccess(t *testing.T) {
	runScripts(t, []script{
		{"a failure stops everything", configs(newConfig(child("a", never), child("b"))), []step{
			{"", "spawn a, spawn b"},
			{"spawned b", "b ready"},
			{"spawn-failed a", "a not spawned, a failed, " +
				"stop: a failed, and on_failure is \"shutdown\", SIGTERM b"},
			{"exit b", "cleanup"},
			{"cleaned-up", ""},
			{"end", "graceful 1: spawned 1, reaped 1, orphans 0, killed 0, left 0"},
		}},
		{"a failure is ignored", configs(newConfig(child("a", never, ignored), child("b"))), []step{
			{"", "spawn a, spawn b"},
			{"spawned a", "a ready"},
			{"spawned b", "b ready"},
			{"exit a 1", "a failed"},
			{"health", "a is failed"},
			{"exit b", "b completed, stop: nothing runs and nothing is due, cleanup"},
			{"cleaned-up", ""},
			{"end", "graceful 1: spawned 2, reaped 2, orphans 0, killed 0, left 0"},
		}},
		{"the success of all instances stops everything", configs(
			newConfig(child("a*2", onSuccess(config.ShutDown)), child("b")),
		), []step{
			{"", "spawn a1, spawn a2, spawn b"},
			{"spawned a1", "a1 ready"},
			{"spawned a2", "a2 ready"},
			{"spawned b", "b ready"},
			{"exit a2", "a2 completed"},
			{"exit a1 1", "a1 restart 1"},
			{"wait 1s", "spawn a1"},
			{"spawned a1", "a1 ready"},
			{"exit a1", "a1 completed, " +
				"stop: a completed, and on_success is \"shutdown\", SIGTERM b"},
			{"exit b", "cleanup"},
			{"cleaned-up", ""},
			{"end", "graceful 0: spawned 4, reaped 4, orphans 0, killed 0, left 0"},
		}},
	})
}

func TestLeakyVerdict(t *testing.T) {
	strict, data := newConfig(child("a")), newConfig(child("a"))
	strict.Shutdown.Strict, data.Shutdown.Strict = true, true
	all := newConfig(child("a"))
	strict.Shutdown.Findings.Level, all.Shutdown.Findings.Level = findings.All, findings.All
	ofChild := newConfig(child("a"))
	ofChild.Children[0].Instances[0].Policy.Findings.Level = findings.All
	for _, tt := range []struct {
		config *config.Config
		proof  string
		end    string
	}{
		{all, "exact", "leaky 0"},
		{ofChild, "exact", "leaky 0"},
		{strict, "sampled", "graceful 0"},
		{data, "exact", "graceful 0"},
		{strict, "exact", "leaky 3"},
	} {
		runScript(t, configs(tt.config), []step{
			{"", "spawn a"},
			{"spawned a", "a ready"},
			{"TERM", "SIGTERM a"},
			{"exit-leaking a " + tt.proof, "cleanup"},
			{"cleaned-up", ""},
			{"end", tt.end + ": spawned 1, reaped 1, orphans 0, killed 0, left 1"},
		})
	}
}

func TestReload(t *testing.T) {
	up := []step{{"", "spawn a"}, {"spawned a", "a ready, spawn b"}, {"spawned b", "b ready"}}
	base := newConfig(child("a"), child("b", after("a")))
	runScripts(t, beginWith(up, []script{
		{"no change", configs(base, newConfig(child("a"), child("b", after("a")))), []step{
			{"reload 1", "reloaded +[] -[] ~[] =[a b]"},
		}},
		{"a child added and one removed", configs(
			base,
			newConfig(child("a"), child("c", after("a"))),
		), []step{
			{"reload 1", "spawn c, SIGTERM b"},
			{"spawned c", "c ready"},
			{"health", "b is stopping"},
			{"exit b", "reloaded +[c] -[b] ~[] =[a]"},
			{"health", ""},
			{"TERM", "SIGTERM c"},
		}},
		{"a changed child", configs(
			base,
			newConfig(child("a"), child("b", after("a"), args("+"))),
		), []step{
			{"reload 1", "SIGTERM b"},
			{"health", "b is replacing"},
			{"exit b", "spawn b+"},
			{"spawned b", "b ready, reloaded +[] -[] ~[b] =[a]"},
		}},
		{"a new policy applies without a restart", configs(
			base,
			newConfig(child("a"), child("b", after("a"), killSignal(1, 1e9))),
		), []step{
			{"reload 1", "reloaded +[] -[] ~[b] =[a]"},
			{"TERM", "SIGHUP b"},
			{"wait 1s", "SIGKILL b"},
		}},
	}...))
}

func TestReloadOfDependencies(t *testing.T) {
	up := []step{{"", "spawn a"}, {"spawned a", "a ready, spawn b"}, {"spawned b", "b ready"}}
	base := newConfig(child("a"), child("b", after("a")))
	runScripts(t, beginWith(up, []script{
		{"replaced dependents are stopped before their replaced dependency", configs(
			base,
			newConfig(child("a", args("+")), child("b", after("a"), args("+"))),
		), []step{
			{"reload 1", "SIGTERM b"},
			{"exit b", "SIGTERM a"},
			{"exit a", "spawn a+"},
			{"spawned a", "a ready, spawn b+"},
			{"spawned b", "b ready, reloaded +[] -[] ~[a b] =[]"},
		}},
		{"dependents that did not change keep their processes", configs(
			base,
			newConfig(child("a", args("+")), child("b", after("a"))),
		), []step{
			{"reload 1", "SIGTERM a"},
			{"exit a 1", "spawn a+"}, // the failure does not count: the process was to be replaced
			{"spawned a", "a ready, reloaded +[] -[] ~[a] =[b]"},
		}},
		{"a removed dependency", configs(base, newConfig(child("b"))), []step{
			{"reload 1", "SIGTERM a"},
			{"exit a", "reloaded +[] -[a] ~[b] =[]"},
			{"TERM", "SIGTERM b"},
		}},
		{"both children removed, in order", configs(base, newConfig(child("c"))), []step{
			{"reload 1", "spawn c, SIGTERM b"},
			{"spawned c", "c ready"},
			{"exit b", "SIGTERM a"},
			{"exit a", "reloaded +[c] -[a b] ~[] =[]"},
		}},
	}...))
}

func TestReloadDuringReload(t *testing.T) {
	up := []step{{"", "spawn a"}, {"spawned a", "a ready, spawn b"}, {"spawned b", "b ready"}}
	base := newConfig(child("a"), child("b", after("a")))
	runScripts(t, beginWith(up, []script{
		{"a newer reload supersedes", configs(
			base,
			newConfig(child("a"), child("b", after("a"), args("+"))),
			newConfig(child("a"), child("b", after("a"), args("-"))),
		), []step{
			{"reload 1", "SIGTERM b"},
			{"reload 2", ""},
			{"exit b", "spawn b-"},
			{"spawned b", "b ready, reloaded +[] -[] ~[b] =[a]"},
		}},
		{"an instance is wanted again before it has ended", configs(
			base,
			newConfig(child("a")),
			base,
		), []step{
			{"reload 1", "SIGTERM b"},
			{"reload 2", ""},
			{"wait 2s", "SIGKILL b"},
			{"exit b", "spawn b"},
			{"spawned b", "b ready, reloaded +[] -[] ~[b] =[a]"},
		}},
		{"a spawn that fails while it is replaced", configs(
			base,
			newConfig(child("a"), child("b", after("a"), args("+"))),
			base,
		), []step{
			{"reload 1", "SIGTERM b"},
			{"exit b", "spawn b+"},
			{"reload 2", "SIGTERM b"},
			{"spawn-failed b", "b not spawned, spawn b"},
			{"spawned b", "b ready, reloaded +[] -[] ~[b] =[a]"},
		}},
		{"a stop during a reload", configs(
			base,
			newConfig(child("a"), child("b", after("a"), args("+"))),
		), []step{
			{"reload 1", "SIGTERM b"},
			{"TERM", "ignored: a stop began before it was fully applied"},
			{"wait 2s", "SIGKILL b"}, // its stop sequence continues
			{"exit b", "SIGTERM a"},
			{"reload 1", "ignored: a stop is under way"},
			{"exit a", "cleanup"},
		}},
	}...))
}

func TestReloadOfEnded(t *testing.T) {
	up := []step{{"", "spawn a"}, {"spawned a", "a ready, spawn b"}, {"spawned b", "b ready"}}
	runScripts(t, beginWith(up, []script{
		{"instances that are backing off, replaced and removed", configs(
			newConfig(child("a"), child("b", after("a"))),
			newConfig(child("b", args("+"))),
		), []step{
			{"exit a 1", "a restart 1"},
			{"exit b 1", "b restart 1"},
			{"reload 1", "spawn b+"},
			{"spawned b", "b ready, reloaded +[] -[a] ~[b] =[]"},
			{"wait 1s", ""},
			{"exit b 1", "b restart 1"}, // restarts of the old specification do not count
		}},
		{"a failed instance that changed is started", configs(
			newConfig(child("a"), child("b", after("a"), never, ignored)),
			newConfig(child("a"), child("b", args("+"))),
		), []step{
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
	}...))
}

func TestReloadOfInstances(t *testing.T) {
	two := []step{
		{"", "spawn a1, spawn a2"},
		{"spawned a1", "a1 ready"},
		{"spawned a2", "a2 ready, spawn b"},
		{"spawned b", "b ready"},
	}
	runScripts(t, beginWith(two, []script{
		{"a dependent waits for the end of a removed instance", configs(
			newConfig(child("a*2"), child("b", after("a"))),
			newConfig(child("a*1"), child("b", after("a")), child("c", after("a"))),
		), []step{
			{"reload 1", "SIGTERM a2"},
			{"exit a2", "spawn c"},
			{"spawned c", "c ready, reloaded +[c] -[a2] ~[] =[a1 b]"},
		}},
		{"an instance becomes a child of its own", configs(
			newConfig(child("a*2"), child("b", after("a"))),
			newConfig(child("a1"), child("a2", args("+")), child("b", after("a2"), args("+"))),
		), []step{
			{"reload 1", "SIGTERM b"},
			{"exit b", "SIGTERM a2"},
			{"exit a2", "spawn a2+"},
			{"spawned a2", "a2 ready, spawn b+"},
			{"spawned b", "b ready, reloaded +[] -[] ~[a1 a2 b] =[]"},
		}},
	}...))
}

// TestContradictingOrders has two revisions of the file whose orders form a circle. a2 belongs to
// the old one, in which it is stopped before b. b belongs to the new one, in which it is stopped
// before all instances of a.
func TestContradictingOrders(t *testing.T) {
	before := newConfig(child("a*2", after("b")), child("b"))
	now := newConfig(child("a*1"), child("b", after("a"), args("+")))
	runScript(t, configs(before, now), []step{
		{"", "spawn b"},
		{"spawned b", "b ready, spawn a1, spawn a2"},
		{"spawned a1", "a1 ready"},
		{"spawned a2", "a2 ready"},
		{"reload 1", "SIGTERM a2"},
		{"exit a2", "SIGTERM b"},
		{"exit b", "spawn b+"},
		{"spawned b", "b ready, reloaded +[] -[a2] ~[a1 b] =[]"},
	})
}

func TestReloadOrder(t *testing.T) {
	up := []step{{"", "spawn a"}, {"spawned a", "a ready, spawn b"}, {"spawned b", "b ready"}}
	base := newConfig(child("a"), child("b", after("a")))
	runScripts(t, beginWith(up, []script{
		{"an added dependency starts before its dependents", configs(
			base,
			newConfig(child("a"), child("c"), child("b", after("c"), args("+"))),
		), []step{
			{"reload 1", "spawn c, SIGTERM b"},
			{"exit b", ""},
			{"spawned c", "c ready, spawn b+"},
			{"spawned b", "b ready, reloaded +[c] -[] ~[b] =[a]"},
		}},
		{"a reversed dependency", configs(
			base,
			newConfig(child("a", after("b"), args("+")), child("b", args("+"))),
		), []step{
			{"reload 1", "SIGTERM a"},
			{"exit a", "SIGTERM b"},
			{"exit b", "spawn b+"},
			{"spawned b", "b ready, spawn a+"},
			{"spawned a", "a ready, reloaded +[] -[] ~[a b] =[]"},
		}},
		{"the deadline of the new configuration", configs(base, func() *config.Config {
			c := newConfig(child("a"), child("b", after("a")))
			c.Shutdown.Deadline = reserve
			return c
		}()), []step{
			{"reload 1", "reloaded +[] -[] ~[] =[a b]"},
			{"TERM", "SIGTERM b, SIGTERM a, SIGKILL a, SIGKILL b"},
		}},
	}...))
}

// TestStopContinuesAfterKill checks that a dependency is stopped even if SIGKILL does not end its
// dependent.
func TestStopContinuesAfterKill(t *testing.T) {
	runScripts(t, []script{
		{"a stop", configs(
			newConfig(child("a", after("b")), child("b", after("c")), child("c")),
		), []step{
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

// TestBudgetTimersInAnyOrder checks that all processes are killed before the orphan cleanup. After
// the supervisor did not run for a while, both timers of the budget are due at once.
func TestBudgetTimersInAnyOrder(t *testing.T) {
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
