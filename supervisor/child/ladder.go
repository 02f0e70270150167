package child

import (
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

// NewLadder makes the ladder of a kill_signal and a kill_timeout.
func NewLadder(signal unix.Signal, timeout time.Duration) Ladder {
	if signal == unix.SIGKILL {
		return Ladder{{Signal: unix.SIGKILL}}
	}
	return Ladder{{signal, timeout}, {Signal: unix.SIGKILL}}
}

// Rung returns the rung of a number, counted from 1; one beyond the last is
// not there.
func (l Ladder) Rung(n int) (Rung, bool) {
	if n < 1 || n > len(l) {
		return Rung{}, false
	}
	return l[n-1], true
}
