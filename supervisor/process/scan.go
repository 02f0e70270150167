package process

import (
	"time"

	"tp0/supervisor/process/proof"
	"tp0/supervisor/procfs"
)

// scan runs a scan beside the loop: reading a table takes longer than anything
// that the loop does itself. Scans are bounded by the number of processes.
func (l *Loop) scan(o *observed, scan func() (done func())) {
	if !l.canScanInline(o) {
		l.scanInWorker(o, scan)
		return
	}
	o.running++
	done := scan()
	l.workers.exitSlot()
	o.running--
	done()
	l.finish(o)
}

// scanInWorker runs a scan beside the loop, however short it may be.
func (l *Loop) scanInWorker(o *observed, scan func() (done func())) {
	o.running++
	l.workers.submit(func() {
		done := scan()
		l.commands.Put(func() {
			o.running--
			done()
			l.finish(o)
		})
	})
}

// sample scans the descriptors of a process that cannot be traced, again and
// again until it is gone.
func (l *Loop) sample(o *observed) {
	s, ok := o.machine.Data.(*proof.SampleData)
	if !ok {
		return
	}
	s.StartSample()
	now := time.Now()
	limit := newScanLimit(now.Add(l.budget.SignalDelay(now)), minScannedFDs)
	l.scan(o, func() func() {
		fds, err := l.readFDs(o.pid, procfs.LiveThread(o.pid), limit)
		l.resolve(o.pid, fds, recently(), limit)
		return func() {
			if err == nil && len(fds) > 0 { // a zombie's table is empty
				o.evidence.Sample = fds
			}
			s.SampleDone(time.Now())
			l.schedule(s.Next)
		}
	})
}

// pollProc asks /proc about a process that is not traced, and whose status is not
// ours to collect: whether it ended, whether it executed the program that it was
// let go of for, and, once its end is reported, whether it is reaped. Until then
// it stays in the list, so that its parent's last scan does not find it anew.
func (l *Loop) pollProc(o *observed) {
	s, err := procfs.ReadStat(o.pid)
	switch {
	case o.inState(proof.Reported):
		if err != nil {
			l.handleEvent(o, proof.Reaped, stopCause{})
		}
	case err != nil || s.Dead() && procfs.IsGone(o.pid):
		l.observedEnded(o)
	case o.inState(proof.DetachedForExec) && s.Executed():
		o.comm = s.Comm
		l.handleEvent(o, proof.ExecSeen, stopCause{})
	}
	o.machine.SchedulePoll(time.Now())
}
