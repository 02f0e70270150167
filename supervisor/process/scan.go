package process

import (
	"sync"

	"tp0/supervisor/fdledger"
	"tp0/supervisor/process/spawn"
	"tp0/supervisor/procfs"
)

// scans is what is needed to read /proc beside the loop, and what is remembered of it.
type scans struct {
	// These have locks of their own.
	lookers   *lookers
	sockets   sockets
	runtimes  fdledger.Runtimes
	executing sync.Map // pids that a scan saw in an execve without end, see execve.go

	met       map[string]bool // programs that were scanned once, see meet
	inherited []procfs.FD     // see handedOn
}

func newScans() scans { return scans{lookers: newLookers(), met: map[string]bool{}} }

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
func (l *Loop) runtime(pid int) (r fdledger.Runtime) {
	_ = readAs(pid, func() (err error) {
		r, err = l.runtimes.Of(pid)
		return err
	})
	return r
}

// handedOn lists what children inherit from whoever started us, beyond the
// standard streams.
func (l *Loop) handedOn() []procfs.FD {
	if !l.opt.Inherit || l.inherited != nil {
		return l.inherited
	}
	l.inherited = []procfs.FD{}
	if own, err := spawn.NotCloseOnExec(); err == nil { // else they count as the children's
		l.inherited = own
	}
	return l.inherited
}

// meet has a look at a program that is new to us: what it is built on takes long
// to find out and is remembered, and so is how long the sockets take.
func (l *Loop) meet(program string, pid int) {
	if l.met[program] {
		return
	}
	l.met[program] = true
	l.lookers.do(func() { l.members(pid, leastTraced, nil) })
}
