package lifecycle

import (
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// Step is one signal of a stop sequence, and the time until the next step.
type Step struct {
	Signal unix.Signal
	Wait   time.Duration // 0 in the last step: no step follows
}

// StopSequence is the signals of a stop, in order. The last step is always SIGKILL.
type StopSequence []Step

// maxDiagnosis bounds the step of a diagnose_signal.
const maxDiagnosis = 500 * time.Millisecond

// NewStopSequence returns the stop sequence of a kill_signal, a kill_timeout and a
// diagnose_signal. The diagnose_signal gets the last quarter of the timeout, maxDiagnosis at
// most; 0 disables it.
func NewStopSequence(kill unix.Signal, timeout time.Duration, diagnose unix.Signal) StopSequence {
	last := Step{Signal: unix.SIGKILL}
	switch {
	case kill == unix.SIGKILL:
		return StopSequence{last}
	case diagnose == 0:
		return StopSequence{{kill, timeout}, last}
	}
	part := min(timeout/4, maxDiagnosis)
	return StopSequence{{kill, timeout - part}, {diagnose, part}, last}
}

// CustomStopSequence returns the stop sequence of a kill_sequence: the given steps, then SIGKILL.
func CustomStopSequence(steps []Step) StopSequence {
	return append(slices.Clone(steps), Step{Signal: unix.SIGKILL})
}

// Step returns step n, counted from 1. It returns false if the sequence has no step n.
func (s StopSequence) Step(n int) (Step, bool) {
	if n < 1 || n > len(s) {
		return Step{}, false
	}
	return s[n-1], true
}

// Length returns the sum of the timeouts.
func (s StopSequence) Length() (sum time.Duration) {
	for _, step := range s {
		sum += step.Wait
	}
	return sum
}
