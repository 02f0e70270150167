package orchestrator

import (
	"testing"

	"golang.org/x/sys/unix"

	"tp0/supervisor/config"
)

func TestDependencyConditions(t *testing.T) {
	runScripts(t, []script{
		{"started, ready and completed", configs(
			newConfig(
				child("a", neverReady), child("b", after("a:started")), child("c", after("a")),
				child("d", after("b:completed")),
			),
		), []step{
			{"", "spawn a"},
			{"spawned a", "spawn b"},
			{"spawned b", "b ready"},
			{"exit b", "b completed, spawn d"},
			{"health", "a is starting"},
		}},
		{"completed means the success of all instances", configs(
			newConfig(child("m*2", oneshot), child("a", after("m:completed"))),
		), []step{
			{"", "spawn m1, spawn m2"},
			{"spawned m1", ""},
			{"spawned m2", ""},
			{"exit m1", "m1 completed"},
			{"exit m2 1", "m2 restart 1"},
			{"wait 1s", "spawn m2"},
			{"spawned m2", ""},
			{"health", "m2 has not completed"},
			{"exit m2", "m2 completed, spawn a"},
			{"spawned a", "a ready"},
			{"health", ""},
			{"TERM", "SIGTERM a"},
			{"exit a", "cleanup"},
		}},
		{"a stop has no order for a dependency on completed", configs(
			newConfig(child("m"), child("a", after("m:completed"))),
			newConfig(child("m", args("+")), child("a", after("m:completed"))),
		), []step{
			{"spawned m", "spawn m, m ready"},
			{"exit m", "m completed, spawn a"},
			{"spawned a", "a ready"},
			{"reload 1", "spawn m+"},
			{"spawned m", "m ready, reloaded +[] -[] ~[m] =[a]"},
			{"TERM", "SIGTERM m, SIGTERM a"},
		}},
	})
}

func TestFailedDependency(t *testing.T) {
	runScripts(t, []script{
		{"a failed dependency blocks its dependents", configs(
			newConfig(
				child("m", oneshot, never, ignored), child("a", after("m:completed")), child("x"),
			),
		), []step{
			{"", "spawn m, spawn x"},
			{"spawned x", "x ready"},
			{"spawned m", ""},
			{"exit m 3", "m failed, a blocked by m"},
			{"health", "m is failed"},
			{"TERM", "SIGTERM x"},
			{"exit x", "cleanup"},
			{"cleaned-up", ""},
			{"end", "graceful 1: spawned 2, reaped 2, orphans 0, killed 0, left 0"},
		}},
		{"the health names the failed dependency", configs(
			newConfig(child("a", after("m:completed")), child("m", never, ignored), child("x")),
		), []step{
			{"spawned x", "spawn m, spawn x, x ready"},
			{"spawn-failed m", "m not spawned, m failed, a blocked by m"},
			{"health", "a waits for m, which has failed"},
		}},
		{"a stop while children start", configs(
			newConfig(child("m", oneshot), child("a", after("m:completed"))),
		), []step{
			{"spawned m", "spawn m"},
			{"TERM", "SIGTERM m"},
			{"exit m", "cleanup"},
		}},
	})
}

func TestCritical(t *testing.T) {
	up := []step{{"", "spawn a, spawn b"}, {"spawned a", "a ready"}, {"spawned b", "b ready"}}
	crit := newConfig(child("a", critical, never, ignored), child("b"))
	runScripts(t, beginWith(up, []script{
		{"the exit code of the critical child", configs(crit), []step{
			{"exit a 7", "a failed, stop: a ended, and it is critical, SIGTERM b"},
			{"exit b", "cleanup"},
			{"cleaned-up", ""},
			{"end", "graceful 7: spawned 2, reaped 2, orphans 0, killed 0, left 0"},
		}},
		{"the signal of the critical child", configs(crit), []step{
			{"exit-by a SIGSEGV", "a failed, stop: a ended, and it is critical, SIGTERM b"},
			{"exit b", "cleanup"},
			{"cleaned-up", ""},
			{"end", "graceful 139: spawned 2, reaped 2, orphans 0, killed 0, left 0"},
		}},
		{"the success of the critical child", configs(crit), []step{
			{"exit a", "a completed, stop: a ended, and it is critical, SIGTERM b"},
			{"exit b", "cleanup"},
			{"cleaned-up", ""},
			{"end", "graceful 0: spawned 2, reaped 2, orphans 0, killed 0, left 0"},
		}},
		{"code 124 takes precedence", configs(crit), []step{
			{"exit a 7", "a failed, stop: a ended, and it is critical, SIGTERM b"},
			{"wait 2s", "SIGKILL b"},
			{"exit b", "cleanup"},
			{"cleaned-up", ""},
			{"end", "forced 124: spawned 2, reaped 2, orphans 0, killed 1, left 0"},
		}},
		{"the end of a critical child in a stop does not count", configs(crit), []step{
			{"TERM", "SIGTERM a, SIGTERM b"},
			{"exit a 7", ""},
			{"exit b", "cleanup"},
			{"cleaned-up", ""},
			{"end", "graceful 0: spawned 2, reaped 2, orphans 0, killed 0, left 0"},
		}},
		{"a critical child is restarted first", configs(
			newConfig(child("a", critical), child("b")),
		), []step{
			{"exit a 7", "a restart 1"},
		}},
	}...))
}

func TestSidecarOrder(t *testing.T) {
	runScripts(t, []script{
		{"sidecars are stopped last, in their own order", configs(
			newConfig(
				child("s", sidecar), child("p", sidecar, after("s")), child("a"),
				child("b", after("a")),
			),
		), []step{
			{"spawned s", "spawn s, spawn a, s ready, spawn p"},
			{"spawned a", "a ready, spawn b"},
			{"spawned b", "b ready"},
			{"spawned p", "p ready"},
			{"TERM", "SIGTERM b"},
			{"exit b", "SIGTERM a"},
			{"exit a", "SIGTERM p"},
			{"exit p", "SIGTERM s"},
			{"exit s", "cleanup"},
		}},
		{"a sidecar is stopped after its dependencies", configs(
			newConfig(child("a"), child("s", sidecar, after("a"))),
		), []step{
			{"spawned a", "spawn a, a ready, spawn s"},
			{"spawned s", "s ready"},
			{"TERM", "SIGTERM a"},
			{"exit a", "SIGTERM s"},
		}},
		{"a removed sidecar is stopped last", configs(
			newConfig(child("s", sidecar), child("a"), child("x")),
			newConfig(child("x")),
		), []step{
			{"spawned s", "spawn s, spawn a, spawn x, s ready"},
			{"spawned a", "a ready"},
			{"spawned x", "x ready"},
			{"reload 1", "SIGTERM a"},
			{"exit a", "SIGTERM s"},
			{"exit s", "reloaded +[] -[s a] ~[] =[x]"},
		}},
	})
}

func TestOnlySidecarsRun(t *testing.T) {
	runScripts(t, []script{
		{"the supervisor stops if only sidecars run", configs(
			newConfig(child("s", sidecar), child("a", after("s"))),
		), []step{
			{"spawned s", "spawn s, s ready, spawn a"},
			{"spawned a", "a ready"},
			{"exit a 1", "a restart 1"},
			{"wait 1s", "spawn a"},
			{"spawned a", "a ready"},
			{"exit a", "a completed, stop: only sidecars run and nothing else is due, SIGTERM s"},
			{"exit s", "cleanup"},
			{"cleaned-up", ""},
			{"end", "graceful 0: spawned 3, reaped 3, orphans 0, killed 0, left 0"},
		}},
		{"an app that waits for a sidecar keeps the supervisor running", configs(
			newConfig(
				child("s", sidecar), child("m", sidecar, oneshot, after("s")),
				child("a", after("m:completed")),
			),
		), []step{
			{"spawned s", "spawn s, s ready, spawn m"},
			{"spawned m", ""},
			{"exit m 1", "m restart 1"},
			{"wait 1s", "spawn m"},
			{"spawned m", ""},
			{"exit m", "m completed, spawn a"},
		}},
		{"an app that waits for a failed sidecar does not", configs(
			newConfig(
				child("s", sidecar), child("m", sidecar, oneshot, never, ignored),
				child("a", after("m:completed")), child("b", after("a")),
			),
		), []step{
			{"spawned s", "spawn s, spawn m, s ready"},
			{"spawned m", ""},
			{"exit m 1", "m failed, a blocked by m, " +
				"stop: only sidecars run and nothing else is due, SIGTERM s"},
		}},
		{"only sidecars are configured", configs(newConfig(child("s", sidecar))), []step{
			{"spawned s", "spawn s, s ready"},
			{"exit s", "s completed, stop: nothing runs and nothing is due, cleanup"},
		}},
	})
}

func TestReloadSignal(t *testing.T) {
	hup := policy(func(p *config.Policy) { p.ReloadSignal = unix.SIGHUP })
	usr1 := policy(func(p *config.Policy) { p.ReloadSignal = unix.SIGUSR1 })
	old := newConfig(child("a", hup), child("b", hup), child("c", hup), child("d"))
	up := []step{
		{"", "spawn a, spawn b, spawn c, spawn d"},
		{"spawned a", "a ready"},
		{"spawned b", "b ready"},
		{"spawned d", "d ready"},
	}
	runScripts(t, beginWith(up, []script{
		{"kept instances that are ready get the signal", configs(
			old,
			newConfig(child("a", hup), child("b", hup, args("+")), child("c", hup), child("d")),
		), []step{
			{"reload-later 1", "reload by SIGHUP a, SIGTERM b"},
		}},
		{"the signal of the new policy", configs(
			old,
			newConfig(child("a", usr1), child("b"), child("c"), child("d", hup)),
		), []step{
			{"reload-later 1", "reload by SIGUSR1 a, reload by SIGHUP d"},
		}},
		{"a new process gets the signal after handlerDelay", configs(
			newConfig(child("a", hup), child("b"), child("c"), child("d")),
			old,
		), []step{
			{"wait 100ms", ""},
			{"reload 0", ""},
			{"wait 899ms", ""},
			{"wait 1ms", "reload by SIGHUP a"},
		}},
	}...))
}

// TestStopByOldPolicy checks that a process is stopped by the policy of its spawn, or by the last
// one that came without a restart.
func TestStopByOldPolicy(t *testing.T) {
	slow, quick := killSignal(unix.SIGINT, 3e9), killSignal(unix.SIGQUIT, 1e9)
	runScripts(t, []script{
		{"the stop sequence at the spawn", configs(
			newConfig(child("a", slow)),
			newConfig(child("a", quick, args("+"))),
			newConfig(child("a", killSignal(unix.SIGHUP, 5e8), args("+"))),
		), []step{
			{"spawned a", "spawn a, a ready"},
			{"reload 1", "SIGINT a"},
			{"reload 2", ""},
			{"wait 2999ms", ""},
			{"wait 1ms", "SIGKILL a"},
			{"exit a", "spawn a+"},
			{"spawned a", "a ready, reloaded +[] -[] ~[a] =[]"},
			{"TERM", "SIGHUP a"},
			{"wait 500ms", "SIGKILL a"},
		}},
		{"the last policy without a restart", configs(
			newConfig(child("a", slow)),
			newConfig(child("a", quick)),
			newConfig(child("a", slow, args("+"))),
		), []step{
			{"spawned a", "spawn a, a ready"},
			{"reload 1", "reloaded +[] -[] ~[a] =[]"},
			{"reload 2", "SIGQUIT a"},
			{"wait 1s", "SIGKILL a"},
		}},
		{"an instance that is wanted again", configs(
			newConfig(child("a", slow), child("b")),
			newConfig(child("b")),
			newConfig(child("a", quick), child("b")),
		), []step{
			{"spawned a", "spawn a, spawn b, a ready"},
			{"spawned b", "b ready"},
			{"reload 1", "SIGINT a"},
			{"reload 2", ""},
			{"wait 3s", "SIGKILL a"},
			{"exit a", "spawn a"},
			{"TERM", "ignored: a stop began before it was fully applied, SIGQUIT a, SIGTERM b"},
		}},
	})
}
