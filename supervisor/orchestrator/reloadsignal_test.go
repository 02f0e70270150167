package orchestrator

import (
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"tp0/supervisor/config"
)

var (
	byHUP     = policy(func(p *config.Policy) { p.ReloadSignal = unix.SIGHUP })
	notifying = readyBy(config.Ready{Notify: true})
)

// twoWith returns a configuration of a changed child a, and b.
func twoWith(changes ...change) *config.Config {
	return newConfig(child("a", changes...), child("b"))
}

// twoStarted are the steps after which a of twoWith is starting and b is ready.
var twoStarted = []step{
	{"spawned b", "spawn a, spawn b, b ready"},
	{"spawned a", ""},
}

// TestReloadSignalOfStartingProcess checks that a process that was spawned before a reload gets the
// reload_signal once it is ready, and that no other process gets it.
func TestReloadSignalOfStartingProcess(t *testing.T) {
	of, kept := twoWith, "reloaded +[] -[] ~[] =[a b]"
	runScripts(t, beginWith(twoStarted, []script{
		{"starting", configs(of(byHUP, notifying)), []step{
			{"reload 0", ""},
			{"notify a READY=1", "a ready, reload by SIGHUP a, " + kept},
		}},
		{"several reloads", configs(of(byHUP, notifying)), []step{
			{"reload 0", ""},
			{"reload 0", ""},
			{"notify a READY=1", "a ready, reload by SIGHUP a, " + kept},
			{"reload 0", "reload by SIGHUP a, " + kept},
		}},
		{"the reload brings the signal", configs(
			of(notifying), of(byHUP, notifying),
		), []step{
			{"reload 1", ""},
			{"notify a READY=1", "a ready, reload by SIGHUP a, reloaded +[] -[] ~[a] =[b]"},
		}},
		{"the last reload takes the signal back", configs(
			of(byHUP, notifying), of(notifying),
		), []step{
			{"reload 0", ""},
			{"reload 1", ""},
			{"notify a READY=1", "a ready, reloaded +[] -[] ~[a] =[b]"},
		}},
	}...))
	runScript(t, configs(of(byHUP)), []step{ // the spawn is not reported yet
		{"spawned b", "spawn a, spawn b, b ready"},
		{"reload 0", ""},
		{"spawned a", "a ready, " + kept},
		{"wait 999ms", ""},
		{"reload 0", kept},
		{"wait 1ms", "reload by SIGHUP a"},
	})
}

// TestNoReloadSignalAtTheEnd checks that a process that ends before it is ready gets no signal, and
// that the next process, which reads the new files, gets none either.
func TestNoReloadSignalAtTheEnd(t *testing.T) {
	of, kept := twoWith, "reloaded +[] -[] ~[] =[a b]"
	runScripts(t, beginWith(twoStarted, []script{
		{"a stop comes first", configs(of(byHUP, notifying)), []step{
			{"reload 0", ""},
			{"TERM", "ignored: a stop began before it was fully applied, SIGTERM a, SIGTERM b"},
			{"notify a READY=1", ""},
		}},
		{"its end comes first", configs(of(byHUP, notifying)), []step{
			{"reload 0", ""},
			{"exit a 1", "a restart 1"},
			{"wait 1s", "spawn a"}, // it reads the new files
			{"spawned a", ""},
			{"notify a READY=1", "a ready, " + kept},
		}},
		{"during the restart delay", configs(of(byHUP, notifying)), []step{
			{"exit a 1", "a restart 1"},
			{"reload 0", ""},
			{"wait 1s", "spawn a"},
			{"spawned a", ""},
			{"notify a READY=1", "a ready, " + kept},
		}},
		{"the reload replaces it", configs(
			of(byHUP, notifying), of(byHUP, notifying, args("+")),
		), []step{
			{"reload 0", ""},
			{"reload 1", "SIGTERM a"},
			{"exit a", "spawn a+"},
			{"spawned a", ""},
			{"notify a READY=1", "a ready, reloaded +[] -[] ~[a] =[b]"},
		}},
	}...))
}

// TestReloadSignalDuringReplacement checks which process of an instance that is being replaced gets
// the reload_signal.
func TestReloadSignalDuringReplacement(t *testing.T) {
	runScripts(t, []script{
		{"a surge that is starting, and the process that serves", configs(
			newConfig(child("a", byHUP, notifying, overlap)),
			newConfig(child("a", byHUP, notifying, overlap, args("+"))),
		), []step{
			{"spawned a", "spawn a"},
			{"notify a READY=1", "a ready"},
			{"reload 1", "spawn a+"},
			{"spawned a", ""},
			{"reload 1", "reload by SIGHUP a"},
			{"notify-new a READY=1", "a ready, reload by SIGHUP a, SIGTERM a"},
			{"exit a", "reloaded +[] -[] ~[a] =[]"},
		}},
		{"a process that waits for its replacement, which is halted", configs(
			newConfig(child("a*2", byHUP, maxParallel(1))),
			newConfig(child("a*2", byHUP, maxParallel(1), args("+"), never, ignored)),
		), []step{
			{"spawned a1", "spawn a1, spawn a2, a1 ready"},
			{"spawned a2", "a2 ready"},
			{"reload-later 1", "SIGTERM a1"},
			{"exit a1", "spawn a1+"},
			{"spawn-failed a1", "a1 not spawned, " + halted("a1", notSpawned) +
				", a1 failed, reload by SIGHUP a2"},
		}},
	})
}

// TestReloadSignalNotHandled checks that a process that would end by its reload_signal is named,
// and that the signal is tried again for one that has just become ready.
func TestReloadSignalNotHandled(t *testing.T) {
	cfg := configs(newConfig(child("a", byHUP, notifying)))
	kept := "reloaded +[] -[] ~[] =[a]"
	up := []step{
		{"spawned a", "spawn a"},
		{"signal-unhandled", ""},
		{"reload 0", ""},
		{"wait 500ms", ""},
		{"notify a READY=1", "a ready, withhold SIGHUP a, " + kept},
		{"wait 999ms", ""},
	}
	runScripts(t, beginWith(up, []script{
		{"never", cfg, []step{
			{"wait 1ms", "withhold SIGHUP a, a does not get SIGHUP"},
			{"wait 1h", ""},
			{"reload 0", "withhold SIGHUP a, a does not get SIGHUP | " + kept},
		}},
		{"later", cfg, []step{
			{"signal-handled", ""},
			{"wait 1ms", "reload by SIGHUP a"},
		}},
		{"a stop comes first", cfg, []step{
			{"TERM", "SIGTERM a"},
			{"wait 1ms", ""},
		}},
	}...))
}

// TestReloadSignalThatEndedAProcess checks that a signal that ended a process, although the kernel
// showed a handler, is not sent to the next process.
func TestReloadSignalThatEndedAProcess(t *testing.T) {
	kept := "reloaded +[] -[] ~[] =[a]"
	up := []step{
		{"spawned a", "spawn a"},
		{"notify a READY=1", "a ready"},
		{"reload 0", "reload by SIGHUP a, " + kept},
	}
	again := []step{
		{"wait 1s", "spawn a"},
		{"spawned a", ""},
		{"notify a READY=1", "a ready"},
	}
	cfg := configs(
		newConfig(child("a", byHUP, notifying)), newConfig(child("a", byHUP, notifying, args("+"))),
	)
	runScripts(t, beginWith(up, []script{
		{"by the signal", cfg, slices.Concat(
			[]step{{"exit-by a SIGHUP", "a restart 1"}}, again,
			[]step{{"reload 0", "a does not get SIGHUP, " + kept}, {"reload 1", "SIGTERM a"}},
			[]step{
				{"exit a", "spawn a+"},
				{"spawned a", ""},
				{"notify a READY=1", "a ready, reloaded +[] -[] ~[a] =[]"},
				{"reload 1", "reload by SIGHUP a, reloaded +[] -[] ~[] =[a]"},
			},
		)},
		{"in another way", cfg, slices.Concat(
			[]step{{"exit a 1", "a restart 1"}}, again,
			[]step{{"reload 0", "reload by SIGHUP a, " + kept}},
		)},
	}...))
}
