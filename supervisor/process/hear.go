package process

import (
	"time"

	"golang.org/x/sys/unix"

	"tp0/supervisor/ledger"
	"tp0/supervisor/procfs"
)

// A program that was started a moment ago has no handler yet, and the signal
// that asks it to end would simply kill it. So the first signal of a stop waits
// while a run is young and does not look as if it could hear.
const (
	youth     = time.Second           // of a run; after it nothing is held
	leastAge  = 50 * time.Millisecond // of a Go program that proves nothing
	calmLooks = 3                     // in a row must see all its threads wait
	hearEvery = time.Millisecond
)

// hears reports whether a signal would find a run prepared for it, or has
// waited for that long enough. What proves that it serves has set up its
// signals. Of the others the kernel says what they do about the signal; but
// Go's runtime catches every signal before main begins, so what it says means
// nothing; once all its threads wait, main has probably come to what it is for.
func (l *Loop) hears(r *run, sig unix.Signal, now time.Time) bool {
	age := now.Sub(r.spawned)
	if r.serves || sig == unix.SIGKILL || age >= youth || now.Sub(r.stopAt) >= r.hold {
		return true
	}
	if r.barrier != nil {
		return false // it has not executed its command yet
	}
	if l.runtime(r.pid) == ledger.Go {
		if r.calm++; !procfs.Waits(r.pid) {
			r.calm = 0
		}
		return !r.probed && age >= leastAge && r.calm >= calmLooks
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
	if d == "default" && procfs.AwaitsSignals(pid) {
		return "awaited"
	}
	return d
}

// tendHeld lets the signals of a run go that can hear now.
func (l *Loop) tendHeld(r *run, now time.Time) time.Time {
	if !r.held {
		return time.Time{}
	}
	if l.hears(r, r.waiting[0].signal, now) {
		l.unhold(r)
		return time.Time{}
	}
	return earlier(now.Add(hearEvery), r.stopAt.Add(r.hold))
}

// unhold begins with what comes before the signals: the look.
func (l *Loop) unhold(r *run) {
	r.held = false
	if r.proof == None {
		l.deliverWaiting(r)
		return
	}
	l.awaitTurn(r)
}
