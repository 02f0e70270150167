package process

import (
	"tp0/supervisor/ledger"
	"tp0/supervisor/procfs"
)

// job runs a scan beside the loop: reading a table takes longer than anything
// that the loop does itself. Scans are bounded by the number of processes.
func (l *Loop) job(w *watched, scan func() (done func())) {
	if !l.atOnce(w) {
		l.beside(w, scan)
		return
	}
	w.scans++
	done := scan()
	l.lookers.leave()
	w.scans--
	done()
	l.finish(w)
}

// beside runs a scan beside the loop, however short it may be.
func (l *Loop) beside(w *watched, scan func() (done func())) {
	w.scans++
	l.lookers.do(func() {
		done := scan()
		l.cmds.Put(func() {
			w.scans--
			done()
			l.finish(w)
		})
	})
}

// runtime says what the program of a process is built on.
func (l *Loop) runtime(pid int) (r ledger.Runtime) {
	_ = readAs(pid, func() (err error) {
		r, err = l.runtimes.Of(pid)
		return err
	})
	return r
}

// table reads a table of descriptors; torn ones are read again, a few times:
// only a process that opens and closes all the time tears each.
func (l *Loop) table(pid, tid int) (fds []procfs.FD, err error) {
	err = readAs(pid, func() (err error) {
		for range 3 {
			if fds, err = procfs.Table(pid, tid); err != procfs.ErrTorn {
				return err
			}
		}
		return nil
	})
	return fds, err
}
