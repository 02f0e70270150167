package process

import (
	"time"

	"golang.org/x/sys/unix"

	"tp0/supervisor/process/spawn"
)

// Facts are delivered in batches: the receiver is woken once for each batch, not a
// thousand times for a thousand ends.
const (
	batchFacts = 256
	batchTime  = 500 * time.Microsecond
)

// report has a fact delivered with the present batch.
func (l *Loop) report(f Fact) {
	now := time.Now()
	if len(l.facts) == 0 {
		l.factsAt = now
	}
	l.facts = append(l.facts, f)
	if len(l.facts) >= batchFacts || now.Sub(l.factsAt) >= batchTime {
		l.flush()
	}
}

// flush delivers the present batch.
func (l *Loop) flush() {
	if len(l.facts) > 0 {
		facts := l.facts
		l.facts = nil
		l.opt.Deliver(facts)
	}
}

// reapPoll is how often the loop reaps without a SIGCHLD while a stop is under way. Nothing is
// known to lose a SIGCHLD, but a stop must not hang if something does. An idle supervisor
// has no timer.
const reapPoll = 100 * time.Millisecond

// schedule arms the next tick for t at the latest. A zero t does nothing. Whatever makes
// something due calls it: to ask every run at each event would make the cost of a stop of
// N runs N².
func (l *Loop) schedule(t time.Time) {
	if l.nextTick.IsZero() || !t.IsZero() && t.Before(l.nextTick) {
		l.nextTick = t
	}
}

// armTimer sets the timer; a zero time stops it.
func (l *Loop) armTimer(at time.Time) {
	if at.IsZero() {
		l.timer.Stop()
		return
	}
	l.timer.Reset(max(time.Until(at), 0))
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// withFDs has the loop do something with duplicates of descriptors, which it closes
// afterwards. The caller's own may be closed as soon as hand returns. It does not
// wait; do gets an error where the handover is full.
func (l *Loop) withFDs(files []int, do func(own []int, err error)) {
	l.handover.Give(files, func(t spawn.Transfer) {
		l.commands.Put(func() {
			own, err := l.handover.Take(t)
			do(own, err)
			for _, fd := range own {
				_ = unix.Close(fd)
			}
		})
	})
}

// startBusyPoll says that something is to come of what was just done.
func (l *Loop) startBusyPoll() {
	s := &l.busyPoll
	if s.left <= 0 || len(l.processes) > maxBusyPollProcesses {
		return
	}
	now := time.Now()
	if now.Before(s.until) {
		s.left += s.until.Sub(now)
	}
	s.until = now.Add(min(busyPollTime, s.left))
	s.left -= s.until.Sub(now)
}
