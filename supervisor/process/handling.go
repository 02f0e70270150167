package process

import (
	"time"

	"golang.org/x/sys/unix"

	"tp0/supervisor/fdledger"
	"tp0/supervisor/procfs"
)

// A program that was started a moment ago has no handler yet, and the signal
// that asks it to end would simply kill it. So the first signal of a stop waits
// while a run is young and does not seem to handle it.
const (
	youth        = time.Second           // of a run; after it no signal waits
	leastAge     = 50 * time.Millisecond // of a Go program that proves nothing
	calmLooks    = 3                     // in a row must see all its threads wait
	handlesEvery = time.Millisecond      // the program is looked at
)

// handling is what is known of whether the program of a run handles signals by now.
type handling struct {
	since  time.Time     // when the program was started; zero: long ago
	limit  time.Duration // the first signal waits no longer; Hold of Spec
	probed bool          // Serves will be called once it handles them
	serves bool          // Serves was called
	calm   int           // looks in a row that saw all its threads wait
}

// handles reports whether a run handles a signal, or the signal has waited for that
// long enough. A program that proves that it serves has set up its signals. Of the
// others the kernel says what they do about the signal; but Go's runtime catches every
// signal before main begins, so what the kernel says means nothing. Once all its threads
// wait, main has probably come to what it is for.
func (l *Loop) handles(r *run, sig unix.Signal, now time.Time) bool {
	h := &r.handling
	age := now.Sub(h.since)
	if h.serves || sig == unix.SIGKILL || age >= youth || now.Sub(r.stop.at) >= h.limit {
		return true
	}
	if r.phase.Unexecuted() {
		return false
	}
	if l.runtime(r.pid) == fdledger.Go {
		if h.calm++; !procfs.IsWaiting(r.pid) {
			h.calm = 0
		}
		return !h.probed && age >= leastAge && h.calm >= calmLooks
	}
	return l.disposition(r.pid, sig) != "default"
}

// disposition says what a process does about a signal: "caught", "ignored",
// "blocked", "awaited" by sigwait(3), or "default". Empty: it cannot be read.
func (l *Loop) disposition(pid int, sig unix.Signal) string {
	s, err := procfs.ReadSignals(pid)
	if err != nil {
		return ""
	}
	d := s.Disposition(sig)
	if d == "default" && procfs.InSigwait(pid) {
		return "awaited"
	}
	return d
}
