package orchestrator

import (
	"testing"

	"golang.org/x/sys/unix"

	"tp0/supervisor/config"
)

func TestUntil(t *testing.T) {
	runScripts(t, []script{
		{"each as far as it is asked for", configs(newConfig(child("a", neverReady), child("b", after("a:started")), child("c", after("a")), child("d", after("b:completed")))), []step{
			{"", "spawn a"},
			{"spawned a", "spawn b"},
			{"spawned b", "b ready"},
			{"exit b", "b completed, spawn d"},
			{"health", "a is starting"},
		}},
		{"completed is all instances, with success", configs(newConfig(child("m*2", oneshot), child("a", after("m:completed")))), []step{
			{"", "spawn m1, spawn m2"},
			{"spawned m1", "m1 ready"},
			{"spawned m2", "m2 ready"},
			{"exit m1", "m1 completed"},
			{"exit m2 1", "m2 restart 1"},
			{"wait 1s", "spawn m2"},
			{"spawned m2", "m2 ready"},
			{"health", "m2 has not completed"},
			{"exit m2", "m2 completed, spawn a"},
			{"spawned a", "a ready"},
			{"health", ""},
			{"TERM", "SIGTERM a"},
			{"exit a", "cleanup"},
		}},
		{"one that fails for good is waited for in vain", configs(newConfig(child("m", oneshot, never, ignored), child("a", after("m:completed")), child("x"))), []step{
			{"", "spawn m, spawn x"},
			{"spawned x", "x ready"},
			{"spawned m", "m ready"},
			{"exit m 3", "m failed, a blocked by m"},
			{"health", "m is failed"},
			{"TERM", "SIGTERM x"},
			{"exit x", "cleanup"},
			{"cleaned-up", ""},
			{"end", "graceful 1: spawned 2, reaped 2, orphans 0, killed 0, left 0"},
		}},
		{"what waits says for whom", configs(newConfig(child("a", after("m:completed")), child("m", never, ignored), child("x"))), []step{
			{"spawned x", "spawn m, spawn x, x ready"},
			{"spawn-failed m", "m not spawned, m failed, a blocked by m"},
			{"health", "a waits for m, which has failed"},
		}},
		{"a stop does not wait for one that only had to complete", configs(newConfig(child("m"), child("a", after("m:completed"))), newConfig(child("m", args("+")), child("a", after("m:completed")))), []step{
			{"spawned m", "spawn m, m ready"},
			{"exit m", "m completed, spawn a"},
			{"spawned a", "a ready"},
			{"reload 1", "spawn m+"},
			{"spawned m", "m ready, reloaded +[] -[] ~[m] =[a]"},
			{"TERM", "SIGTERM m, SIGTERM a"},
		}},
		{"a stop in mid-start", configs(newConfig(child("m", oneshot), child("a", after("m:completed")))), []step{
			{"spawned m", "spawn m, m ready"},
			{"TERM", "SIGTERM m"},
			{"exit m", "cleanup"},
		}},
	})
}

func TestCritical(t *testing.T) {
	up := []step{{"", "spawn a, spawn b"}, {"spawned a", "a ready"}, {"spawned b", "b ready"}}
	crit := newConfig(child("a", critical, never, ignored), child("b"))
	scripts := []script{
		{"its code", configs(crit), []step{
			{"exit a 7", "a failed, stop: critical child ended: a, SIGTERM b"},
			{"exit b", "cleanup"},
			{"cleaned-up", ""},
			{"end", "graceful 7: spawned 2, reaped 2, orphans 0, killed 0, left 0"},
		}},
		{"its signal", configs(crit), []step{
			{"exit-by a SIGSEGV", "a failed, stop: critical child ended: a, SIGTERM b"},
			{"exit b", "cleanup"},
			{"cleaned-up", ""},
			{"end", "graceful 139: spawned 2, reaped 2, orphans 0, killed 0, left 0"},
		}},
		{"its success", configs(crit), []step{
			{"exit a", "a completed, stop: critical child ended: a, SIGTERM b"},
			{"exit b", "cleanup"},
			{"cleaned-up", ""},
			{"end", "graceful 0: spawned 2, reaped 2, orphans 0, killed 0, left 0"},
		}},
		{"forced goes before", configs(crit), []step{
			{"exit a 7", "a failed, stop: critical child ended: a, SIGTERM b"},
			{"wait 2s", "SIGKILL b"},
			{"exit b", "cleanup"},
			{"cleaned-up", ""},
			{"end", "forced 124: spawned 2, reaped 2, orphans 0, killed 1, left 0"},
		}},
		{"its end in a stop is none", configs(crit), []step{
			{"TERM", "SIGTERM a, SIGTERM b"},
			{"exit a 7", ""},
			{"exit b", "cleanup"},
			{"cleaned-up", ""},
			{"end", "graceful 0: spawned 2, reaped 2, orphans 0, killed 0, left 0"},
		}},
		{"restarts come first", configs(newConfig(child("a", critical), child("b"))), []step{
			{"exit a 7", "a restart 1"},
		}},
	}
	for i := range scripts {
		scripts[i].steps = append(append([]step{}, up...), scripts[i].steps...)
	}
	runScripts(t, scripts)
}

func TestSidecar(t *testing.T) {
	runScripts(t, []script{
		{"it goes last, in an order of its own", configs(newConfig(child("s", sidecar), child("p", sidecar, after("s")), child("a"), child("b", after("a")))), []step{
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
		{"it outlives what it was started after", configs(newConfig(child("a"), child("s", sidecar, after("a")))), []step{
			{"spawned a", "spawn a, a ready, spawn s"},
			{"spawned s", "s ready"},
			{"TERM", "SIGTERM a"},
			{"exit a", "SIGTERM s"},
		}},
		{"alone it ends all", configs(newConfig(child("s", sidecar), child("a", after("s")))), []step{
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
		{"one that is waited for does not", configs(newConfig(child("s", sidecar), child("m", sidecar, oneshot, after("s")), child("a", after("m:completed")))), []step{
			{"spawned s", "spawn s, s ready, spawn m"},
			{"spawned m", "m ready"},
			{"exit m 1", "m restart 1"},
			{"wait 1s", "spawn m"},
			{"spawned m", "m ready"},
			{"exit m", "m completed, spawn a"},
		}},
		{"one that is waited for in vain does", configs(newConfig(child("s", sidecar), child("m", sidecar, oneshot, never, ignored), child("a", after("m:completed")), child("b", after("a")))), []step{
			{"spawned s", "spawn s, spawn m, s ready"},
			{"spawned m", "m ready"},
			{"exit m 1", "m failed, a blocked by m, stop: only sidecars run and nothing else is due, SIGTERM s"},
		}},
		{"where there are only sidecars they are like others", configs(newConfig(child("s", sidecar))), []step{
			{"spawned s", "spawn s, s ready"},
			{"exit s", "s completed, stop: nothing runs and nothing is due, cleanup"},
		}},
		{"removed together, it goes last", configs(newConfig(child("s", sidecar), child("a"), child("x")), newConfig(child("x"))), []step{
			{"spawned s", "spawn s, spawn a, spawn x, s ready"},
			{"spawned a", "a ready"},
			{"spawned x", "x ready"},
			{"reload 1", "SIGTERM a"},
			{"exit a", "SIGTERM s"},
			{"exit s", "reloaded +[] -[s a] ~[] =[x]"},
		}},
	})
}

func TestReloadSignal(t *testing.T) {
	hup := policy(func(p *config.Policy) { p.ReloadSignal = unix.SIGHUP })
	usr1 := policy(func(p *config.Policy) { p.ReloadSignal = unix.SIGUSR1 })
	old := newConfig(child("a", hup), child("b", hup), child("c", hup), child("d"))
	up := []step{{"", "spawn a, spawn b, spawn c, spawn d"}, {"spawned a", "a ready"}, {"spawned b", "b ready"}, {"spawned d", "d ready"}}
	scripts := []script{
		{"to those that are kept and ready", configs(old, newConfig(child("a", hup), child("b", hup, args("+")), child("c", hup), child("d"))), []step{
			{"reload-later 1", "forward SIGHUP a, SIGTERM b"},
		}},
		{"by the new policy", configs(old, newConfig(child("a", usr1), child("b"), child("c"), child("d", hup))), []step{
			{"reload-later 1", "forward SIGUSR1 a, forward SIGHUP d"},
		}},
		{"once a young run can hear it", configs(newConfig(child("a", hup), child("b"), child("c"), child("d")), old), []step{
			{"wait 100ms", ""},
			{"reload 0", ""},
			{"wait 899ms", ""},
			{"wait 1ms", "forward SIGHUP a"},
		}},
	}
	for i := range scripts {
		scripts[i].steps = append(append([]step{}, up...), scripts[i].steps...)
	}
	runScripts(t, scripts)
}

// A run is stopped by what it was started with, or by the last policy that came
// without a restart.
func TestRenewedByWhatItWasStartedWith(t *testing.T) {
	slow, quick := killSignal(unix.SIGINT, 3e9), killSignal(unix.SIGQUIT, 1e9)
	runScripts(t, []script{
		{"the old ladder", configs(newConfig(child("a", slow)), newConfig(child("a", quick, args("+"))), newConfig(child("a", killSignal(unix.SIGHUP, 5e8), args("+")))), []step{
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
		{"the last policy", configs(newConfig(child("a", slow)), newConfig(child("a", quick)), newConfig(child("a", slow, args("+")))), []step{
			{"spawned a", "spawn a, a ready"},
			{"reload 1", "reloaded +[] -[] ~[a] =[]"},
			{"reload 2", "SIGQUIT a"},
			{"wait 1s", "SIGKILL a"},
		}},
		{"one that is back", configs(newConfig(child("a", slow), child("b")), newConfig(child("b")), newConfig(child("a", quick), child("b"))), []step{
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
