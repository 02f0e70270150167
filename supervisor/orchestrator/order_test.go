package orchestrator

import (
	"testing"

	"golang.org/x/sys/unix"

	"tp0/supervisor/config"
)

func TestUntil(t *testing.T) {
	ignored := onFailure(config.Ignore)
	playAll(t, []script{
		{"each as far as it is asked for", cfgs(newConfig(kid("a", readyAt("127.0.0.1:1")), kid("b", after("a:started")), kid("c", after("a")), kid("d", after("b:completed")))), []step{
			{"", "spawn a"},
			{"up a", "spawn b"},
			{"up b", "b ready"},
			{"exit b", "b completed, spawn d"},
			{"health", "a is starting"},
		}},
		{"completed is all instances, with success", cfgs(newConfig(kid("m*2", oneshot), kid("a", after("m:completed")))), []step{
			{"", "spawn m1, spawn m2"},
			{"up m1", "m1 ready"},
			{"up m2", "m2 ready"},
			{"exit m1", "m1 completed"},
			{"exit m2 1", "m2 again 1"},
			{"wait 1s", "spawn m2"},
			{"up m2", "m2 ready"},
			{"health", "m2 has not completed"},
			{"exit m2", "m2 completed, spawn a"},
			{"up a", "a ready"},
			{"health", ""},
			{"TERM", "SIGTERM a"},
			{"exit a", "sweep"},
		}},
		{"one that fails for good is waited for in vain", cfgs(newConfig(kid("m", oneshot, restart("never"), ignored), kid("a", after("m:completed")), kid("x"))), []step{
			{"", "spawn m, spawn x"},
			{"up x", "x ready"},
			{"up m", "m ready"},
			{"exit m 3", "m failed, a waits in vain for m"},
			{"health", "m is failed"},
			{"TERM", "SIGTERM x"},
			{"exit x", "sweep"},
			{"swept", ""},
			{"end", "graceful 1: spawned 2, reaped 2, orphans 0, killed 0, left 0"},
		}},
		{"what waits says for whom", cfgs(newConfig(kid("a", after("m:completed")), kid("m", restart("never"), ignored), kid("x"))), []step{
			{"up x", "spawn m, spawn x, x ready"},
			{"refuse m", "m not spawned, m failed, a waits in vain for m"},
			{"health", "a waits for m, which has failed"},
		}},
		{"a stop does not wait for one that only had to complete", cfgs(newConfig(kid("m"), kid("a", after("m:completed"))), newConfig(kid("m", args("+")), kid("a", after("m:completed")))), []step{
			{"up m", "spawn m, m ready"},
			{"exit m", "m completed, spawn a"},
			{"up a", "a ready"},
			{"reload 1", "spawn m+"},
			{"up m", "m ready, reloaded +[] -[] ~[m] =[a]"},
			{"TERM", "SIGTERM m, SIGTERM a"},
		}},
		{"a stop in mid-start", cfgs(newConfig(kid("m", oneshot), kid("a", after("m:completed")))), []step{
			{"up m", "spawn m, m ready"},
			{"TERM", "SIGTERM m"},
			{"exit m", "sweep"},
		}},
	})
}

func TestCritical(t *testing.T) {
	up := []step{{"", "spawn a, spawn b"}, {"up a", "a ready"}, {"up b", "b ready"}}
	never := newConfig(kid("a", critical, restart("never"), onFailure(config.Ignore)), kid("b"))
	scripts := []script{
		{"its code", cfgs(never), []step{
			{"exit a 7", "a failed, stop: critical child ended: a, SIGTERM b"},
			{"exit b", "sweep"},
			{"swept", ""},
			{"end", "graceful 7: spawned 2, reaped 2, orphans 0, killed 0, left 0"},
		}},
		{"its signal", cfgs(never), []step{
			{"die a SIGSEGV", "a failed, stop: critical child ended: a, SIGTERM b"},
			{"exit b", "sweep"},
			{"swept", ""},
			{"end", "graceful 139: spawned 2, reaped 2, orphans 0, killed 0, left 0"},
		}},
		{"its success", cfgs(never), []step{
			{"exit a", "a completed, stop: critical child ended: a, SIGTERM b"},
			{"exit b", "sweep"},
			{"swept", ""},
			{"end", "graceful 0: spawned 2, reaped 2, orphans 0, killed 0, left 0"},
		}},
		{"forced goes before", cfgs(never), []step{
			{"exit a 7", "a failed, stop: critical child ended: a, SIGTERM b"},
			{"wait 2s", "SIGKILL b"},
			{"exit b", "sweep"},
			{"swept", ""},
			{"end", "forced 124: spawned 2, reaped 2, orphans 0, killed 1, left 0"},
		}},
		{"its end in a stop is none", cfgs(never), []step{
			{"TERM", "SIGTERM a, SIGTERM b"},
			{"exit a 7", ""},
			{"exit b", "sweep"},
			{"swept", ""},
			{"end", "graceful 0: spawned 2, reaped 2, orphans 0, killed 0, left 0"},
		}},
		{"restarts come first", cfgs(newConfig(kid("a", critical), kid("b"))), []step{
			{"exit a 7", "a again 1"},
		}},
	}
	for i := range scripts {
		scripts[i].steps = append(append([]step{}, up...), scripts[i].steps...)
	}
	playAll(t, scripts)
}

func TestSidecar(t *testing.T) {
	playAll(t, []script{
		{"it goes last, in an order of its own", cfgs(newConfig(kid("s", sidecar), kid("p", sidecar, after("s")), kid("a"), kid("b", after("a")))), []step{
			{"up s", "spawn s, spawn a, s ready, spawn p"},
			{"up a", "a ready, spawn b"},
			{"up b", "b ready"},
			{"up p", "p ready"},
			{"TERM", "SIGTERM b"},
			{"exit b", "SIGTERM a"},
			{"exit a", "SIGTERM p"},
			{"exit p", "SIGTERM s"},
			{"exit s", "sweep"},
		}},
		{"it outlives what it was started after", cfgs(newConfig(kid("a"), kid("s", sidecar, after("a")))), []step{
			{"up a", "spawn a, a ready, spawn s"},
			{"up s", "s ready"},
			{"TERM", "SIGTERM a"},
			{"exit a", "SIGTERM s"},
		}},
		{"alone it ends all", cfgs(newConfig(kid("s", sidecar), kid("a", after("s")))), []step{
			{"up s", "spawn s, s ready, spawn a"},
			{"up a", "a ready"},
			{"exit a 1", "a again 1"},
			{"wait 1s", "spawn a"},
			{"up a", "a ready"},
			{"exit a", "a completed, stop: only sidecars run and nothing else is due, SIGTERM s"},
			{"exit s", "sweep"},
			{"swept", ""},
			{"end", "graceful 0: spawned 3, reaped 3, orphans 0, killed 0, left 0"},
		}},
		{"one that is waited for does not", cfgs(newConfig(kid("s", sidecar), kid("m", sidecar, oneshot, after("s")), kid("a", after("m:completed")))), []step{
			{"up s", "spawn s, s ready, spawn m"},
			{"up m", "m ready"},
			{"exit m 1", "m again 1"},
			{"wait 1s", "spawn m"},
			{"up m", "m ready"},
			{"exit m", "m completed, spawn a"},
		}},
		{"one that is waited for in vain does", cfgs(newConfig(kid("s", sidecar), kid("m", sidecar, oneshot, restart("never"), onFailure(config.Ignore)), kid("a", after("m:completed")), kid("b", after("a")))), []step{
			{"up s", "spawn s, spawn m, s ready"},
			{"up m", "m ready"},
			{"exit m 1", "m failed, a waits in vain for m, stop: only sidecars run and nothing else is due, SIGTERM s"},
		}},
		{"where there are only sidecars they are like others", cfgs(newConfig(kid("s", sidecar))), []step{
			{"up s", "spawn s, s ready"},
			{"exit s", "s completed, stop: nothing runs and nothing is due, sweep"},
		}},
		{"removed together, it goes last", cfgs(newConfig(kid("s", sidecar), kid("a"), kid("x")), newConfig(kid("x"))), []step{
			{"up s", "spawn s, spawn a, spawn x, s ready"},
			{"up a", "a ready"},
			{"up x", "x ready"},
			{"reload 1", "SIGTERM a"},
			{"exit a", "SIGTERM s"},
			{"exit s", "reloaded +[] -[s a] ~[] =[x]"},
		}},
	})
}

func TestReloadSignal(t *testing.T) {
	hup := policy(func(p *config.Policy) { p.ReloadSignal = unix.SIGHUP })
	usr1 := policy(func(p *config.Policy) { p.ReloadSignal = unix.SIGUSR1 })
	old := newConfig(kid("a", hup), kid("b", hup), kid("c", hup), kid("d"))
	up := []step{{"", "spawn a, spawn b, spawn c, spawn d"}, {"up a", "a ready"}, {"up b", "b ready"}, {"up d", "d ready"}}
	scripts := []script{
		{"to those that are kept and ready", cfgs(old, newConfig(kid("a", hup), kid("b", hup, args("+")), kid("c", hup), kid("d"))), []step{
			{"hup 1", "forward SIGHUP a, SIGTERM b"},
		}},
		{"by the new policy", cfgs(old, newConfig(kid("a", usr1), kid("b"), kid("c"), kid("d", hup))), []step{
			{"hup 1", "forward SIGUSR1 a, forward SIGHUP d"},
		}},
		{"once a young run can hear it", cfgs(newConfig(kid("a", hup), kid("b"), kid("c"), kid("d")), old), []step{
			{"wait 100ms", ""},
			{"reload 0", ""},
			{"wait 899ms", ""},
			{"wait 1ms", "forward SIGHUP a"},
		}},
	}
	for i := range scripts {
		scripts[i].steps = append(append([]step{}, up...), scripts[i].steps...)
	}
	playAll(t, scripts)
}

// A run is stopped by what it was started with, or by the last policy that came
// without a restart.
func TestRenewedByWhatItWasStartedWith(t *testing.T) {
	slow, quick := killBy(unix.SIGINT, 3e9), killBy(unix.SIGQUIT, 1e9)
	playAll(t, []script{
		{"the old ladder", cfgs(newConfig(kid("a", slow)), newConfig(kid("a", quick, args("+"))), newConfig(kid("a", killBy(unix.SIGHUP, 5e8), args("+")))), []step{
			{"up a", "spawn a, a ready"},
			{"reload 1", "SIGINT a"},
			{"reload 2", ""},
			{"wait 2999ms", ""},
			{"wait 1ms", "SIGKILL a"},
			{"exit a", "spawn a+"},
			{"up a", "a ready, reloaded +[] -[] ~[a] =[]"},
			{"TERM", "SIGHUP a"},
			{"wait 500ms", "SIGKILL a"},
		}},
		{"the last policy", cfgs(newConfig(kid("a", slow)), newConfig(kid("a", quick)), newConfig(kid("a", slow, args("+")))), []step{
			{"up a", "spawn a, a ready"},
			{"reload 1", "reloaded +[] -[] ~[a] =[]"},
			{"reload 2", "SIGQUIT a"},
			{"wait 1s", "SIGKILL a"},
		}},
		{"one that is back", cfgs(newConfig(kid("a", slow), kid("b")), newConfig(kid("b")), newConfig(kid("a", quick), kid("b"))), []step{
			{"up a", "spawn a, spawn b, a ready"},
			{"up b", "b ready"},
			{"reload 1", "SIGINT a"},
			{"reload 2", ""},
			{"wait 3s", "SIGKILL a"},
			{"exit a", "spawn a"},
			{"TERM", "ignored: a stop began before it was fully applied, SIGQUIT a, SIGTERM b"},
		}},
	})
}
