package process

import (
	"time"
)

// The state of the loop belongs to the goroutine that holds [Loop].turn. That is the loop on its
// thread, except while it waits for work. Then another goroutine may take a turn, which saves to
// wake the loop's thread: a locked thread costs two switches of threads, and wakes a monitor of
// Go's runtime that polls for 10 ms.
//
// Such a turn must not fork, and not make a request to ptrace(2): both belong to the loop's thread.
// It waits for nothing, the lock included: if the lock is not free, the loop does the work.

// endTurn does what is due at the end of each turn.
func (l *Loop) endTurn() {
	now := time.Now()
	l.dequeueScans(now)
	if l.cleanup != nil || !l.nextTick.IsZero() && !now.Before(l.nextTick) {
		l.nextTick = time.Time{}
		l.schedule(l.runDue(now))
	}
	l.armTimer(l.nextTick)
	l.flush()
}

// runDue does what is due, and returns the time of the next tick. The zero time needs none.
func (l *Loop) runDue(now time.Time) time.Time {
	var next time.Time
	due := func(t time.Time) {
		if !t.IsZero() && (next.IsZero() || t.Before(next)) {
			next = t
		}
	}
	for _, c := range l.processes {
		if !c.stop.started() {
			continue
		}
		due(now.Add(reapPoll))
		due(l.tickTree(c, now))
		due(l.tickDelivery(c, now))
		l.continueDue(c)
	}
	for _, o := range l.observations {
		due(l.tickObserved(o, now))
	}
	due(l.tickHelpers(now))
	if l.cleanup != nil {
		due(l.tickOrphanCleanup(now))
	}
	return next
}
