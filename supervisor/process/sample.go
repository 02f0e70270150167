package process

import (
	"time"

	"tp0/supervisor/process/proof"
	"tp0/supervisor/procfs"
)

// sample scans the descriptors of a process that cannot be traced, again and
// again until it is gone.
func (l *Loop) sample(w *watched) {
	s, ok := w.machine.Data.(*proof.SampleData)
	if !ok {
		return
	}
	s.StartSample()
	now := time.Now()
	h := newHalt(now.Add(l.budget.SignalDelay(now)), spareFDs)
	l.job(w, func() func() {
		fds, err := l.table(w.pid, procfs.LiveThread(w.pid), h)
		l.resolve(w.pid, fds, fresh(), h)
		return func() {
			if err == nil && len(fds) > 0 { // a zombie's table is empty
				w.evidence.Sample = fds
			}
			s.SampleDone(time.Now())
			l.soon(s.Next)
		}
	})
}
