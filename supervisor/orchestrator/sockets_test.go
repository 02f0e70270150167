package orchestrator

import (
	"testing"

	"tp0/supervisor/config"
)

// startWithSocket returns steps that begin with the start of a, which listens on :1, and of b.
func startWithSocket(more ...step) []step {
	return append([]step{
		{"", "open :1, spawn a, spawn b"},
		{"spawned a", "a ready"},
		{"spawned b", "b ready"},
	}, more...)
}

// TestSocketsOfProcesses checks that a socket is open from before the spawn of the first process of
// its child until the first signal to the last one.
func TestSocketsOfProcesses(t *testing.T) {
	one := newConfig(child("a", listenOn(":1"), restart("always")), child("b"))
	runScripts(t, []script{
		{"a socket stays open between two processes", configs(one), startWithSocket(
			step{"exit a 1", "a restart 1"},
			step{"wait 1s", "spawn a"},
			step{"spawned a", "a ready"},
			step{"exit a 1", "a restart 2"},
			step{"TERM", "SIGTERM b, close :1"}, // no process will accept the clients that wait
			step{"exit b", "cleanup"},
		)},
		{"a stop closes the socket with the first signal", configs(
			newConfig(child("a", listenOn(":1")), child("b", after("a"))),
		), []step{
			{"", "open :1, spawn a"},
			{"spawned a", "a ready, spawn b"},
			{"spawned b", "b ready"},
			{"TERM", "SIGTERM b"},
			{"exit b", "SIGTERM a, close :1"},
			{"exit a", "cleanup"},
		}},
		{"a queued spawn keeps the socket open", configs(one), []step{
			{"", "open :1, spawn a, spawn b"},
			{"spawned b", "b ready"},
			{"TERM", "SIGTERM a, SIGTERM b"},
			{"spawned a", "close :1"},
			{"exit a", ""},
			{"exit b", "cleanup"},
		}},
		{"another instance keeps the socket open", configs(
			newConfig(child("a*2", listenOn(":1"))),
			newConfig(child("a*1", listenOn(":1"))),
		), []step{
			{"", "open :1, spawn a1, spawn a2"},
			{"spawned a1", "a1 ready"},
			{"spawned a2", "a2 ready"},
			{"reload 1", "SIGTERM a2"},
			{"exit a2", "reloaded +[] -[a2] ~[] =[a1]"},
			{"TERM", "SIGTERM a1, close :1"},
			{"exit a1", "cleanup"},
		}},
		{"a failed child keeps no socket open", configs(
			newConfig(child("a", listenOn(":1"), never, ignored), child("b")),
		), startWithSocket(
			step{"exit a 1", "a failed, close :1"},
			step{"reload 0", "reloaded +[] -[] ~[] =[a b]"},
			step{"TERM", "SIGTERM b"},
		)},
	})
}

// TestSocketsOfHooks checks that a hook after the end of a process keeps no socket open if no
// process follows.
func TestSocketsOfHooks(t *testing.T) {
	of := configs(newConfig(
		child("a", listenOn(":1"), withHooks(config.PostStopHook)), child("b"),
	))
	runScripts(t, []script{
		{"a failed spawn", of, []step{
			{"", "open :1, spawn a, spawn b"},
			{"spawned b", "b ready"},
			{"TERM", "SIGTERM a, SIGTERM b"},
			{"spawn-failed a", "a not spawned, spawn a.post_stop, close :1"},
			{"spawned a.post_stop", ""},
			{"exit a.post_stop", ""},
			{"exit b", "cleanup"},
		}},
		{"a crash before the stop", of, []step{
			{"", "open :1, spawn a, spawn b"},
			{"spawned a", "a ready"},
			{"spawned b", "b ready"},
			{"exit a 1", "spawn a.post_stop"},
			{"spawned a.post_stop", ""},
			{"TERM", "SIGTERM b, close :1"},
			{"exit a.post_stop", ""},
			{"exit b", "cleanup"},
		}},
	})
}

func TestSocketsInReload(t *testing.T) {
	one := newConfig(child("a", listenOn(":1"), restart("always")), child("b"))
	runScripts(t, []script{
		{"a replacement keeps the socket open", configs(
			one,
			newConfig(child("a", listenOn(":1"), args("+")), child("b")),
		), startWithSocket(
			step{"reload 1", "SIGTERM a"},
			step{"exit a", "spawn a+"},
			step{"spawned a", "a ready, reloaded +[] -[] ~[a] =[b]"},
		)},
		{"a new address is opened before the old one is closed", configs(
			one,
			newConfig(child("a", listenOn(":2")), child("b")),
		), startWithSocket(
			step{"reload 1", "open :2, SIGTERM a, close :1"},
			step{"exit a", "spawn a"},
			step{"spawned a", "a ready, reloaded +[] -[] ~[a] =[b]"},
		)},
		{"the old address stays open until the old process is stopped", configs(
			newConfig(child("a", listenOn(":1")), child("b", after("a"))), newConfig(
				child("a", listenOn(":2")), child("b", after("a"), args("+")),
			)), []step{
			{"", "open :1, spawn a"},
			{"spawned a", "a ready, spawn b"},
			{"spawned b", "b ready"},
			{"reload 1", "open :2, SIGTERM b"},
			{"exit b", "SIGTERM a, close :1"},
			{"exit a", "spawn a"},
		}},
		{"a removed child", configs(one, newConfig(child("b"))), startWithSocket(
			step{"reload 1", "SIGTERM a, close :1"},
			step{"exit a", "reloaded +[] -[a] ~[] =[b]"},
		)},
		{"an address moves to another child", configs(
			one,
			newConfig(child("b"), child("c", listenOn(":1"))),
		), startWithSocket(
			step{"reload 1", "spawn c, SIGTERM a"},
		)},
		{"an address in use rejects the reload", configs(
			one,
			newConfig(child("a", listenOn(":2"), args("+"))),
		), startWithSocket(
			step{"address-taken :2", ""},
			step{"reload 1", "rejected: address in use"},
			step{"health", ""},
			step{"TERM", "SIGTERM a, SIGTERM b, close :1"},
		)},
	})
}
