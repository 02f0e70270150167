package process

import (
	"time"

	"golang.org/x/sys/unix"

	"tp0/supervisor/process/spawn"
)

// Facts are delivered in batches: the receiver is woken once for each batch, and not for each
// of a thousand exits.
const (
	batchFacts = 256
	batchTime  = 500 * time.Microsecond
)

// report adds a fact to the current batch.
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

// flush delivers the current batch.
func (l *Loop) flush() {
	if len(l.facts) > 0 {
		facts := l.facts
		l.facts = nil
		l.opt.Deliver(facts)
	}
}

// reapPoll is how often the loop reaps without a SIGCHLD during a stop. No loss of a SIGCHLD is
// known, but a stop must not hang after one. An idle supervisor has no timer.
const reapPoll = 100 * time.Millisecond

// schedule arms the next tick for t at the latest. A zero t does nothing. The code that sets a
// deadline calls schedule: asking each process at each event would make the cost of a stop of N
// processes N².
func (l *Loop) schedule(t time.Time) {
	if l.nextTick.IsZero() || !t.IsZero() && t.Before(l.nextTick) {
		l.nextTick = t
	}
}

// armTimer sets the timer. The zero time stops it.
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

// withFDs calls do on the loop's thread with duplicates of descriptors, and closes them
// afterwards. The caller may close its own descriptors when withFDs returns. do gets an error
// if the handover is full.
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
