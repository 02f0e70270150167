package process

import (
	"time"
)

// The state of the loop belongs to the goroutine that holds [Loop].turn. That is the loop on its
// thread, except while it waits for work. Then another goroutine may take a turn, so that the
// loop's thread does not wake up. To wake a locked thread costs two context switches. It also wakes
// the monitor of Go's runtime, which polls for 10 ms.
//
// Such a turn must neither fork nor call ptrace(2), because both belong to the loop's thread. The
// goroutine must not wait for the lock: if the lock is not free, the loop does the work.

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
	l.armTimer(l.nextTick) // the loop does the work that is due
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

// endTurn ends each turn of the loop: it does the work that is due, and arms the timer.
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

// runDue does the work that is due, and returns the time of the next tick. The zero time needs
// none.
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
