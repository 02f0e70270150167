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
	maxUnhandledAge = time.Second           // of a run; after it no signal waits
	minGoAge        = 50 * time.Millisecond // of a Go program that proves nothing
	minIdleSamples  = 3                     // in a row must see all its threads wait
	handlerPoll     = time.Millisecond      // the program is looked at
)

// handles reports whether a run handles a signal, or the signal has waited for that
// long enough. A program that proves that it serves has set up its signals. Of the
// others the kernel says what they do about the signal; but Go's runtime catches every
// signal before main begins, so what the kernel says means nothing. Once all its threads
// wait, main has probably come to what it is for.
func (l *Loop) handles(c *childProcess, sig unix.Signal, now time.Time) bool {
	h := &c.handling
	age := now.Sub(h.startedAt)
	if h.ready || sig == unix.SIGKILL || age >= maxUnhandledAge || now.Sub(c.stop.requestedAt) >= h.limit {
		return true
	}
	if c.phase.Unexecuted() {
		return false
	}
	if l.runtimeOf(c.pid) == fdledger.Go {
		if h.idleSamples++; !procfs.IsWaiting(c.pid) {
			h.idleSamples = 0
		}
		return !h.probed && age >= minGoAge && h.idleSamples >= minIdleSamples
	}
	return l.disposition(c.pid, sig) != "default"
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
