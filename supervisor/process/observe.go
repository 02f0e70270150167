package process

import (
	"fmt"
	"time"

	"tp0/supervisor/event"
	"tp0/supervisor/process/proof"
)

// observe begins to watch a process.
func (l *Loop) observe(o *observed) *observed {
	o.machine = proof.New(o.isMain(), l.privileged)
	o.firstSeen = time.Now()
	o.machine.SetBudget(l.budget, o.firstSeen)
	l.observed[o.pid] = o
	l.updateTraceSet(o)
	return o
}

// handleEvent takes an event in: the machine says what is to be done, and it is done.
// Whatever is due in the new state is armed.
func (l *Loop) handleEvent(o *observed, e proof.Event, c stopCause) {
	now, before := time.Now(), o.machine.State
	actions := o.machine.Handle(e, c.tid, now)
	if o.machine.State != before {
		at, _ := o.machine.Timer()
		l.schedule(at)
		l.schedule(l.detachAt(o))
		l.updateTraceSet(o)
		if before.IsHeld() && !o.machine.State.IsHeld() {
			o.exitScan.abort()
		}
	}
	for _, a := range actions {
		l.perform(o, a, c)
	}
}

// observedEnded takes in that a process is dead, or will be as soon as its thread may go.
// Threads of it that are traced still tell of their own ends.
func (l *Loop) observedEnded(o *observed) {
	l.handleEvent(o, proof.End, stopCause{})
	l.finish(o)
}

// finish goes on with a process that ended, once no scan of it is under way. The
// end of a run's own process is reported as that of the run.
func (l *Loop) finish(o *observed) {
	if o.isMain() {
		l.mainEnded(o.owner)
		return
	}
	l.hasResult(o)
}

// hasResult reports whether the result of a process that ended is there; else
// finish is called again when a scan is done. Where the time for scans is over,
// none is waited for.
func (l *Loop) hasResult(o *observed) bool {
	switch {
	case l.scansGivenUp():
		l.giveUpScansOf(o)
	case o.running == 0:
		l.handleEvent(o, proof.ScansDone, stopCause{})
	}
	return o.inState(proof.Reported)
}

// result is what is known of the descriptors of a process that ended.
func (o *observed) result() FDResult {
	if v, ok := o.machine.Data.(*proof.EndData); ok {
		return v.Result
	}
	return FDResult{Proof: event.ProofNone}
}

// tickObserved feeds a process what is due by the time alone. It says when it
// wants to be called again; zero: never.
func (l *Loop) tickObserved(o *observed, now time.Time) time.Time {
	if l.scansGivenUp() {
		l.giveUpScansOf(o)
	}
	l.tickAfterScan(o, now)
	if at, e := o.machine.Timer(); !at.IsZero() && !now.Before(at) {
		l.handleEvent(o, e, stopCause{tid: o.machine.Thread()})
		if e == proof.BudgetSpent && o.isMain() {
			l.mainEnded(o.owner) // its end waits for no scan any more
		}
	}
	if at := l.detachAt(o); !at.IsZero() && !now.Before(at) {
		l.handleEvent(o, proof.DetachDue, stopCause{})
		if len(o.traced) == 0 { // there is no thread to wait for
			l.handleEvent(o, proof.ThreadsGone, stopCause{})
		}
	}
	at, _ := o.machine.Timer()
	for _, t := range []time.Time{l.detachAt(o), o.afterScanDue} {
		if at.IsZero() || !t.IsZero() && t.Before(at) {
			at = t
		}
	}
	return at
}

// tickAfterScan has what waits for the scan of a process not wait any longer.
func (l *Loop) tickAfterScan(o *observed, now time.Time) {
	if !o.afterScanDue.IsZero() && !now.Before(o.afterScanDue) {
		o.evidence.ScanLate = lateReason(o.afterScanDue.Sub(o.firstSeen))
		o.runAfterScan()
	}
}

// runAfterScan does what waits for the scan of a process.
func (o *observed) runAfterScan() {
	if then := o.afterScan; then != nil {
		o.afterScan, o.afterScanDue = nil, time.Time{}
		then()
	}
}

// giveUpScansOf goes on with a process without its fd scans: the time for them is
// over.
func (l *Loop) giveUpScansOf(o *observed) {
	e := proof.BudgetSpent
	if o.inState(proof.FirstStop) {
		_, e = o.machine.Timer() // as if its time were over
	}
	o.evidence.BudgetSpent = o.evidence.BudgetSpent || o.machine.State.IsHeld()
	l.handleEvent(o, e, stopCause{tid: o.machine.Thread()})
}

// detachAfter is how long what is below a run is watched after the run has
// ended. What lives on then lives on for good, and is not traced for it; the
// sweep comes back to it.
var detachAfter = 10 * time.Second // a test has no such time

// detachAt is when what outlived its run is to be let go of; zero: never, or not
// in this state.
func (l *Loop) detachAt(o *observed) time.Time {
	outlived := !o.isMain() && o.owner != nil && o.owner.isOver()
	if !outlived || l.cleanup != nil || !o.machine.State.Handles(proof.DetachDue) {
		return time.Time{}
	}
	return o.owner.exited.At.Add(detachAfter)
}

// lateReason is the reason where a signal went before the fd scan that it waited for.
func lateReason(limit time.Duration) string {
	return fmt.Sprintf("the fd scan before the signal took more than %v", limit.Round(time.Millisecond))
}
