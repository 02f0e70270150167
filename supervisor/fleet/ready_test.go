package fleet

import (
	"testing"
	"time"

	"tp0/supervisor/config"
)

// readyBy gives a child a ready block with a second's timeout.
func readyBy(r config.Ready) change {
	return func(_ *config.Child, i *config.Instance) {
		r.Timeout = time.Second
		i.Launch.Ready = &r
	}
}

func exec(d string) config.Probe { return config.Probe{Exec: []string{"probe", d}, Path: "/bin/probe"} }

func TestReadyByCommand(t *testing.T) {
	playAll(t, []script{
		{"at once", cfgs(newConfig(kid("a", readyBy(config.Ready{Probe: exec("10ms")})), kid("b", after("a")))), []step{
			{"", "spawn a"},
			{"up a", "try a"},
			{"wait 10ms", "a ready, spawn b"},
		}},
		{"it hangs", cfgs(newConfig(kid("a", readyBy(config.Ready{Probe: exec("1h")})))), []step{
			{"", "spawn a"},
			{"up a", "try a"},
			{"wait 1s", "kill try, a not ready, SIGTERM a"},
			{"exit a", "a again 1"},
		}},
		{"a stop does not wait for it", cfgs(newConfig(kid("a", readyBy(config.Ready{Probe: exec("1h")})))), []step{
			{"", "spawn a"},
			{"up a", "try a"},
			{"TERM", "SIGTERM a, kill try"},
			{"exit a", "sweep"},
		}},
	})
}

// What a command says that is killed as a stop begins is not that its child is
// unready, even if the child has to wait for its turn.
func TestStopCallsProbesOff(t *testing.T) {
	cfg := newConfig(kid("a", readyBy(config.Ready{Probe: exec("10ms")})), kid("b", after("a")))
	play(t, cfgs(cfg), []step{
		{"", "spawn a"},
		{"up a", "try a"},
		{"wait 10ms", "a ready, spawn b"},
		{"up b", "b ready"},
		{"exit a 1", "a again 1"},
		{"wait 1s", "spawn a"},
		{"up a", "try a"},
		{"TERM", "SIGTERM b, kill try"},
		{"exit b", "SIGTERM a"},
		{"exit a", "sweep"},
	})
}
