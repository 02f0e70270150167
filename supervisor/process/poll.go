package process

import (
	"time"

	"tp0/supervisor/process/proof"
	"tp0/supervisor/procfs"
)

// poll asks /proc about a process that is not traced, and whose status is not
// ours to collect: whether it ended, whether it executed the program that it was
// let go of for, and, once its end is reported, whether it is reaped. Until then
// it stays in the list, so that its parent's last scan does not find it anew.
func (l *Loop) poll(w *watched) {
	s, err := procfs.ReadStat(w.pid)
	switch {
	case w.is(proof.Reported):
		if err != nil {
			l.feed(w, proof.Reaped, cause{})
		}
	case err != nil || s.Dead() && procfs.IsGone(w.pid):
		l.ended(w)
	case w.is(proof.DetachedForExec) && s.Executed():
		w.comm = s.Comm
		l.feed(w, proof.ExecSeen, cause{})
	}
	w.machine.SchedulePoll(time.Now())
}
