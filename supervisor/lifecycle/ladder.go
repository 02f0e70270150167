package lifecycle

import (
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// Rung is one signal of a ladder and how long it may take.
type Rung struct {
	Signal unix.Signal
	Wait   time.Duration // 0: the last rung, there is nothing after it
}

// Ladder is the signals of a stop, in order. Its last rung is SIGKILL, always.
type Ladder []Rung

// NewLadder makes the ladder of a kill_signal and a kill_timeout. A diagnosis
// signal, if there is one, gets the last quarter of the timeout, 500 ms at most.
func NewLadder(signal unix.Signal, timeout time.Duration, diagnosis unix.Signal) Ladder {
	last := Rung{Signal: unix.SIGKILL}
	switch {
	case signal == unix.SIGKILL:
		return Ladder{last}
	case diagnosis == 0:
		return Ladder{{signal, timeout}, last}
	}
	part := min(timeout/4, 500*time.Millisecond)
	return Ladder{{signal, timeout - part}, {diagnosis, part}, last}
}

// Given makes the ladder of rungs before the last.
func Given(rungs []Rung) Ladder { return append(slices.Clone(rungs), Rung{Signal: unix.SIGKILL}) }

// Rung returns the rung of a number, counted from 1; one beyond the last is
// not there.
func (l Ladder) Rung(n int) (Rung, bool) {
	if n < 1 || n > len(l) {
		return Rung{}, false
	}
	return l[n-1], true
}
