package process

import (
	"fmt"
	"time"

	"tp0/supervisor/event"
	"tp0/supervisor/process/proof"
)

// observe starts to observe a process.
func (l *Loop) observe(o *observed) *observed {
	o.machine = proof.New(o.isMain(), l.privileged)
	o.firstSeen, o.sockets = time.Now(), l.treeSocketsOf(o.owner)
	o.machine.SetBudget(l.budget, o.firstSeen)
	l.observations[o.pid] = o
	l.updateTraceSet(o)
	return o
}

// handleEvent passes an event to the state machine of a process, performs the actions that the
// machine returns, and schedules what is due in the new state.
func (l *Loop) handleEvent(o *observed, e proof.Event, c stopCause) {
	now, before := time.Now(), o.machine.State
	actions := o.machine.Handle(e, c.tid, now)
	if o.machine.State != before {
		at, _ := o.machine.Timer()
		l.schedule(at)
		l.schedule(l.detachAt(o))
		l.updateTraceSet(o)
		if before.WaitsForScan() && !o.machine.State.WaitsForScan() {
			o.exitScanLimit.abort()
		}
	}
	for _, a := range actions {
		l.perform(o, a, c)
	}
}

// observedEnded handles the end of a process, or its last exit stop. Threads of it that are
// still traced report their own ends.
func (l *Loop) observedEnded(o *observed) {
	l.handleEvent(o, proof.End, stopCause{})
	l.finish(o)
}

// finish is called after each scan of a process. If the process has ended and no other scan of it
// is running, finish completes what waited for that.
func (l *Loop) finish(o *observed) {
	if o.isMain() {
		l.tryReportExit(o.owner)
		return
	}
	l.tryResult(o) // its state machine reports the end
}

// tryResult determines the result of a process that has ended, unless a scan of it is running, and
// reports whether the result is there. If not, finish calls it again after the next scan. Once
// scans are given up it waits for none. For a live process its event changes nothing.
func (l *Loop) tryResult(o *observed) bool {
	switch {
	case l.scansGivenUp():
		l.giveUpScansOf(o)
	case o.running == 0:
		l.handleEvent(o, proof.ScansDone, stopCause{})
	}
	return o.inState(proof.Reported)
}

// result returns what is known of the descriptors of a process that ended.
func (o *observed) result() FDResult {
	if v, ok := o.machine.Data.(*proof.EndData); ok {
		return v.Result
	}
	return FDResult{Proof: event.ProofNone}
}

// tickObserved does what is due for a process, and returns the time of the next tick. The zero
// time needs none.
func (l *Loop) tickObserved(o *observed, now time.Time) time.Time {
	if l.scansGivenUp() {
		l.giveUpScansOf(o)
	}
	l.tickAfterScan(o, now)
	if at, e := o.machine.Timer(); !at.IsZero() && !now.Before(at) {
		l.handleEvent(o, e, stopCause{tid: o.machine.Thread()})
		if e == proof.BudgetSpent && o.isMain() {
			l.tryReportExit(o.owner)
		}
	}
	if at := l.detachAt(o); !at.IsZero() && !now.Before(at) {
		l.handleEvent(o, proof.DetachDue, stopCause{})
		if len(o.traced) == 0 { // no thread stops any more
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

// tickAfterScan stops the wait for a scan whose time is over.
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

// giveUpScansOf continues with a process without its fd scans.
func (l *Loop) giveUpScansOf(o *observed) {
	e := proof.BudgetSpent
	if o.inState(proof.FirstStop) {
		_, e = o.machine.Timer() // as after its timeout
	}
	o.evidence.BudgetSpent = o.evidence.BudgetSpent || o.machine.State.WaitsForScan()
	l.handleEvent(o, e, stopCause{tid: o.machine.Thread()})
}

// detachAfter is how long survivors are observed after their child process is over. Processes
// that live on are not traced for longer. The orphan cleanup traces them again. Tests change
// it.
var detachAfter = 10 * time.Second // a test has no such time

// detachAt returns when a survivor is to be detached from. The zero time means never, or not in
// this state.
func (l *Loop) detachAt(o *observed) time.Time {
	outlived := !o.isMain() && o.owner != nil && o.owner.isOver()
	if !outlived || l.cleanup != nil || !o.machine.State.Handles(proof.DetachDue) {
		return time.Time{}
	}
	return o.owner.exited.At.Add(detachAfter)
}

// lateReason is the reason why a signal did not wait for the fd scan before it.
func lateReason(limit time.Duration) string {
	return fmt.Sprintf("the fd scan before the signal took more than %v",
		limit.Round(time.Millisecond))
}

// sampleIfRefused samples a main process that cannot be traced.
func (l *Loop) sampleIfRefused(o *observed) {
	if o.isMain() && o.inState(proof.Untraceable) && o.evidence.Reason != reasonEnded {
		l.handleEvent(o, proof.SampleOnly, stopCause{})
	}
}
