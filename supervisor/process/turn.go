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

// turnBeside gives the calling goroutine a turn, unless the loop has one or has work. do reports
// whether it did everything. turnBeside reports whether do was called and returned true; the caller
// leaves the work to the loop otherwise.
func (l *Loop) turnBeside(do func() bool) bool {
	if !l.turn.TryLock() {
		return false
	}
	defer l.turn.Unlock()
	if !l.commands.IsEmpty() || !l.onlyOrphans() || !do() {
		return false
	}
	l.armTimer(l.nextTick) // what is due is left to the loop
	l.flush()
	return true
}

// onlyOrphans reports whether no process is traced or sampled, no cleanup runs, and no job control
// is needed. A dead process that is in no table is an orphan then, and no request to ptrace(2) is
// due.
func (l *Loop) onlyOrphans() bool {
	return len(l.observations) == 0 && len(l.tids) == 0 && len(l.helpers.byPid) == 0 &&
		!l.terminal && l.cleanup == nil && !l.closed()
}

// endTurn does what is due at the end of each turn of the loop.
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
