package orchestrator

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

func exec(d string) config.Probe {
	return config.Probe{Exec: []string{"probe", d}, ExecPath: "/bin/probe"}
}

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
			{"TERM", "SIGTERM a | kill try"},
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
		{"TERM", "SIGTERM b | kill try"},
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
		{"TERM", "SIGTERM a | kill try"},
		{"exit a", "sweep"},
	})
}

func TestNotify(t *testing.T) {
	cfg := cfgs(newConfig(kid("a", readyBy(config.Ready{Notify: true})), kid("b", after("a"))))
	up := []step{{"", "spawn a"}, {"up a", ""}}
	serves := append(up[:2:2], step{"say a READY=1", "a ready, spawn b"}, step{"up b", "b ready"})
	with := func(first []step, more ...step) []step { return append(first[:len(first):len(first)], more...) }
	playAll(t, []script{
		{"ready", cfg, serves},
		{"a stranger", cfg, with(up,
			step{"say 7 READY=1", "stranger: pid 7 belongs to no child that notifies"},
			step{"say 8 READY=1", ""}, // once a second
			step{"wait 1s", "a not ready, SIGTERM a"})},
		{"a child that does not notify", cfg, with(serves, step{"say b STOPPING=1", "stranger: pid 4194306 belongs to no child that notifies"})},
		{"quicker than its pid", cfg, []step{
			{"", "spawn a"},
			{"say 4194305 READY=1", ""},
			{"up a", "a ready, spawn b"},
		}},
		{"it asks for time", cfg, with(up,
			step{"wait 900ms", ""},
			step{"say a EXTEND_TIMEOUT_USEC=500000", ""},
			step{"wait 499ms", ""},
			step{"say a EXTEND_TIMEOUT_USEC=500", ""}, // that takes nothing away
			step{"wait 1ms", "a not ready, SIGTERM a"})},
		{"it asks for time to end", cfg, with(serves,
			step{"TERM", "SIGTERM b"},
			step{"exit b", "SIGTERM a"},
			step{"say a EXTEND_TIMEOUT_USEC=5000000", ""},
			step{"wait 4999ms", ""},
			step{"wait 1ms", "SIGKILL a"},
			step{"exit a", "sweep"})},
		{"the deadline holds", cfg, with(serves,
			step{"TERM", "SIGTERM b"},
			step{"exit b", "SIGTERM a"},
			step{"say a EXTEND_TIMEOUT_USEC=3600000000", ""},
			step{"wait 9599ms", ""},
			step{"wait 1ms", "SIGKILL a"},
			step{"exit a", "sweep"})},
		{"what it says", cfg, with(serves,
			step{"say a STATUS=one", "a status one"},
			step{"say a STATUS=one", ""},
			step{"say a RELOADING=1", "a reloading"},
			step{"say a READY=1", "a reloaded"},
			step{"say a FDSTORE=1", "a ignored FDSTORE"},
			step{"say a FDSTORE=1", ""},
			step{"say a MAINPID=9", "successor 9 a, a main process pid 9 is to take over once pid 4194305 has ended"},
			step{"say a MAINPID=9", ""},
			step{"say a MAINPID=4194305", ""},
			step{"say a MAINPID=-1", ""},
			step{"say a STOPPING=1", "a stopping"})},
	})
}

func TestWatchdog(t *testing.T) {
	cfg := cfgs(newConfig(kid("a", readyBy(config.Ready{Notify: true, Watchdog: 10 * time.Second}))))
	up := []step{
		{"", "spawn a"},
		{"up a", ""},
		{"say a READY=1", "a ready"},
		{"wait 9s", ""},
		{"say a WATCHDOG=1", ""},
		{"wait 9s", ""},
	}
	with := func(more ...step) []step { return append(up[:len(up):len(up)], more...) }
	playAll(t, []script{
		{"it falls silent", cfg, with(step{"wait 1s", "a unhealthy, SIGTERM a"}, step{"exit a", "a again 1"})},
		{"it triggers it", cfg, with(step{"say a WATCHDOG=trigger", "a unhealthy, SIGTERM a"}, step{"exit a", "a again 1"})},
		{"it is about to end", cfg, with(step{"say a STOPPING=1", "a stopping"}, step{"wait 1h", ""})},
		{"its run ended", cfg, with(step{"exit a 1", "a again 1"}, step{"wait 500ms", ""}, step{"wait 500ms", "spawn a"}, step{"up a", ""}, step{"wait 999ms", ""})},
	})
}
