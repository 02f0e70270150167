package fleet

import (
	"testing"
	"time"

	"golang.org/x/sys/unix"

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

// checkBy gives a child a check with a command that takes d.
func checkBy(d string) change {
	return func(_ *config.Child, i *config.Instance) {
		i.Policy.Checks = []config.Check{{Name: "alive", Probe: exec(d), Grace: 5 * time.Second, Interval: 10 * time.Second, Timeout: 2 * time.Second, Limit: 2}}
	}
}

func TestCheck(t *testing.T) {
	failed := []step{
		{"", "spawn a"},
		{"up a", "a ready, spawn b"},
		{"up b", "b ready"},
		{"wait 6s", "try a"},
		{"ill", ""},
		{"wait 11s", "try a, a check alive failed"},
	}
	dear := cfgs(newConfig(kid("a", checkBy("0s"), killBy(unix.SIGTERM, 20*time.Second)), kid("b", after("a"))), newConfig(kid("a", killBy(unix.SIGTERM, 20*time.Second)), kid("b", after("a"))))
	with := func(more ...step) []step { return append(failed[:len(failed):len(failed)], more...) }
	playAll(t, []script{
		{"it fails twice in a row", dear, with(
			step{"wait 11s", "try a, a unhealthy, SIGTERM a"},
			step{"health", "a is unready"},
			step{"wait 30s", "SIGKILL a"},
			step{"exit a", "a again 1"}, // however it ended
			step{"wait 1s", "spawn a"},
			step{"up a", "a ready"})},
		{"it recovers", dear, with(
			step{"well", ""},
			step{"wait 11s", "try a, a check alive passed"},
			step{"ill", ""},
			step{"wait 11s", "try a, a check alive failed"})},
		{"no check runs in a stop", dear, with(
			step{"TERM", "SIGTERM b"},
			step{"wait 1500ms", ""},
			step{"exit b", "SIGTERM a"},
			step{"exit a", "sweep"})},
		{"nor after the end of its run", dear, with(
			step{"exit a 1", "a again 1"},
			step{"wait 1s", "spawn a"},
			step{"wait 1h", ""})},
		{"a reload takes it away from a run that goes on", dear, with(
			step{"reload 1", "reloaded +[] -[] ~[a] =[b]"},
			step{"wait 1h", ""},
			step{"reload 0", "reloaded +[] -[] ~[a] =[b]"},
			step{"wait 6s", "try a, a check alive failed"})},
	})
}

func TestCheckThatHangs(t *testing.T) {
	play(t, cfgs(newConfig(kid("a", checkBy("1h")))), []step{
		{"", "spawn a"},
		{"up a", "a ready"},
		{"wait 6s", "try a"},
		{"wait 1s", "kill try, a check alive failed"},
		{"wait 11s", "try a"},
		{"TERM", "SIGTERM a, kill try"},
		{"exit a", "sweep"},
	})
}
