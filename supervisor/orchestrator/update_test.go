package orchestrator

import (
	"strings"
	"testing"
)

// notSpawned is the reason of a failed spawn of the harness.
const notSpawned = "it could not be spawned: no such file"

// halted returns the text of the event that the failure of an instance halts its child.
func halted(instance, reason string) string {
	child := strings.TrimRight(instance, "0123456789")
	return "halted " + child + ": the new " + instance + " has failed: " + reason
}

// haltedHealth returns the note of a health request about the same event.
func haltedHealth(instance, reason string) string {
	child, why, _ := strings.Cut(halted(instance, reason), ": ")
	return "the reload of " + strings.TrimPrefix(child, "halted ") + " is halted: " + why
}

// TestUpdateSlots replaces instances one or two at a time.
func TestUpdateSlots(t *testing.T) {
	old := newConfig(child("a*3", maxParallel(1)))
	two := newConfig(child("a*3", maxParallel(2), args("+")))
	up3 := start("a1", "a2", "a3")
	runScripts(t, []script{
		{"one slot: each instance is ready before the next update", configs(
			old,
			newConfig(child("a*3", maxParallel(1), args("+"))),
		), append(up3[:4:4],
			step{"reload 1", "SIGTERM a1"},
			step{"exit a1", "spawn a1+"},
			step{"wait 1m", ""},
			step{"spawned a1", "a1 ready, SIGTERM a2"},
			step{"exit a2", "spawn a2+"},
			step{"spawned a2", "a2 ready, SIGTERM a3"},
			step{"exit a3", "spawn a3+"},
			step{"spawned a3", "a3 ready, reloaded +[] -[] ~[a1 a2 a3] =[]"},
		)},
		{"two slots", configs(old, two), append(up3[:4:4],
			step{"reload 1", "SIGTERM a1, SIGTERM a2"},
			step{"exit a2", "spawn a2+"},
			step{"spawned a2", "a2 ready, SIGTERM a3"},
			step{"exit a3", "spawn a3+"},
			step{"exit a1", "spawn a1+"},
			step{"spawned a1", "a1 ready"},
			step{"spawned a3", "a3 ready, reloaded +[] -[] ~[a1 a2 a3] =[]"},
		)},
		{"reverted: an instance that was not replaced keeps its process", configs(
			old, two, old,
		), append(up3[:4:4],
			step{"reload 1", "SIGTERM a1, SIGTERM a2"},
			step{"exit a1", "spawn a1+"},
			step{"reload 2", "SIGTERM a1"},
			step{"spawned a1", ""},
			step{"exit a1", "spawn a1"},
			step{"spawned a1", "a1 ready"},
			step{"exit a2", "spawn a2"},
			step{"spawned a2", "a2 ready, reloaded +[] -[] ~[a1 a2] =[a3]"},
		)},
		{"an instance that is not ready needs no free slot", configs(
			old,
			newConfig(child("a*3", maxParallel(1), args("+"))),
		), append(up3[:4:4],
			step{"exit a3 1", "a3 restart 1"},
			step{"reload 1", "SIGTERM a1, spawn a3+"},
			step{"spawned a3", "a3 ready"},
			step{"exit a1", "spawn a1+"},
			step{"spawned a1", "a1 ready, SIGTERM a2"},
		)},
	})
}

func TestScale(t *testing.T) {
	old := newConfig(child("a*3", maxParallel(1)))
	up3 := start("a1", "a2", "a3")
	runScripts(t, []script{
		{"more and fewer instances", configs(
			old,
			newConfig(child("a*5", maxParallel(1))),
			newConfig(child("a*2", maxParallel(1))),
		), append(up3[:4:4],
			step{"reload 1", "spawn a4, spawn a5"},
			step{"spawned a4", "a4 ready"},
			step{"spawned a5", "a5 ready, reloaded +[a4 a5] -[] ~[] =[a1 a2 a3]"},
			step{"reload 2", "SIGTERM a3, SIGTERM a4, SIGTERM a5"},
			step{"exit a5", ""},
			step{"exit a4", ""},
			step{"exit a3", "reloaded +[] -[a3 a4 a5] ~[] =[a1 a2]"},
		)},
	})
}

// TestHaltedUpdate halts the update of a child after a failure.
func TestHaltedUpdate(t *testing.T) {
	runScripts(t, []script{
		{"a failed update halts the others", configs(
			newConfig(child("a*2", ignored)),
			newConfig(child("a*2", maxParallel(1), args("+"), never, ignored)),
		), []step{
			{"spawned a1", "spawn a1, spawn a2, a1 ready"},
			{"spawned a2", "a2 ready"},
			{"reload 1", "SIGTERM a1"},
			{"exit a1", "spawn a1+"},
			{"spawn-failed a1", "a1 not spawned, " + halted("a1", notSpawned) + ", a1 failed"},
			{"wait 1h", ""},
			{"health", haltedHealth("a1", notSpawned)},
			{"exit a2 1", "a2 restart 1"}, // by its old policy
			{"wait 1s", "spawn a2"},
			{"spawned a2", "a2 ready"},
			{"reload 0", "spawn a1"},
			{"spawned a1", "a1 ready, reloaded +[] -[] ~[a1] =[a2]"},
		}},
		{"a failed update with two slots", configs(newConfig(child("a*4", maxParallel(2))),
			newConfig(child("a*4", maxParallel(2), args("+"), never, ignored))), []step{
			{"spawned a1", "spawn a1, spawn a2, spawn a3, spawn a4, a1 ready"},
			{"spawned a2", "a2 ready"},
			{"spawned a3", "a3 ready"},
			{"spawned a4", "a4 ready"},
			{"reload 1", "SIGTERM a1, SIGTERM a2"},
			{"exit a1", "spawn a1+"},
			{"spawn-failed a1", "a1 not spawned, " + halted("a1", notSpawned) + ", a1 failed"},
			{"exit a2", "spawn a2+"},
			{"spawned a2", "a2 ready"},
		}},
		{"the only instance fails: the child is halted", configs(
			newConfig(child("a", ignored), child("b")),
			newConfig(child("a", args("+"), never, ignored), child("b")),
		), []step{
			{"spawned a", "spawn a, spawn b, a ready"},
			{"spawned b", "b ready"},
			{"reload 1", "SIGTERM a"},
			{"exit a", "spawn a+"},
			{"spawn-failed a", "a not spawned, " + halted("a", notSpawned) + ", a failed"},
			{"health", "a is failed; " + haltedHealth("a", notSpawned)},
			{"reload 0", "spawn a"},
			{"spawned a", "a ready, reloaded +[] -[] ~[a] =[b]"},
		}},
		{"exit code 0 before ready is a failed update", configs(newConfig(
			child("a*2", maxParallel(1)),
		),
			newConfig(child("a*2", maxParallel(1), neverReady, args("+"), never, ignored))), []step{
			{"spawned a1", "spawn a1, spawn a2, a1 ready"},
			{"spawned a2", "a2 ready"},
			{"reload 1", "SIGTERM a1"},
			{"exit a1", "spawn a1+"},
			{"spawned a1", ""},
			{"exit a1", halted("a1", "exited with code 0 before it was ready") + ", a1 failed"},
		}},
	})
}

func TestUpdateWithoutSlot(t *testing.T) {
	runScripts(t, []script{
		{"an instance without a slot is still checked", configs(newConfig(
			child("a*2", maxParallel(1), checkBy("1ms")),
		),
			newConfig(child("a*2", maxParallel(1), args("+")))), []step{
			{"spawned a1", "spawn a1, spawn a2, a1 ready"},
			{"spawned a2", "a2 ready"},
			{"probe-fails", ""},
			{"reload 1", "SIGTERM a1"},
			{"wait 6s", "SIGKILL a1, probe a2, a2 check alive failed"},
			{"wait 14s", "probe a2, a2 unhealthy, SIGTERM a2, SIGKILL a2"},
			{"exit a2", "spawn a2+"},
		}},
	})
}

func TestUpdateAfterOneshot(t *testing.T) {
	runScripts(t, beginWith([]step{
		{"spawned m", "spawn m"},
		{"exit m", "m completed, spawn a"},
		{"spawned a", "a ready"},
		{"reload 1", "spawn m+"},
		{"spawned m", ""},
	},
		script{"an instance is stopped once its oneshot has completed", configs(
			newConfig(child("m", oneshot), child("a", after("m:completed"))),
			newConfig(
				child("m", oneshot, args("+")), child("a", after("m:completed"), args("+")),
			)), []step{
			{"exit m", "m completed, SIGTERM a"},
			{"exit a", "spawn a+"},
			{"spawned a", "a ready, reloaded +[] -[] ~[m a] =[]"},
		}},
		script{"a failed oneshot halts its dependents", configs(
			newConfig(child("m", oneshot, ignored, never), child("a", after("m:completed"))),
			newConfig(
				child("m", oneshot, ignored, never, args("+")),
				child("a", after("m:completed"), args("+")),
			)), []step{
			{"exit m 1", halted("m", "exited with code 1") + ", m failed, " +
				"halted a: it needs m, which has failed"},
			{"health", "the reload of a is halted: it needs m, which has failed"},
		}},
		script{"a oneshot that is restarted halts nothing", configs(
			newConfig(child("m", oneshot), child("a", after("m:completed"))),
			newConfig(
				child("m", oneshot, args("+")), child("a", after("m:completed"), args("+")),
			)), []step{
			{"exit m 1", "m restart 1"},
			{"wait 1s", "spawn m+"},
			{"spawned m", ""},
			{"exit m", "m completed, SIGTERM a"},
			{"exit a", "spawn a+"},
			{"spawned a", "a ready, reloaded +[] -[] ~[m a] =[]"},
		}},
	))
}

func TestUpdateOfDependents(t *testing.T) {
	runScripts(t, []script{
		{"dependents of a replaced child need no slot", configs(
			newConfig(child("a", maxParallel(1)), child("b*3", after("a"), maxParallel(1))),
			newConfig(
				child("a", maxParallel(1), args("+")),
				child("b*3", after("a"), maxParallel(1), args("+")),
			)), []step{
			{"spawned a", "spawn a, a ready, spawn b1, spawn b2, spawn b3"},
			{"spawned b1", "b1 ready"},
			{"spawned b2", "b2 ready"},
			{"spawned b3", "b3 ready"},
			{"reload 1", "SIGTERM b1, SIGTERM b2, SIGTERM b3"},
			{"exit b1", ""},
			{"exit b3", ""},
			{"exit b2", "SIGTERM a"},
			{"exit a", "spawn a+"},
			{"spawned a", "a ready, spawn b1+, spawn b2+, spawn b3+"},
		}},
		{"a dependent that did not change keeps its process", configs(
			newConfig(child("a"), child("b", after("a"))),
			newConfig(child("a", args("+")), child("b", after("a"))),
		), []step{
			{"spawned a", "spawn a, a ready, spawn b"},
			{"spawned b", "b ready"},
			{"reload 1", "SIGTERM a"},
			{"exit a", "spawn a+"},
			{"spawned a", "a ready, reloaded +[] -[] ~[a] =[b]"},
		}},
		{"a dependency that restarts during the update", configs(
			newConfig(child("a"), child("b*2", after("a"), maxParallel(1))),
			newConfig(
				child("a"), child("b*2", after("a"), maxParallel(1), args("+")), child("c"),
			)), []step{
			{"spawned a", "spawn a, a ready, spawn b1, spawn b2"},
			{"spawned b1", "b1 ready"},
			{"spawned b2", "b2 ready"},
			{"reload 1", "SIGTERM b1, spawn c"},
			{"spawned c", "c ready"},
			{"exit a 1", "a restart 1"},
			{"exit b1", ""}, // b1 waits for a
			{"reload 0", "SIGTERM c"},
			{"exit c", ""},
			{"wait 1s", "spawn a"},
			{"spawned a", "a ready, spawn b1"},
			{"spawned b1", "b1 ready, reloaded +[] -[] ~[b1] =[a b2]"},
		}},
	})
}

// TestSurge replaces an instance by one that is ready before the old process is stopped.
func TestSurge(t *testing.T) {
	one := newConfig(child("a", overlap))
	new := newConfig(child("a", overlap, args("+")))
	up := step{"spawned a", "spawn a, a ready"}
	runScripts(t, []script{
		{"the surge is ready before the old process is stopped", configs(one, new), []step{
			up,
			{"reload 1", "spawn a+"},
			{"wait 1m", ""},
			{"health", ""},
			{"spawned a", "a ready, SIGTERM a"},
			{"health", ""},
			{"exit a", "reloaded +[] -[] ~[a] =[]"},
			{"TERM", "SIGTERM a"},
			{"exit a", "cleanup"},
			{"cleaned-up", ""},
			{"end", "graceful 0: spawned 2, reaped 2, orphans 0, killed 0, left 0"},
		}},
		{"one slot", configs(
			newConfig(child("a*2", overlap, maxParallel(1))),
			newConfig(child("a*2", overlap, maxParallel(1), args("+"))),
		), []step{
			{"spawned a1", "spawn a1, spawn a2, a1 ready"},
			{"spawned a2", "a2 ready"},
			{"reload 1", "spawn a1+"},
			{"spawned a1", "a1 ready, SIGTERM a1, spawn a2+"},
			{"spawned a2", "a2 ready, SIGTERM a2"},
			{"exit a2", ""},
			{"exit a1", "reloaded +[] -[] ~[a1 a2] =[]"},
		}},
		{"a stop during the update", configs(one, new), []step{
			up,
			{"reload 1", "spawn a+"},
			{"TERM", "ignored: a stop began before it was fully applied, SIGTERM a, SIGTERM a"},
		}},
		{"the old process ends and is not restarted", configs(
			newConfig(child("a", overlap, never)),
			new,
		), []step{
			up,
			{"reload 1", "spawn a+"},
			{"exit a 1", ""},
			{"spawned a", "a ready, reloaded +[] -[] ~[a] =[]"},
		}},
		{"the old process fails during the update", configs(one, new), []step{
			up,
			{"reload 1", "spawn a+"},
			{"exit a 1", ""},
			{"wait 1m", ""},
			{"spawned a", "a ready, reloaded +[] -[] ~[a] =[]"},
		}},
	})
}

func TestSurgeFails(t *testing.T) {
	one := newConfig(child("a", overlap))
	new := newConfig(child("a", overlap, args("+")))
	up := step{"spawned a", "spawn a, a ready"}
	runScripts(t, []script{
		{"exit code 0 of the surge before ready", configs(
			one,
			newConfig(child("a", overlap, args("+"), neverReady, never, ignored)),
		), []step{
			up,
			{"reload 1", "spawn a+"},
			{"spawned a", ""},
			{"exit-new a", halted("a", "exited with code 0 before it was ready")},
			{"health", haltedHealth("a", "exited with code 0 before it was ready")},
		}},
		{"the surge fails: the old process stays", configs(one, new), []step{
			up,
			{"reload 1", "spawn a+"},
			{"spawn-failed a", "a not spawned, " + halted("a", notSpawned)},
			{"health", haltedHealth("a", notSpawned)},
			{"exit a 1", "a restart 1"},
			{"wait 1s", "spawn a"},
			{"spawned a", "a ready"},
			{"wait 1h", ""},
			{"reload 1", "spawn a+"}, // another try
			{"spawned a", "a ready, SIGTERM a"},
			{"exit a", "reloaded +[] -[] ~[a] =[]"},
			{"health", ""},
		}},
		{"both processes fail: the new one is restarted", configs(one, new), []step{
			up,
			{"reload 1", "spawn a+"},
			{"exit a 1", ""},
			{"spawn-failed a", "a not spawned, " + halted("a", notSpawned) + ", a restart 1"},
			{"wait 1s", "spawn a+"},
			{"spawned a", "a ready, reloaded +[] -[] ~[a] =[]"},
		}},
	})
}

func TestSurgeReverted(t *testing.T) {
	one := newConfig(child("a", overlap))
	new := newConfig(child("a", overlap, args("+")))
	up := step{"spawned a", "spawn a, a ready"}
	runScripts(t, []script{
		{"reverted while the old process is stopped", configs(one, new), []step{
			up,
			{"reload 1", "spawn a+"},
			{"spawned a", "a ready, SIGTERM a"},
			{"reload 0", "spawn a"},
			{"spawned a", "a ready, SIGTERM a"},
		}},
		{"the surge of a reverted reload fails", configs(
			withRollback(newConfig(child("a", overlap))),
			withRollback(newConfig(child("a", overlap, args("+"))))), []step{
			{"spawned a", "spawn a, a ready"},
			{"reload 1", "spawn a+"},
			{"spawned a", "a ready, SIGTERM a"},
			{"reload 0", "spawn a"},
			{"spawn-failed a", "a not spawned, rollback for a, spawn a"},
		}},
		{"reverted before the surge is ready", configs(one, new), []step{
			up,
			{"reload 1", "spawn a+"},
			{"reload 0", "SIGTERM a"},
		}},
		{"removed in the middle", configs(one, new, newConfig(child("b"))), []step{
			up,
			{"reload 1", "spawn a+"},
			{"reload 2", "spawn b, SIGTERM a, SIGTERM a"},
		}},
	})
}

func TestSurgeAndDependencies(t *testing.T) {
	runScripts(t, []script{
		{"no surge for an instance that is not ready", configs(
			newConfig(child("a", overlap, readyAt(":1"))),
			newConfig(child("a", overlap, args("+"))),
		), []step{
			{"spawned a", "spawn a"},
			{"reload 1", "SIGTERM a"},
			{"exit a", "spawn a+"},
		}},
		{"no surge if a dependency goes down", configs(
			newConfig(child("a"), child("b", after("a"), overlap)),
			newConfig(child("a", args("+")), child("b", after("a"), overlap, args("+")))), []step{
			{"spawned a", "spawn a, a ready, spawn b"},
			{"spawned b", "b ready"},
			{"reload 1", "SIGTERM b"},
			{"exit b", "SIGTERM a"},
			{"exit a", "spawn a+"},
			{"spawned a", "a ready, spawn b+"},
		}},
		{"a dependency has a surge too", configs(
			newConfig(child("a", overlap), child("b", after("a"), overlap)),
			newConfig(
				child("a", overlap, args("+")), child("b", after("a"), overlap, args("+")),
			)), []step{
			{"spawned a", "spawn a, a ready, spawn b"},
			{"spawned b", "b ready"},
			{"reload 1", "spawn a+"},
			{"spawned a", "a ready, SIGTERM a, spawn b+"},
			{"spawned b", "b ready, SIGTERM b"},
		}},
	})
}

// restored is the end of the diagnostics of a rollback.
const restored = "; the previous configuration is in force again"

// TestRollback restores the previous configuration after a failure.
func TestRollback(t *testing.T) {
	old := newConfig(child("a"), child("b*2", maxParallel(1)))
	ups := start("a", "b1", "b2")
	bad := withRollback(newConfig(
		child("a"), child("b*2", maxParallel(1), args("+"), neverReady), child("c"),
	))
	runScripts(t, []script{
		{"a ready timeout", configs(old, bad), append(ups[:4:4],
			step{"reload 1", "SIGTERM b1, spawn c"},
			step{"spawned c", "c ready"},
			step{"exit b1", "spawn b1+"},
			step{"spawned b1", ""},
			step{"wait 1s", "b1 not ready, SIGTERM b1, rollback for b1, SIGTERM c"},
			step{"exit c", ""},
			step{"exit b1", "spawn b1"},
			step{"spawned b1", "b1 ready, rejected: b1: not ready within 1s" + restored},
		)},
		{"a failure before ready", configs(old, bad), append(ups[:4:4],
			step{"reload 1", "SIGTERM b1, spawn c"},
			step{"exit b1", "spawn b1+"},
			step{"spawned b1", ""},
			step{"exit b1 1", "rollback for b1, SIGTERM c, spawn b1"},
			step{"spawned c", ""},
			step{"exit c", ""},
			step{"spawned b1", "b1 ready, " +
				"rejected: b1: exited with code 1 before it was ready" + restored},
			step{"health", ""},
		)},
	})
}

// incomplete is the end of the reason of a halted rollback.
const incomplete = "; the rollback is not complete: the rejected configuration still runs in a1"

// TestHaltedRollback checks that a rollback is halted if an old process fails too.
func TestHaltedRollback(t *testing.T) {
	old := newConfig(child("a*2", maxParallel(1), never, ignored))
	edited := withRollback(newConfig(child("a*2", maxParallel(1), never, ignored, args("+"))))
	runScripts(t, []script{
		{"the restored process cannot be spawned", configs(old, edited), []step{
			{"spawned a1", "spawn a1, spawn a2, a1 ready"},
			{"spawned a2", "a2 ready"},
			{"reload 1", "SIGTERM a1"},
			{"exit a1", "spawn a1+"},
			{"spawned a1", "a1 ready, SIGTERM a2"},
			{"exit a2", "spawn a2+"},
			{"spawn-failed a2", "a2 not spawned, rollback for a2, spawn a2"},
			{"spawn-failed a2", "a2 not spawned, halted a: the restored a2 has failed: " +
				notSpawned + incomplete + ", a2 failed"},
			{"wait 1h", ""},
			{"health", "the rollback of a is halted: the restored a2 has failed: " + notSpawned +
				incomplete},
			{"exit a1 1", "spawn a1"}, // by the restored configuration
			{"spawned a1", "a1 ready"},
			{"reload 0", "spawn a2"},
			{"spawned a2", "a2 ready, reloaded +[] -[] ~[a1 a2] =[]"},
		}},
		{"a restored process is restarted by its policy", configs(
			newConfig(child("a*2", maxParallel(1))),
			withRollback(newConfig(child("a*2", maxParallel(1), args("+")))),
		), []step{
			{"spawned a1", "spawn a1, spawn a2, a1 ready"},
			{"spawned a2", "a2 ready"},
			{"reload 1", "SIGTERM a1"},
			{"exit a1", "spawn a1+"},
			{"spawned a1", "a1 ready, SIGTERM a2"},
			{"exit a2", "spawn a2+"},
			{"spawn-failed a2", "a2 not spawned, rollback for a2, spawn a2"},
			{"spawn-failed a2", "a2 not spawned, a2 restart 1"},
			{"wait 1s", "spawn a2"},
			{"spawned a2", "a2 ready, SIGTERM a1"},
			{"exit a1", "spawn a1"},
			{"spawned a1", "a1 ready, rejected: a2: " + notSpawned + restored},
		}},
	})
}

// TestRollbackReasons checks which failures cause a rollback.
func TestRollbackReasons(t *testing.T) {
	one := newConfig(child("a", overlap))
	runScripts(t, []script{
		{"a surge that cannot be spawned", configs(
			newConfig(child("a", overlap)),
			withRollback(newConfig(child("a", overlap, args("+")))),
		), []step{
			{"spawned a", "spawn a, a ready"},
			{"reload 1", "spawn a+"},
			{"spawn-failed a", "a not spawned, rollback for a, " +
				"rejected: a: it could not be spawned: no such file" + restored},
			{"wait 1h", ""},
		}},
		{"exit code 0 before ready", configs(
			one,
			withRollback(newConfig(child("a", overlap, args("+"), neverReady))),
		), []step{
			{"spawned a", "spawn a, a ready"},
			{"reload 1", "spawn a+"},
			{"spawned a", ""},
			{"exit-new a", "rollback for a, " +
				"rejected: a: exited with code 0 before it was ready" + restored},
		}},
		{"a failed oneshot", configs(
			newConfig(child("a")),
			withRollback(newConfig(child("a", after("m")), child("m", oneshot, ignored))),
		), []step{
			{"spawned a", "spawn a, a ready"},
			{"reload 1", "spawn m"},
			{"spawned m", ""},
			{"exit m 1", "rollback for m, rejected: m: exited with code 1" + restored},
		}},
	})
}

// TestNoRollback checks which failures cause none.
func TestNoRollback(t *testing.T) {
	runScripts(t, []script{
		{"a failure after ready is no reason", configs(
			newConfig(child("a")),
			withRollback(newConfig(child("a", args("+")), child("b", neverReady))),
		), []step{
			{"spawned a", "spawn a, a ready"},
			{"reload 1", "SIGTERM a, spawn b"},
			{"exit a", "spawn a+"},
			{"spawned a", "a ready"},
			{"exit a 1", "a restart 1"},
		}},
		{"an instance that a newer reload replaces is no reason", configs(newConfig(
			child("a"), child("b", after("a")),
		),
			withRollback(newConfig(child("a", args("+"), neverReady), child("b", after("a")))),
			withRollback(newConfig(
				child("a", args("++")), child("b", after("a"), args("+")),
			))), []step{
			{"spawned a", "spawn a, a ready, spawn b"},
			{"spawned b", "b ready"},
			{"reload 1", "SIGTERM a"},
			{"exit a", "spawn a+"},
			{"spawned a", ""},
			{"reload 2", "SIGTERM b"},
			{"wait 1s", "a not ready, SIGTERM a"},
			{"exit a", "spawn a++"},
			{"spawned a", "a ready"},
			{"exit b", "spawn b+"},
			{"spawned b", "b ready, reloaded +[] -[] ~[a b] =[]"},
		}},
	})
}

func TestRollbackInterrupted(t *testing.T) {
	old := newConfig(child("a"), child("b*2", maxParallel(1)))
	ups := start("a", "b1", "b2")
	bad := withRollback(newConfig(
		child("a"), child("b*2", maxParallel(1), args("+"), neverReady), child("c"),
	))
	runScripts(t, []script{
		{"a stop during the rollback", configs(old, bad), append(ups[:4:4],
			step{"reload 1", "SIGTERM b1, spawn c"},
			step{"exit b1", "spawn b1+"},
			step{"spawn-failed b1", "b1 not spawned, rollback for b1, SIGTERM c, spawn b1"},
			step{"TERM", "ignored: a stop began before it was fully applied, " +
				"SIGTERM a, SIGTERM b1, SIGTERM b2"},
		)},
		{"a newer reload during the rollback", configs(old, bad), append(ups[:4:4],
			step{"reload 1", "SIGTERM b1, spawn c"},
			step{"exit b1", "spawn b1+"},
			step{"spawn-failed b1", "b1 not spawned, rollback for b1, SIGTERM c, spawn b1"},
			step{"reload 0", ""},
			step{"spawned c", ""},
			step{"exit c", ""},
			step{"spawned b1", "b1 ready, reloaded +[] -[] ~[b1] =[a b2]"},
		)},
	})
}
