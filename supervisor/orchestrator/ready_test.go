package orchestrator

import (
	"context"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"tp0/supervisor/config"
	"tp0/supervisor/event"
)

func TestReadyByCommand(t *testing.T) {
	runScripts(t, []script{
		{"the command succeeds", configs(
			newConfig(
				child("a", readyBy(config.Ready{Probe: exec("10ms")})), child("b", after("a")),
			),
		), []step{
			{"", "spawn a"},
			{"spawned a", "probe a"},
			{"wait 10ms", "a ready, spawn b"},
		}},
		{"the command does not end", configs(
			newConfig(child("a", readyBy(config.Ready{Probe: exec("1h")}))),
		), []step{
			{"", "spawn a"},
			{"spawned a", "probe a"},
			{"wait 1s", "kill probe, a not ready, SIGTERM a"},
			{"exit a", "a restart 1"},
		}},
		{"a stop does not wait for the command", configs(
			newConfig(child("a", readyBy(config.Ready{Probe: exec("1h")}))),
		), []step{
			{"", "spawn a"},
			{"spawned a", "probe a"},
			{"TERM", "SIGTERM a | kill probe"},
			{"exit a", "cleanup"},
		}},
	})
}

// TestStopCancelsProbes checks that a stop cancels the probe of a child that is stopped later. The
// cancelled probe does not make the child unready.
func TestStopCancelsProbes(t *testing.T) {
	cfg := newConfig(
		child("a", readyBy(config.Ready{Probe: exec("10ms")})), child("b", after("a")),
	)
	runScript(t, configs(cfg), []step{
		{"", "spawn a"},
		{"spawned a", "probe a"},
		{"wait 10ms", "a ready, spawn b"},
		{"spawned b", "b ready"},
		{"exit a 1", "a restart 1"},
		{"wait 1s", "spawn a"},
		{"spawned a", "probe a"},
		{"TERM", "SIGTERM b | kill probe"},
		{"exit b", "SIGTERM a"},
		{"exit a", "cleanup"},
	})
}

func TestCheck(t *testing.T) {
	failed := []step{
		{"", "spawn a"},
		{"spawned a", "a ready, spawn b"},
		{"spawned b", "b ready"},
		{"wait 6s", "probe a"},
		{"probe-fails", ""},
		{"wait 11s", "probe a, a check alive failed"},
	}
	dear := configs(
		newConfig(
			child("a", checkBy("0s"), killSignal(unix.SIGTERM, 20*time.Second)),
			child("b", after("a")),
		),
		newConfig(child("a", killSignal(unix.SIGTERM, 20*time.Second)), child("b", after("a"))),
	)
	with := func(more ...step) []step { return append(failed[:len(failed):len(failed)], more...) }
	runScripts(t, []script{
		{"two failures in a row", dear, with(
			step{"wait 11s", "probe a, a unhealthy, SIGTERM a"},
			step{"health", "a is unready"},
			step{"wait 30s", "SIGKILL a"},
			step{"exit a", "a restart 1"}, // a failed check makes exit code 0 a failure
			step{"wait 1s", "spawn a"},
			step{"spawned a", "a ready"})},
		{"a failure and a success", dear, with(
			step{"probe-succeeds", ""},
			step{"wait 11s", "probe a, a check alive passed"},
			step{"probe-fails", ""},
			step{"wait 11s", "probe a, a check alive failed"})},
		{"no check runs in a stop", dear, with(
			step{"TERM", "SIGTERM b"},
			step{"wait 1500ms", ""},
			step{"exit b", "SIGTERM a"},
			step{"exit a", "cleanup"})},
		{"no check runs after the end of the process", dear, with(
			step{"exit a 1", "a restart 1"},
			step{"wait 1s", "spawn a"},
			step{"wait 1h", ""})},
		{"a reload removes the check and adds it again", dear, with(
			step{"reload 1", "reloaded +[] -[] ~[a] =[b]"},
			step{"wait 1h", ""},
			step{"reload 0", "reloaded +[] -[] ~[a] =[b]"},
			step{"wait 6s", "probe a, a check alive failed"})},
	})
}

func TestCheckThatHangs(t *testing.T) {
	runScript(t, configs(newConfig(child("a", checkBy("1h")))), []step{
		{"", "spawn a"},
		{"spawned a", "a ready"},
		{"wait 6s", "probe a"},
		{"wait 1s", "kill probe, a check alive failed"},
		{"wait 11s", "probe a"},
		{"TERM", "SIGTERM a | kill probe"},
		{"exit a", "cleanup"},
	})
}

// notifyingPair returns a child that notifies and its dependent. up are the steps until the child
// has a process, ready those until both are ready.
func notifyingPair() (cfg []*config.Config, up, ready []step) {
	cfg = configs(
		newConfig(child("a", readyBy(config.Ready{Notify: true})), child("b", after("a"))),
	)
	up = []step{{"", "spawn a"}, {"spawned a", ""}}
	ready = concat(up,
		step{"notify a READY=1", "a ready, spawn b"}, step{"spawned b", "b ready"})
	return cfg, up, ready
}

func concat(first []step, more ...step) []step { return slices.Concat(first, more) }

func TestNotifyReady(t *testing.T) {
	cfg, up, ready := notifyingPair()
	runScripts(t, []script{
		{"ready", cfg, ready},
		{"a rejected message", cfg, concat(up,
			step{"notify-rejected a foreign", "warning: a: foreign"},
			step{"notify-rejected a foreign", ""}, // reported once a second
			step{"wait 1s", "a not ready, SIGTERM a"})},
		{"a notification before Spawned", cfg, []step{
			{"", "spawn a"},
			{"notify a READY=1", ""},
			{"spawned a", "a ready, spawn b"},
		}},
		{"a spawn that fails", cfg, []step{
			{"", "spawn a"},
			{"spawn-failed a", "a not spawned, a restart 1"},
		}},
		{"a message that is not read when the process ends", cfg, concat(up,
			step{"notify-queued a READY=1", ""},
			step{"exit a 1", "a ready, spawn b, a restart 1"})},
	})
}

func TestNotifyExtendTimeout(t *testing.T) {
	cfg, up, ready := notifyingPair()
	runScripts(t, []script{
		{"EXTEND_TIMEOUT_USEC during the start", cfg, concat(up,
			step{"wait 900ms", ""},
			step{"notify a EXTEND_TIMEOUT_USEC=500000", ""},
			step{"wait 499ms", ""},
			step{"notify a EXTEND_TIMEOUT_USEC=500", ""}, // less time than is left changes nothing
			step{"wait 1ms", "a not ready, SIGTERM a"})},
		{"EXTEND_TIMEOUT_USEC during a stop", cfg, concat(ready,
			step{"TERM", "SIGTERM b"},
			step{"exit b", "SIGTERM a"},
			step{"notify a EXTEND_TIMEOUT_USEC=5000000", ""},
			step{"wait 4999ms", ""},
			step{"wait 1ms", "SIGKILL a"},
			step{"exit a", "cleanup"})},
		{"EXTEND_TIMEOUT_USEC does not extend the deadline", cfg, concat(ready,
			step{"TERM", "SIGTERM b"},
			step{"exit b", "SIGTERM a"},
			step{"notify a EXTEND_TIMEOUT_USEC=3600000000", ""},
			step{"wait 9599ms", ""},
			step{"wait 1ms", "SIGKILL a"},
			step{"exit a", "cleanup"})},
	})
}

func TestNotifyOthers(t *testing.T) {
	cfg, _, ready := notifyingPair()
	runScripts(t, []script{
		{"other notifications", cfg, concat(ready,
			step{"notify a STATUS=one", "a status one"},
			step{"notify a RELOADING=1", "a reloading"},
			step{"notify a READY=1", "a reloaded"},
			step{"notify a FDSTORE=1", "a ignored FDSTORE"},
			step{"notify a FDSTORE=1", ""},
			step{"notify a MAINPID=9",
				"successor 9 a, a main process pid 9 is to take over once pid 4194305 has ended"},
			step{"notify a MAINPID=9", ""},
			step{"notify a MAINPID=4194305", ""},
			step{"notify a MAINPID=-1", ""},
			step{"notify a STOPPING=1", "a stopping" + announced("2s")})},
	})
}

// TestLateSuccessor checks that a process that names its successor and ends at once is succeeded.
func TestLateSuccessor(t *testing.T) {
	cfg := configs(newConfig(child("a", readyBy(config.Ready{Notify: true}))))
	const says = "successor 77 a, " +
		"a main process pid 77 is to take over once pid 4194305 has ended, hand over to 77 a"
	up := []step{
		{"", "spawn a"},
		{"spawned a", ""},
		{"notify a READY=1", "a ready"},
		{"notify-queued a MAINPID=77", ""},
		{"main-exit a", says},
	}
	with := func(more ...step) []step { return append(up[:len(up):len(up)], more...) }
	runScripts(t, []script{
		{"it takes over", cfg, with(
			step{"main-changed a", ""}, step{"wait 1h", ""},
			step{"TERM", "SIGTERM a"}, step{"exit a", "cleanup"})},
		{"it has ended", cfg, with(
			step{"not-handed-over a", "a outlived by [worker (pid 77)], SIGTERM a"},
			step{"exit a", "a completed, stop: nothing runs and nothing is due, cleanup"})},
		{"a stop", cfg, with(
			step{"TERM", "SIGTERM a"},
			step{"not-handed-over a", "a outlived by [worker (pid 77)]"},
			step{"exit a", "cleanup"})},
	})
}

func TestWatchdog(t *testing.T) {
	cfg := configs(
		newConfig(child("a", readyBy(config.Ready{Notify: true, Watchdog: 10 * time.Second}))),
	)
	up := []step{
		{"", "spawn a"},
		{"spawned a", ""},
		{"notify a READY=1", "a ready"},
		{"wait 9s", ""},
		{"notify a WATCHDOG=1", ""},
		{"wait 9s", ""},
	}
	with := func(more ...step) []step { return append(up[:len(up):len(up)], more...) }
	runScripts(t, []script{
		{"no WATCHDOG=1 in time", cfg, with(
			step{"wait 1s", "a unhealthy, SIGTERM a"}, step{"exit a", "a restart 1"},
		)},
		{"WATCHDOG=trigger", cfg, with(
			step{"notify a WATCHDOG=trigger", "a unhealthy, SIGTERM a"},
			step{"exit a", "a restart 1"},
		)},
		{"WATCHDOG=trigger before READY=1", cfg, []step{
			{"spawned a", "spawn a"},
			{"notify a WATCHDOG=trigger", "a unhealthy, SIGTERM a"},
			{"exit a", "a restart 1"},
		}},
		{"the end of the process stops the watchdog", cfg, with(
			step{"exit a 1", "a restart 1"}, step{"wait 500ms", ""}, step{"wait 500ms", "spawn a"},
			step{"spawned a", ""}, step{"wait 999ms", ""},
		)},
	})
}

// TestWatchdogInterval checks WATCHDOG_USEC, which changes the interval of the watchdog until the
// end of the process.
func TestWatchdogInterval(t *testing.T) {
	watched := configs(
		newConfig(child("a", readyBy(config.Ready{Notify: true, Watchdog: 10 * time.Second}))),
	)
	without := configs(newConfig(child("a", notifying)))
	up := []step{
		{"spawned a", "spawn a"},
		{"notify a READY=1", "a ready"},
		{"wait 9s", ""},
	}
	set := func(d string) string { return "a watchdog the child has set its interval to " + d }
	runScripts(t, append(beginWith(up, []script{
		{"longer", watched, []step{
			{"notify a WATCHDOG_USEC=20000000", set("20s")},
			{"notify a WATCHDOG_USEC=20000000", ""},
			{"wait 19s", ""},
			{"wait 1s", "a unhealthy, SIGTERM a"},
			{"exit a", "a restart 1"},
			{"wait 1s", "spawn a"},
			{"spawned a", ""},
			{"notify a READY=1", "a ready"},
			{"wait 10s", "a unhealthy, SIGTERM a"},
		}},
		{"off and on", watched, []step{
			{"notify a WATCHDOG_USEC=0", "a watchdog the child has disabled it"},
			{"wait 1h", ""},
			{"notify a WATCHDOG_USEC=1", set("1ms")},
			{"wait 1ms", "a unhealthy, SIGTERM a"},
		}},
		{"the ready block has none", without, []step{
			{"notify a WATCHDOG_USEC=5000000", set("5s")},
			{"wait 5s", "a unhealthy, SIGTERM a"},
		}},
		{"while it stops by itself", watched, []step{
			{"notify a STOPPING=1", "a stopping" + announced("2s")},
			{"notify a WATCHDOG_USEC=1000000", set("1s")},
			{"wait 1s", ""},
			{"notify a READY=1", resumed},
			{"wait 1s", "a unhealthy, SIGTERM a"},
		}},
	}...), script{"before it is ready", watched, []step{
		{"spawned a", "spawn a"},
		{"notify a WATCHDOG_USEC=2000000", set("2s")},
		{"notify a READY=1", "a ready"},
		{"wait 2s", "a unhealthy, SIGTERM a"},
	}}))
}

// TestCheckFailures counts the failures of a check in a row, and reports the first one.
func TestCheckFailures(t *testing.T) {
	patient := policy(func(p *config.Policy) { p.Checks[0].Limit = 100 })
	withHarness(t, configs(newConfig(child("a", checkBy("0s"), patient))), func(h *harness) {
		failures := func() int {
			h.actions() // waits until all goroutines are blocked
			s, err := h.o.Status(context.Background())
			if err != nil || len(s.Instances) != 1 || len(s.Instances[0].Checks) != 1 {
				t.Fatalf("got %+v, %v, want one check", s.Instances, err)
			}
			return s.Instances[0].Checks[0].Failures
		}
		h.do("spawned a")
		h.do("probe-fails")
		h.do("wait 1m")
		n := failures()
		if reports := len(eventsOf[event.CheckFailed](h)); n < 5 || reports != 1 {
			t.Errorf("got %d failures, and %d reports of them, want 5 or more, and 1", n, reports)
		}
		h.do("probe-succeeds")
		h.do("wait 11s")
		if n := failures(); n != 0 {
			t.Errorf("got %d failures after a success, want 0", n)
		}
	})
}
