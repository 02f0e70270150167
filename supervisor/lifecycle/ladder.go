package lifecycle

import (
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// Step is one signal of a ladder and how long it may take.
type Step struct {
	Signal unix.Signal
	Wait   time.Duration // 0: the last rung, there is nothing after it
}

// StopSequence is the signals of a stop, in order. Its last rung is SIGKILL, always.
type StopSequence []Step

// NewStopSequence makes the ladder of a kill_signal and a kill_timeout. A diagnosis
// signal, if there is one, gets the last quarter of the timeout, 500 ms at most.
func NewStopSequence(signal unix.Signal, timeout time.Duration, diagnosis unix.Signal) StopSequence {
	last := Step{Signal: unix.SIGKILL}
	switch {
	case signal == unix.SIGKILL:
		return StopSequence{last}
	case diagnosis == 0:
		return StopSequence{{signal, timeout}, last}
	}
	part := min(timeout/4, 500*time.Millisecond)
	return StopSequence{{signal, timeout - part}, {diagnosis, part}, last}
}

// CustomStopSequence makes the ladder of rungs before the last.
func CustomStopSequence(rungs []Step) StopSequence {
	return append(slices.Clone(rungs), Step{Signal: unix.SIGKILL})
}

// Step returns the rung of a number, counted from 1; one beyond the last is
// not there.
func (l StopSequence) Step(n int) (Step, bool) {
	if n < 1 || n > len(l) {
		return Step{}, false
	}
	return l[n-1], true
}
