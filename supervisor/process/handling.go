package process

import (
	"time"

	"golang.org/x/sys/unix"

	"tp0/supervisor/fdledger"
	"tp0/supervisor/procfs"
)

// A program that was just started has no signal handlers yet, and SIGTERM would kill it at
// once. So the first signal of a stop waits while the program is young and does not seem to
// handle the signal.
const (
	maxUnhandledAge = time.Second           // of a program; after it no signal waits
	minGoAge        = 50 * time.Millisecond // of a Go program without a ready block
	minIdleSamples  = 3                     // consecutive samples with all threads waiting
	handlerPoll     = time.Millisecond      // between two samples
)

// handles reports whether a program handles a signal, or the signal has waited for long enough.
// A program that is ready has its handlers. For other programs the kernel tells the signal
// disposition. But Go's runtime catches every signal before main starts, so for Go programs the
// disposition tells nothing: once all threads wait, main has probably installed its handlers.
func (l *Loop) handles(c *childProcess, sig unix.Signal, now time.Time) bool {
	h := &c.handling
	age := now.Sub(h.startedAt)
	if h.ready || sig == 0 || sig == unix.SIGKILL || age >= maxUnhandledAge ||
		now.Sub(c.stop.requestedAt) >= h.limit {
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

// defaultIsHarmful reports whether the default action of a signal ends or stops a process
// (signal(7)).
func defaultIsHarmful(sig unix.Signal) bool {
	switch sig {
	case unix.SIGCHLD, unix.SIGCONT, unix.SIGURG, unix.SIGWINCH:
		return false
	}
	return true
}

// disposition returns the disposition of a signal in a process: "caught", "ignored", "blocked",
// "default", or "awaited" by sigwait(3). It is empty if it cannot be read.
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
