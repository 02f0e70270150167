package lifecycle

import (
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// Step is one signal of a stop sequence, and the time until the next step.
type Step struct {
	Signal unix.Signal   // 0: the stop hook runs in place of a signal
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

// WithHook returns the sequence with the stop hook in place of its first signal, which has
// timeout. The hook gets three quarters of the timeout. The signal follows in the last quarter, if
// the hook has failed or still runs. SIGKILL alone as the sequence follows after the whole timeout.
func (s StopSequence) WithHook(timeout time.Duration) StopSequence {
	if len(s) == 1 {
		return StopSequence{{Wait: timeout}, s[0]}
	}
	first, last := s[0], s[0].Wait/4
	return append(StopSequence{
		{Wait: first.Wait - last}, {Signal: first.Signal, Wait: last},
	}, s[1:]...)
}

// hookGrace bounds the time from SIGTERM to SIGKILL of a hook that takes too long.
const hookGrace = time.Second

// HookGrace returns the last part of a hook's timeout: it begins with SIGTERM, and SIGKILL follows
// at its end.
func HookGrace(timeout time.Duration) time.Duration { return min(timeout/4, hookGrace) }

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
