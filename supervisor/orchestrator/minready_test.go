package orchestrator

import (
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"tp0/supervisor/config"
	"tp0/supervisor/process"
)

// replicas returns a child "a" with three instances, one update slot and a min_ready of 10 s.
func replicas(changes ...change) *config.Config {
	all := append([]change{maxParallel(1), minReady(10 * time.Second)}, changes...)
	return newConfig(child("a*3", all...))
}

var replicasUp = start("a1", "a2", "a3")

// early is the reason of an exit half a second after ready.
const early = "exited with code 1 500ms after it was ready; its min_ready is 10s"

// TestMinReady updates instances that have to be ready for some time.
func TestMinReady(t *testing.T) {
	runScripts(t, beginWith(replicasUp,
		script{"each instance is ready for min_ready before the next update", configs(
			replicas(), replicas(args("+")),
		), []step{
			{"reload 1", "SIGTERM a1"},
			{"exit a1", "spawn a1+"},
			{"wait 1m", ""},
			{"spawned a1", "a1 ready"},
			{"wait 9s", ""},
			{"wait 1s", "SIGTERM a2"},
			{"exit a2", "spawn a2+"},
			{"spawned a2", "a2 ready"},
			{"wait 10s", "SIGTERM a3"},
			{"exit a3", "spawn a3+"},
			{"spawned a3", "a3 ready"},
			{"wait 9s", ""},
			{"wait 1s", "reloaded +[] -[] ~[a1 a2 a3] =[]"},
			{"exit a3 1", "a3 restart 1"},
			{"wait 1s", "spawn a3+"},
			{"spawned a3", "a3 ready"},
		}},
		script{"a crash after min_ready does not halt the update", configs(
			replicas(), replicas(args("+")),
		), []step{
			{"reload 1", "SIGTERM a1"},
			{"exit a1", "spawn a1+"},
			{"spawned a1", "a1 ready"},
			{"wait 10s", "SIGTERM a2"},
			{"exit a1 1", "a1 restart 1"},
			{"exit a2", "spawn a2+"},
			{"spawned a2", "a2 ready"},
			{"wait 10s", "spawn a1+, SIGTERM a3"},
		}},
		script{"an overlap: the old process stays until min_ready is over", configs(
			replicas(overlap), replicas(overlap, args("+")),
		), []step{
			{"reload 1", "spawn a1+"},
			{"spawned a1", "a1 ready"},
			{"wait 9s", ""},
			{"wait 1s", "SIGTERM a1, spawn a2+"},
			{"exit a1", ""},
			{"spawned a2", "a2 ready"},
			{"exit a2 1", ""}, // the old process crashes: no other one of it is needed
			{"wait 10s", "spawn a3+"},
			{"spawned a3", "a3 ready"},
			{"wait 10s", "SIGTERM a3"},
			{"exit a3", "reloaded +[] -[] ~[a1 a2 a3] =[]"},
		}},
		script{"an added instance has to be ready for min_ready too", configs(
			replicas(), newConfig(child("a*4", maxParallel(1), minReady(10*time.Second))),
		), []step{
			{"reload 1", "spawn a4"},
			{"spawned a4", "a4 ready"},
			{"wait 9s", ""},
			{"wait 1s", "reloaded +[a4] -[] ~[] =[a1 a2 a3]"},
		}},
	))
}

// beforeCrash begins an update of a1, whose new process is to end before min_ready is over.
var beforeCrash = []step{
	{"reload 1", "SIGTERM a1"},
	{"exit a1", "spawn a1+"},
	{"spawned a1", "a1 ready"},
	{"wait 500ms", ""},
}

// TestMinReadyFails ends new processes before they have been ready for min_ready.
func TestMinReadyFails(t *testing.T) {
	runScripts(t, beginWith(replicasUp,
		script{"the update is halted, and on_failure does not stop the others", configs(
			replicas(), replicas(args("+")),
		), append(beforeCrash[:4:4],
			step{"exit a1 1", halted("a1", early) + ", a1 restart 1"},
			step{"health", haltedHealth("a1", early)},
			step{"wait 1s", "spawn a1+"},
			step{"spawned a1", "a1 ready"},
			step{"wait 500ms", ""},
			step{"exit a1 1", "a1 restart 2"},
			step{"wait 1s", "spawn a1+"},
			step{"spawned a1", "a1 ready"},
			step{"exit a1 1", "a1 failed"},
			step{"wait 1h", ""},
			step{"health", haltedHealth("a1", early)},
			step{"exit a2 1", "a2 restart 1"}, // by its old configuration
			step{"wait 1s", "spawn a2"},
			step{"spawned a2", "a2 ready"},
			step{"reload 0", "spawn a1"},
			step{"spawned a1", "a1 ready"},
			step{"wait 10s", "reloaded +[] -[] ~[a1] =[a2 a3]"},
			step{"health", ""},
		)},
		script{"a rollback, though the restart policy would restart it", configs(
			replicas(), withRollback(replicas(args("+"))),
		), append(beforeCrash[:4:4],
			step{"exit a1 1", "rollback for a1, spawn a1"},
			step{"spawned a1", "a1 ready"},
			step{"wait 10s", "rejected: a1: " + early + restored},
			step{"health", ""},
		)},
		script{"exit code 0 is a failure too", configs(
			replicas(), withRollback(replicas(args("+"), restart("always"))),
		), append(beforeCrash[:4:4],
			step{"exit a1", "rollback for a1, spawn a1"},
		)},
	))
}

// TestMinReadyFailsBesideOthers ends new processes that run beside others of their child.
func TestMinReadyFailsBesideOthers(t *testing.T) {
	runScripts(t, beginWith(replicasUp,
		script{"the new process of an overlap fails: the old one stays", configs(
			replicas(overlap), replicas(overlap, args("+")),
		), []step{
			{"reload 1", "spawn a1+"},
			{"spawned a1", "a1 ready"},
			{"wait 500ms", ""},
			{"exit-new a1 1", halted("a1", early)},
			{"wait 1h", ""},
			{"health", haltedHealth("a1", early)},
		}},
		script{"of two new processes one fails: both old ones stay", configs(
			replicas(overlap, maxParallel(2)), replicas(overlap, maxParallel(2), args("+")),
		), []step{
			{"reload 1", "spawn a1+, spawn a2+"},
			{"spawned a1", "a1 ready"},
			{"spawned a2", "a2 ready"},
			{"wait 500ms", ""},
			{"exit-new a2 1", halted("a2", early) + ", SIGTERM a1"},
		}},
		script{"the last healthy instance fails: on_failure decides", configs(
			replicas(), replicas(args("+"), maxParallel(3), never),
		), []step{
			{"reload 1", "SIGTERM a1, SIGTERM a2, SIGTERM a3"},
			{"exit a1", "spawn a1+"},
			{"exit a2", "spawn a2+"},
			{"exit a3", "spawn a3+"},
			{"spawned a1", "a1 ready"},
			{"spawned a2", "a2 ready"},
			{"spawned a3", "a3 ready"},
			{"wait 500ms", ""},
			{"exit a1 1", halted("a1", early) + ", a1 failed"},
			{"exit a2 1", "a2 failed"},
			{"exit a3 1", "a3 failed, " +
				`stop: a3 failed, and on_failure is "shutdown", cleanup`},
		}},
	))
}

// TestMinReadyOfOne updates the only instance of a child.
func TestMinReadyOfOne(t *testing.T) {
	one := newConfig(child("a", minReady(10*time.Second), critical))
	crash := []step{
		{"spawned a", "spawn a, a ready"},
		{"reload 1", "SIGTERM a"},
		{"exit a", "spawn a+"},
		{"spawned a", "a ready"},
		{"wait 500ms", ""},
		{"exit a 1", halted("a", early) + ", a restart 1"},
		{"wait 1s", "spawn a+"},
		{"spawned a", "a ready"},
	}
	new := newConfig(child("a", minReady(10*time.Second), critical, args("+")))
	other := newConfig(child("a", overlap, minReady(10*time.Second), critical, args("+")))
	runScripts(t, []script{
		{"a restart completes the update", configs(one, new), append(crash[:8:8],
			step{"health", haltedHealth("a", early)},
			step{"wait 10s", "reloaded +[] -[] ~[a] =[]"},
			step{"health", ""},
		)},
		{"the attempts are used up: everything stops", configs(one, new), append(crash[:8:8],
			step{"exit a 1", "a restart 2"},
			step{"wait 1s", "spawn a+"},
			step{"spawned a", "a ready"},
			step{"exit a 1", "a failed, stop: a ended, and it is critical, cleanup"},
		)},
		{"a critical child with an overlap", configs(one, other), []step{
			{"spawned a", "spawn a, a ready"},
			{"reload 1", "spawn a+"},
			{"spawned a", "a ready"},
			{"wait 500ms", ""},
			{"exit-new a 1", halted("a", early)},
			{"wait 1h", ""},
		}},
	})
}

// TestMinReadyAndOtherRequests reloads or stops while an instance is not confirmed yet.
func TestMinReadyAndOtherRequests(t *testing.T) {
	updating := []step{
		{"reload 1", "SIGTERM a1"},
		{"exit a1", "spawn a1+"},
		{"spawned a1", "a1 ready"},
		{"wait 4s", ""},
	}
	runScripts(t, beginWith(replicasUp,
		script{"a stop", configs(replicas(), replicas(args("+"))), append(updating[:4:4],
			step{"TERM", "ignored: a stop began before it was fully applied, " +
				"SIGTERM a1, SIGTERM a2, SIGTERM a3"},
			step{"exit a1 1", ""},
			step{"exit a2", ""},
			step{"exit a3", "cleanup"},
		)},
		script{"the same configuration", configs(replicas(), replicas(args("+"))),
			append(updating[:4:4],
				step{"reload 1", ""},
				step{"wait 6s", "SIGTERM a2"},
			)},
		script{"another min_ready", configs(
			replicas(), replicas(args("+")), replicas(args("+"), minReady(20*time.Second)),
			replicas(args("+"), minReady(3*time.Second)),
		), append(updating[:4:4],
			step{"reload 2", ""},
			step{"wait 15s", ""},
			step{"reload 3", "SIGTERM a2"},
		)},
		script{"another version: the unconfirmed one is replaced first", configs(
			replicas(), replicas(args("+")), replicas(args("++")),
		), append(updating[:4:4],
			step{"reload 2", "SIGTERM a1"},
			step{"exit a1", "spawn a1++"},
			step{"spawned a1", "a1 ready"},
			step{"wait 10s", "SIGTERM a2"},
		)},
		script{"back to the first version", configs(replicas(), replicas(args("+"))),
			append(updating[:4:4],
				step{"reload 0", "SIGTERM a1"},
				step{"exit a1", "spawn a1"},
				step{"spawned a1", "a1 ready"},
				step{"wait 10s", "reloaded +[] -[] ~[a1] =[a2 a3]"},
			)},
	))
}

// TestMinReadyAndDependents starts dependents when their dependency is ready.
func TestMinReadyAndDependents(t *testing.T) {
	ten := minReady(10 * time.Second)
	runScripts(t, []script{
		{"a dependent does not wait for min_ready", configs(
			newConfig(child("a", ten)),
			newConfig(child("a", ten, args("+")), child("b", after("a"))),
		), []step{
			{"spawned a", "spawn a, a ready"},
			{"reload 1", "SIGTERM a"},
			{"exit a", "spawn a+"},
			{"spawned a", "a ready, spawn b"},
			{"spawned b", "b ready"},
			{"wait 10s", "reloaded +[b] -[] ~[a] =[]"},
		}},
		{"an overlap of both", configs(
			newConfig(child("a", ten, overlap), child("b", after("a"), overlap)),
			newConfig(
				child("a", ten, overlap, args("+")), child("b", after("a"), overlap, args("+")),
				child("c", after("a")),
			)), []step{
			{"spawned a", "spawn a, a ready, spawn b"},
			{"spawned b", "b ready"},
			{"reload 1", "spawn a+"},
			{"spawned a", "a ready, spawn b+, spawn c"},
			{"spawned b", "b ready, SIGTERM b"},
			{"spawned c", "c ready"},
			{"exit b", ""},
			{"wait 10s", "SIGTERM a"},
			{"exit a", "reloaded +[c] -[] ~[a b] =[]"},
		}},
	})
}

// TestMinReadyOfACheck counts a failed check and a ready timeout as a failure of the update.
func TestMinReadyOfACheck(t *testing.T) {
	minute := minReady(time.Minute)
	runScripts(t, []script{
		{"a failed check", configs(
			newConfig(child("a*2", maxParallel(1), minute)),
			withRollback(newConfig(
				child("a*2", maxParallel(1), minute, checkBy("1ms"), args("+")),
			)),
		), []step{
			{"spawned a1", "spawn a1, spawn a2, a1 ready"},
			{"spawned a2", "a2 ready"},
			{"probe-fails", ""},
			{"reload 1", "SIGTERM a1"},
			{"exit a1", "spawn a1+"},
			{"spawned a1", "a1 ready"},
			{"wait 6s", "probe a1, a1 check alive failed"},
			{"wait 14s", "probe a1, a1 unhealthy, SIGTERM a1, rollback for a1, SIGKILL a1"},
			{"exit a1", "spawn a1"},
		}},
		{"not ready in time, without a rollback", configs(
			newConfig(child("a*2", maxParallel(1), minute)),
			newConfig(child("a*2", maxParallel(1), minute, neverReady, args("+"))),
		), []step{
			{"spawned a1", "spawn a1, spawn a2, a1 ready"},
			{"spawned a2", "a2 ready"},
			{"reload 1", "SIGTERM a1"},
			{"exit a1", "spawn a1+"},
			{"spawned a1", ""},
			{"wait 1s", "a1 not ready, " + halted("a1", "not ready within 1s") + ", SIGTERM a1"},
			{"exit a1", "a1 restart 1"},
		}},
	})
}

// TestMinReadyBesideARemovedInstance fails an update while the only other instance of the child is
// ready, but is being removed.
func TestMinReadyBesideARemovedInstance(t *testing.T) {
	runScript(t, configs(
		newConfig(child("a*2", overlap, never), child("b", after("a"))),
		newConfig(child("a*1", overlap, never, args("+"))),
	), []step{
		{"spawned a1", "spawn a1, spawn a2, a1 ready"},
		{"spawned a2", "a2 ready, spawn b"},
		{"spawned b", "b ready"},
		{"reload 1", "SIGTERM b, spawn a1+"}, // a2 waits for the end of b
		{"exit a1 1", ""},
		{"spawn-failed a1", "a1 not spawned, " + halted("a1", notSpawned) + ", a1 failed, " +
			`stop: a1 failed, and on_failure is "shutdown"`},
	})
}

// TestBothProcessesEndAtOnce ends the new and the old process of an overlap, and the orchestrator
// learns of both before it does anything about the first. A process must follow.
func TestBothProcessesEndAtOnce(t *testing.T) {
	ten := minReady(10 * time.Second)
	withHarness(t, configs(
		newConfig(child("a", overlap, ten)), newConfig(child("a", overlap, ten, args("+"))),
	), func(h *harness) {
		h.want("spawned a", "spawn a, a ready")
		h.want("reload 1", "spawn a+")
		h.want("spawned a", "a ready")
		end := func(step string) process.Exited {
			p := h.target(command{step, []string{step, "a"}})
			h.remove(p)
			return process.Exited{Process: p.id, Pid: p.pid, At: time.Now()}
		}
		newEnd, oldEnd := end("exit-new"), end("exit")
		h.mu.Lock()
		h.o.Forward(unix.SIGUSR2, 0) // its event waits for the lock, so both ends come at once
		h.o.Deliver(newEnd)
		h.o.Deliver(oldEnd)
		h.mu.Unlock()
		const early = "exited with code 0 0s after it was ready; its min_ready is 10s"
		h.want("", halted("a", early)+", spawn a+")
		h.want("spawned a", "a ready")
		h.want("wait 10s", "reloaded +[] -[] ~[a] =[]")
	})
}
