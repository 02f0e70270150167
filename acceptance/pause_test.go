package acceptance

import (
	"fmt"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"tp0/supervisor/procfs"
)

// pauseCase is a pause of the supervisor that must not be a fault of child a. The timeouts are
// longer than the child needs, and shorter than the pause.
type pauseCase struct {
	name   string
	more   string // of the child
	work   string // the steps that it needs to become ready, and to stop
	moment string // the line of the child before the pause
	act    func(*supervisor)
	pause  time.Duration
	line   string // of the child, after the pause
	entry  string // of the log, after the pause
	alone  bool   // the case also holds for a pause of the supervisor alone
}

const (
	watched = "ready {\n  notify = true\n  watchdog = \"2s\"\n}"
	// checked has a check whose command runs most of the time.
	checked = `check "alive" {
  exec     = ["fixture", "work", "10"]
  grace    = "10ms"
  interval = "10ms"
  timeout  = "2s"
  limit    = 1
}`
	twoSteps = `kill_sequence = [
  { signal = "SIGTERM", wait = "2s" }, { signal = "SIGINT", wait = "1s" }
]`
)

func replaceChild(s *supervisor) { s.reload(fixture("b", "sleep", "")) }

func stopAll(s *supervisor) { s.signal(unix.SIGTERM) }

func readyWithin(d, by string) string {
	return fmt.Sprintf("ready {\n  %s\n  timeout = %q\n}", by, d)
}

var pauseCases = []pauseCase{
	{name: "watchdog", more: watched, work: "0 0", moment: "worked 10 steps",
		pause: 3 * time.Second, line: "worked 100 steps", alone: true},
	{name: "ready notify", more: readyWithin("2s", "notify = true"), work: "10 0",
		moment: "starting", pause: 3 * time.Second, entry: "child ready"},
	{name: "ready log", more: readyWithin("2s", `log = "^ready"`), work: "10 0",
		moment: "starting", pause: 3 * time.Second, entry: "child ready"},
	{name: "pause within the timeout", more: readyWithin("5s", "notify = true"), work: "40 0",
		moment: "starting", pause: 4500 * time.Millisecond, entry: "child ready"},
	{name: "kill_timeout", more: `kill_timeout = "2s"`, work: "0 10", moment: "stopping",
		act: replaceChild, pause: 3 * time.Second, entry: "config reloaded", alone: true},
	{name: "kill_sequence", more: twoSteps, work: "0 10", moment: "stopping",
		act: replaceChild, pause: 4 * time.Second, entry: "config reloaded"},
	{name: "final stop", more: `kill_timeout = "2s"`, work: "0 10", moment: "stopping",
		act: stopAll, pause: 3 * time.Second, entry: "child reaped"},
	{name: "check", more: checked, work: "0 0", moment: "worked 10 steps",
		pause: 3 * time.Second, line: "worked 100 steps", alone: true},
}

// pause stops the supervisor, and with all also its descendants, for d.
func (s *supervisor) pause(d time.Duration, all bool) {
	s.t.Helper()
	pids := []int{s.pid}
	s.signal(unix.SIGSTOP)
	await(s.t, "the supervisor is stopped", func() bool { return allThreadsStopped(s.pid) })
	if all {
		pids = append(pids, procfs.Descendants(s.pid)...)
		for _, pid := range pids[1:] {
			signalPID(s.t, pid, unix.SIGSTOP)
		}
	}
	time.Sleep(d) // that the time passes is the point
	for _, pid := range pids {
		_ = unix.Kill(pid, unix.SIGCONT) // a child may have ended
	}
}

// TestPause checks that a pause is no fault of a child, whether the child is paused too or not.
func TestPause(t *testing.T) {
	t.Parallel()
	for _, c := range pauseCases {
		for name, all := range map[string]bool{" of all": true, " of the supervisor": false} {
			if all || c.alone {
				t.Run(c.name+name, func(t *testing.T) {
					t.Parallel()
					c.run(t, all)
				})
			}
		}
	}
}

func (c *pauseCase) run(t *testing.T, all bool) {
	// without a restart and with limit = 1, any fault fails the child
	s := start(t, "shutdown {\n  deadline = \"9s\"\n}\n"+
		fixture("a", "work "+c.work, c.more+"\nrestart {\n  on = \"never\"\n}\n"))
	if c.act != nil {
		s.awaitEntry("all children ready")
		s.awaitLine("[a] ready")
		c.act(s)
	}
	s.awaitLine("[a] " + c.moment)
	s.pause(c.pause, all)
	s.awaitEntry("pause detected")
	if c.line != "" {
		s.awaitLine("[a] " + c.line)
	} else {
		s.awaitEntry(c.entry)
	}
	if s.count("signal received", "signal", "SIGTERM") == 0 {
		s.signal(unix.SIGTERM)
	}
	s.expectStop(0, "graceful")
	for _, fault := range []string{
		"child unhealthy", "not ready in time", "check failed", "child failed",
	} {
		if s.count(fault) > 0 {
			t.Errorf("the log has %q, want no fault", fault)
		}
	}
	if n := s.count("signal sent", "step", 2); n > 0 {
		t.Errorf("the second step of a stop sequence was sent %d times, want 0", n)
	}
}

// TestPauseOfChild checks that a child is at fault if it is paused alone, and that a child that
// hangs is found after a pause.
func TestPauseOfChild(t *testing.T) {
	t.Parallel()
	s := start(t, fixture("a", "work 0 0", watched)+
		fixture("hangs", "hang", readyWithin("2s", "notify = true")+
			"\nrestart {\n  on = \"never\"\n}\non_failure = \"ignore\"\n"))
	pid := s.awaitEntry("child ready", "child", "a").int("pid")
	s.awaitEntry("child spawned", "child", "hangs")
	s.pause(3*time.Second, true)
	s.awaitEntry("pause detected")
	s.awaitEntry("not ready in time", "child", "hangs")
	if s.count("child unhealthy") > 0 {
		t.Error("child a is unhealthy after the pause")
	}
	signalPID(t, pid, unix.SIGSTOP)
	s.awaitEntry("child unhealthy", "child", "a")
	signalPID(t, pid, unix.SIGCONT)
	s.awaitEntry("child restarting", "child", "a")
	s.signal(unix.SIGTERM)
	s.exitCode()
}

// TestDockerPause checks that a container continues with its processes after a pause.
func TestDockerPause(t *testing.T) {
	image := quickImage(t)
	c := runContainer(t, image, fixture("a", "work 0 0", watched)+
		fixture("b", "work 0 0", checked))
	c.awaitLine("[a] worked 10 steps")
	c.awaitLine("[b] worked 10 steps")
	docker(t, "pause", c.id)
	time.Sleep(5 * time.Second) // that the time passes is the point
	docker(t, "unpause", c.id)
	c.awaitLine("pause detected")
	c.awaitLine("[a] worked 100 steps")
	c.awaitLine("[b] worked 100 steps")
	docker(t, "kill", "-s", "TERM", c.id)
	if e := c.expectStop(0, "graceful"); e.int("spawned") != 2 {
		t.Errorf("%d processes were spawned, want 2", e.int("spawned"))
	}
}
