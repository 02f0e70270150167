package process

import (
	"time"

	"tp0/supervisor/process/proof"
	"tp0/supervisor/procfs"
)

// scan runs an fd scan on a worker, since it takes longer than anything that the loop does
// itself. The result is a function that the loop's thread calls. Scans are bounded by the number
// of processes.
func (l *Loop) scan(o *observed, scan func() (done func())) {
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

// sample scans the descriptors of a process that cannot be traced. The scan is repeated until
// the process is gone.
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
			if err == nil && len(fds) > 0 { // a zombie has no descriptors
				o.evidence.Sample = fds
			}
			s.SampleDone(time.Now())
			l.schedule(s.Next)
		}
	})
}

// pollProc reads the state of a process that the loop neither traces nor reaps. It finds out
// whether the process ended, whether it executed a program after the loop detached from it, and
// whether it is reaped after its end was reported. Until then the process stays in the list, so
// that the last scan of its parent does not find it again.
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
