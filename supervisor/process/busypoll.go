package process

import (
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

// What a stop waits for mostly comes at once: a signal is delivered, a process
// exits, a status is there. SIGCHLD tells of it by way of another thread and
// two goroutines, which takes longer than the thing itself, three times in each
// stop. So the loop asks for a moment before it waits to be told.
//
// It does so in the stop of a few, where nothing else keeps the processors
// busy, and where there are two of them: else it would keep one from those it
// waits for.
const (
	busyPollTime         = 200 * time.Microsecond // after each thing that we did
	busyPollBudget       = 2 * time.Millisecond   // in the stop of a run
	maxBusyPollProcesses = 4                      // runs at most
)

type busyPoll struct {
	until time.Time
	left  time.Duration // of spinMost
}

// addBudget is called when the stop of a run begins.
func (s *busyPoll) addBudget() {
	if runtime.GOMAXPROCS(0) > 1 {
		s.left = busyPollBudget
	}
}

// active reports whether to ask once more, after it let others run.
func (s *busyPoll) active() bool {
	if s.until.IsZero() {
		return false
	}
	if !time.Now().Before(s.until) {
		s.until = time.Time{}
		return false
	}
	_, _, _ = unix.Syscall(unix.SYS_SCHED_YIELD, 0, 0, 0)
	return true
}
