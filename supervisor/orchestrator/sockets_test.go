package orchestrator

import (
	"testing"
)

// A socket is open from before the first run of its child until its last one is
// told to end.
func TestSockets(t *testing.T) {
	one := newConfig(child("a", listenOn(":1"), restart("always")), child("b"))
	up := func(more ...step) []step {
		return append([]step{{"", "open :1, spawn a, spawn b"}, {"spawned a", "a ready"}, {"spawned b", "b ready"}}, more...)
	}
	runScripts(t, []script{
		{"it stays open from run to run", configs(one), up(
			step{"exit a 1", "a restart 1"},
			step{"wait 1s", "spawn a"},
			step{"spawned a", "a ready"},
			step{"exit a 1", "a restart 2"},
			step{"TERM", "SIGTERM b, close :1"}, // nobody will serve who waits
			step{"exit b", "cleanup"},
		)},
		{"in a stop it is closed when its child is told", configs(newConfig(child("a", listenOn(":1")), child("b", after("a")))), []step{
			{"", "open :1, spawn a"},
			{"spawned a", "a ready, spawn b"},
			{"spawned b", "b ready"},
			{"TERM", "SIGTERM b"},
			{"exit b", "SIGTERM a, close :1"},
			{"exit a", "cleanup"},
		}},
		{"nor before a run that is on its way has it", configs(one), []step{
			{"", "open :1, spawn a, spawn b"},
			{"spawned b", "b ready"},
			{"TERM", "SIGTERM a, SIGTERM b"},
			{"spawned a", "close :1"},
			{"exit a", ""},
			{"exit b", "cleanup"},
		}},
		{"nor while another instance has not been told", configs(newConfig(child("a*2", listenOn(":1"))), newConfig(child("a*1", listenOn(":1")))), []step{
			{"", "open :1, spawn a1, spawn a2"},
			{"spawned a1", "a1 ready"},
			{"spawned a2", "a2 ready"},
			{"reload 1", "SIGTERM a2"},
			{"exit a2", "reloaded +[] -[a2] ~[] =[a1]"},
			{"TERM", "SIGTERM a1, close :1"},
			{"exit a1", "cleanup"},
		}},
		{"one that is over has none", configs(newConfig(child("a", listenOn(":1"), never, ignored), child("b"))), up(
			step{"exit a 1", "a failed, close :1"},
			step{"reload 0", "reloaded +[] -[] ~[] =[a b]"},
			step{"TERM", "SIGTERM b"},
		)},
		{"a change of the child alone keeps it open", configs(one, newConfig(child("a", listenOn(":1"), args("+")), child("b"))), up(
			step{"reload 1", "SIGTERM a"},
			step{"exit a", "spawn a+"},
			step{"spawned a", "a ready, reloaded +[] -[] ~[a] =[b]"},
		)},
		{"another address: the new one is there before the old one is gone", configs(one, newConfig(child("a", listenOn(":2")), child("b"))), up(
			step{"reload 1", "open :2, SIGTERM a, close :1"},
			step{"exit a", "spawn a"},
			step{"spawned a", "a ready, reloaded +[] -[] ~[a] =[b]"},
		)},
		{"and the old one as long as the order keeps the old run", configs(
			newConfig(child("a", listenOn(":1")), child("b", after("a"))), newConfig(child("a", listenOn(":2")), child("b", after("a"), args("+")))), []step{
			{"", "open :1, spawn a"},
			{"spawned a", "a ready, spawn b"},
			{"spawned b", "b ready"},
			{"reload 1", "open :2, SIGTERM b"},
			{"exit b", "SIGTERM a, close :1"},
			{"exit a", "spawn a"},
		}},
		{"a child removed", configs(one, newConfig(child("b"))), up(
			step{"reload 1", "SIGTERM a, close :1"},
			step{"exit a", "reloaded +[] -[a] ~[] =[b]"},
		)},
		{"from one child to another it moves open", configs(one, newConfig(child("b"), child("c", listenOn(":1")))), up(
			step{"reload 1", "spawn c, SIGTERM a"},
		)},
		{"an address that cannot be had changes nothing", configs(one, newConfig(child("a", listenOn(":2"), args("+")))), up(
			step{"address-taken :2", ""},
			step{"reload 1", "rejected: address in use"},
			step{"health", ""},
			step{"TERM", "SIGTERM a, SIGTERM b, close :1"},
		)},
	})
}
