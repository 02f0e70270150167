package process

import (
	"time"

	"tp0/supervisor/fdledger"
	"tp0/supervisor/process/proof"
	"tp0/supervisor/procfs"
)

// exitScan is what one scan in an exit stop saw.
type exitScan struct {
	proof.Siblings
	final    bool // the last scan, whatever it saw
	fds      []procfs.FD
	comm     string
	runtime  fdledger.Runtime
	children []int
	err      error
}

// scanAtExit scans the siblings of a held thread and, when they are gone or the
// time is over, the table and the children; for a glimpse, the table in any
// case. The sockets live until the thread has exited, and are known from the
// scan before the signal as a rule.
func (l *Loop) scanAtExit(w *watched) {
	x, ok := w.machine.Data.(*proof.ExitStopData)
	if !ok {
		return
	}
	final, glimpse := x.StartScan(time.Now())
	w.evidence.SiblingWait, w.evidence.ScanTime = x.Limits()
	h := newHalt(x.ScanDeadline(), 0)
	w.exit = h
	exiting := append([]int{x.Thread}, w.exiting...)
	before, executed := w.evidence.Before, w.evidence.Executed
	l.job(w, func() func() {
		v := exitScan{final: final}
		v.Alive, v.Survivor = procfs.LiveSiblings(w.pid, exiting)
		v.InExecve = v.Survivor != 0 && procfs.BlockedInExecve(w.pid, v.Survivor)
		ends := v.Alive == 0 || final
		if ends || glimpse {
			v.fds, v.err = l.table(w.pid, x.Thread, h)
			procfs.ResolveKnown(v.fds, before)
			l.resolve(w.pid, v.fds, time.Now(), h)
		}
		if ends {
			v.children = procfs.Children(w.pid)
			if executed {
				v.runtime = l.runtime(w.pid)
			}
			if !w.own() {
				s, _ := procfs.ReadStat(w.pid)
				v.comm = s.Comm
			}
		}
		return func() { l.scannedAtExit(w, x, v) }
	})
}

// scannedAtExit handles what a scan in an exit stop saw.
func (l *Loop) scannedAtExit(w *watched, x *proof.ExitStopData, v exitScan) {
	if w.machine.Data != proof.StateData(x) {
		return // it was given up
	}
	var message uintptr
	if ptraceMessage(x.Thread, &message) != nil { // only a thread in a stop has one
		l.feed(w, proof.HeldThreadGone, cause{tid: x.Thread})
		return
	}
	if w.threadsAtEnd == 0 {
		w.threadsAtEnd = 1 + v.Alive
	}
	e := x.ScanDone(v.Siblings, v.final)
	switch e {
	case proof.FinalScan:
		w.takeFinal(v)
	case proof.SiblingSurvives:
		w.evidence.AtThreadExit = v.fds
	}
	l.feed(w, e, cause{tid: x.Thread, scan: &v})
	if e == proof.FinalScan && !w.own() { // its parent collects its status
		l.ended(w)
	}
}

// takeFinal takes over what a process held in its exit.
func (w *watched) takeFinal(v exitScan) {
	e := &w.evidence
	e.Final, e.Alive = v.fds, v.Alive
	if v.err != nil {
		e.Err = v.err
	}
	if v.comm != "" {
		w.comm = v.comm
	}
	if e.Executed {
		e.Runtime = v.runtime
	}
}

// scheduleScan has the next scan in an exit stop follow in a moment.
func (l *Loop) scheduleScan(w *watched) {
	if x, ok := w.machine.Data.(*proof.ExitStopData); ok {
		x.ScheduleScan(time.Now())
		at, _ := x.Timer()
		l.soon(at)
	}
}

// scanChildren begins to watch what a process that exits leaves behind. They
// have another parent once its thread may go.
func (l *Loop) scanChildren(w *watched, v *exitScan) {
	for _, pid := range v.children {
		if child := l.found(w, pid); child != nil {
			l.scanFound(child, v.fds, func() {})
		}
	}
}
