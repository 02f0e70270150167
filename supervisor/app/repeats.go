package app

import (
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// repeatWindow is the time after a request within which an equal request is a repetition.
// timeout(1) signals a process and then its group, a terminal signals the foreground group, and
// wrappers forward their signals, so one request can arrive twice.
const repeatWindow = 500 * time.Millisecond

// repeats has the last stop signal that was not a repetition, and the time of its arrival.
type repeats struct {
	last unix.Signal
	at   time.Time
}

// isRepeat reports whether a signal that arrived at now repeats the signal before it. A repetition
// does not extend the window: signals at intervals of 400 ms still escalate.
func (r *repeats) isRepeat(sig unix.Signal, now time.Time) bool {
	if !isStopSignal(sig) {
		return false
	}
	if sig == r.last && now.Sub(r.at) < repeatWindow {
		return true
	}
	r.last, r.at = sig, now
	return false
}

// isStopSignal reports whether a signal asks run to stop.
func isStopSignal(sig os.Signal) bool {
	return sig == unix.SIGTERM || sig == unix.SIGINT || sig == unix.SIGQUIT
}
