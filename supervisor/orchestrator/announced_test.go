package orchestrator

import (
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"tp0/supervisor/config"
	"tp0/supervisor/lifecycle"
)

const (
	resumed = "a running READY=1 came after STOPPING=1: its checks and its watchdog are on again"
	tooLate = "a unhealthy, SIGTERM a"
)

// announced returns the text of the report of STOPPING=1.
func announced(limit string) string {
	return " it stops by itself and has " + limit + " to end; its checks and its watchdog are off"
}

// watched is a child with a watchdog and a check.
func watched(more ...change) *config.Config {
	changes := append([]change{
		readyBy(config.Ready{Notify: true, Watchdog: 10 * time.Second}), checkBy("1ms"),
	}, more...)
	return newConfig(child("a", changes...))
}

// watchedUp are the steps after which a of watched is ready.
var watchedUp = []step{
	{"spawned a", "spawn a"},
	{"notify a READY=1", "a ready"},
	{"wait 1s", ""},
}

// TestAnnouncedStop checks that a process that sends STOPPING=1 has its kill_timeout to end, and
// that its checks and its watchdog are off until READY=1.
func TestAnnouncedStop(t *testing.T) {
	runScripts(t, beginWith(watchedUp, []script{
		{"it hangs", configs(watched()), []step{
			{"notify a STOPPING=1", "a stopping" + announced("2s")},
			{"health", "a stops by itself: it sent STOPPING=1"},
			{"notify a STOPPING=1", ""},
			{"wait 1999ms", ""},
			{"wait 1ms", tooLate},
			{"wait 2s", "SIGKILL a"},
			{"exit-by a SIGKILL", "a restart 1"},
		}},
		{"it ends in time", configs(watched()), []step{
			{"notify a STOPPING=1", "a stopping" + announced("2s")},
			{"wait 1999ms", ""},
			{"exit a", "a completed, stop: nothing runs and nothing is due, cleanup"},
		}},
		{"it does not stop", configs(watched()), []step{
			{"notify a STOPPING=1", "a stopping" + announced("2s")},
			{"wait 1s", ""},
			{"notify a READY=1", resumed},
			{"health", ""},
			{"wait 6s", "probe a"},
			{"wait 4s", "a unhealthy, SIGTERM a"}, // the watchdog
		}},
		{"it does not stop after its own reload", configs(watched()), []step{
			{"notify a STOPPING=1", "a stopping" + announced("2s")},
			{"notify a RELOADING=1", "a reloading"},
			{"wait 1s", ""},
			{"notify a READY=1", "a reloaded, " + resumed},
		}},
		{"it asks for more time", configs(watched()), []step{
			{"notify a STOPPING=1", "a stopping" + announced("2s")},
			{"wait 1s", ""},
			{"notify a EXTEND_TIMEOUT_USEC=3600000000", ""},
			{"wait 8999ms", ""}, // the deadline of a stop bounds it
			{"wait 1ms", tooLate},
		}},
	}...))
}

// TestStopSequenceAfterAnnouncedStop checks the limit of an announced stop, and the stop sequence
// that follows.
func TestStopSequenceAfterAnnouncedStop(t *testing.T) {
	runScripts(t, beginWith(watchedUp, []script{
		{"a stop begins", configs(watched()), []step{
			{"notify a STOPPING=1", "a stopping" + announced("2s")},
			{"TERM", "SIGTERM a"},
			{"wait 1999ms", ""},
			{"wait 1ms", "SIGKILL a"},
		}},
		{"in a stop", configs(watched()), []step{
			{"TERM", "SIGTERM a"},
			{"notify a STOPPING=1", "a stopping"},
			{"notify a READY=1", ""},
			{"wait 2s", "SIGKILL a"},
		}},
		{"a kill_sequence", configs(watched(killSequence(
			lifecycle.Step{Signal: unix.SIGTERM, Wait: time.Second},
			lifecycle.Step{Signal: unix.SIGQUIT, Wait: 500 * time.Millisecond},
		), policy(func(p *config.Policy) { p.KillTimeout = 1500 * time.Millisecond }))), []step{
			{"notify a STOPPING=1", "a stopping" + announced("1.5s")},
			{"wait 1500ms", tooLate},
			{"wait 1s", "SIGQUIT a"},
			{"wait 500ms", "SIGKILL a"},
		}},
		{"no kill_timeout is given", configs(watched(
			policy(func(p *config.Policy) { p.SharedTimeout = true }))), []step{
			{"notify a STOPPING=1", "a stopping" + announced("5s")},
			{"wait 5s", tooLate},
		}},
	}...))
}

// TestAnnouncedStopAndOthers checks what waits while a process is stopping by itself.
func TestAnnouncedStopAndOthers(t *testing.T) {
	runScripts(t, []script{
		{"before it is ready", configs(watched()), []step{
			{"spawned a", "spawn a"},
			{"notify a STOPPING=1", "a stopping"},
			{"wait 500ms", ""},
			{"notify a READY=1", "a ready"},
			{"wait 6s", "probe a"},
		}},
		{"a dependent does not start", configs(
			newConfig(child("a", notifying), child("b")),
			newConfig(child("a", notifying), child("b", args("+"), after("a"))),
		), []step{
			{"spawned a", "spawn a, spawn b"},
			{"spawned b", "b ready"},
			{"notify a READY=1", "a ready"},
			{"notify a STOPPING=1", "a stopping" + announced("2s")},
			{"reload 1", "SIGTERM b"},
			{"exit b", "reloaded +[] -[] ~[b] =[a]"},
			{"notify a READY=1", resumed + ", spawn b+"},
		}},
		{"the reload_signal waits", configs(newConfig(child("a", notifying, byHUP))), []step{
			{"spawned a", "spawn a"},
			{"notify a READY=1", "a ready"},
			{"notify a STOPPING=1", "a stopping" + announced("2s")},
			{"reload 0", "reloaded +[] -[] ~[] =[a]"},
			{"notify a READY=1", resumed + ", reload by SIGHUP a"},
		}},
	})
}
