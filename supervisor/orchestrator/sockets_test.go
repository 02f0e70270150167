package orchestrator

import (
	"testing"

	"tp0/supervisor/config"
)

// A socket is open from before the first run of its child until its last one is
// told to end.
func TestSockets(t *testing.T) {
	one := newConfig(kid("a", listenOn(":1"), restart("always")), kid("b"))
	up := func(more ...step) []step {
		return append([]step{{"", "open :1, spawn a, spawn b"}, {"up a", "a ready"}, {"up b", "b ready"}}, more...)
	}
	playAll(t, []script{
		{"it stays open from run to run", cfgs(one), up(
			step{"exit a 1", "a again 1"},
			step{"wait 1s", "spawn a"},
			step{"up a", "a ready"},
			step{"exit a 1", "a again 2"},
			step{"TERM", "SIGTERM b, close :1"}, // nobody will serve who waits
			step{"exit b", "sweep"},
		)},
		{"in a stop it is closed when its child is told", cfgs(newConfig(kid("a", listenOn(":1")), kid("b", after("a")))), []step{
			{"", "open :1, spawn a"},
			{"up a", "a ready, spawn b"},
			{"up b", "b ready"},
			{"TERM", "SIGTERM b"},
			{"exit b", "SIGTERM a, close :1"},
			{"exit a", "sweep"},
		}},
		{"nor before a run that is on its way has it", cfgs(one), []step{
			{"", "open :1, spawn a, spawn b"},
			{"up b", "b ready"},
			{"TERM", "SIGTERM a, SIGTERM b"},
			{"up a", "close :1"},
			{"exit a", ""},
			{"exit b", "sweep"},
		}},
		{"nor while another instance has not been told", cfgs(newConfig(kid("a*2", listenOn(":1"))), newConfig(kid("a*1", listenOn(":1")))), []step{
			{"", "open :1, spawn a1, spawn a2"},
			{"up a1", "a1 ready"},
			{"up a2", "a2 ready"},
			{"reload 1", "SIGTERM a2"},
			{"exit a2", "reloaded +[] -[a2] ~[] =[a1]"},
			{"TERM", "SIGTERM a1, close :1"},
			{"exit a1", "sweep"},
		}},
		{"one that is over has none", cfgs(newConfig(kid("a", listenOn(":1"), restart("never"), onFailure(config.Ignore)), kid("b"))), up(
			step{"exit a 1", "a failed, close :1"},
			step{"reload 0", "reloaded +[] -[] ~[] =[a b]"},
			step{"TERM", "SIGTERM b"},
		)},
		{"a change of the child alone keeps it open", cfgs(one, newConfig(kid("a", listenOn(":1"), args("+")), kid("b"))), up(
			step{"reload 1", "SIGTERM a"},
			step{"exit a", "spawn a+"},
			step{"up a", "a ready, reloaded +[] -[] ~[a] =[b]"},
		)},
		{"another address: the new one is there before the old one is gone", cfgs(one, newConfig(kid("a", listenOn(":2")), kid("b"))), up(
			step{"reload 1", "open :2, SIGTERM a, close :1"},
			step{"exit a", "spawn a"},
			step{"up a", "a ready, reloaded +[] -[] ~[a] =[b]"},
		)},
		{"and the old one as long as the order keeps the old run", cfgs(
			newConfig(kid("a", listenOn(":1")), kid("b", after("a"))), newConfig(kid("a", listenOn(":2")), kid("b", after("a"), args("+")))), []step{
			{"", "open :1, spawn a"},
			{"up a", "a ready, spawn b"},
			{"up b", "b ready"},
			{"reload 1", "open :2, SIGTERM b"},
			{"exit b", "SIGTERM a, close :1"},
			{"exit a", "spawn a"},
		}},
		{"a child removed", cfgs(one, newConfig(kid("b"))), up(
			step{"reload 1", "SIGTERM a, close :1"},
			step{"exit a", "reloaded +[] -[a] ~[] =[b]"},
		)},
		{"from one child to another it moves open", cfgs(one, newConfig(kid("b"), kid("c", listenOn(":1")))), up(
			step{"reload 1", "spawn c, SIGTERM a"},
		)},
		{"an address that cannot be had changes nothing", cfgs(one, newConfig(kid("a", listenOn(":2"), args("+")))), up(
			step{"taken :2", ""},
			step{"reload 1", "rejected: it is taken"},
			step{"health", ""},
			step{"TERM", "SIGTERM a, SIGTERM b, close :1"},
		)},
	})
}
