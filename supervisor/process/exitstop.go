package process

import (
	"time"

	"tp0/supervisor/process/proof"
	"tp0/supervisor/process/ptrace"
	"tp0/supervisor/procfs"
)

// scanAtExit scans the siblings of a thread in its exit stop. When they are gone or the time is
// over, it scans the descriptors and the children as well. An early scan of the descriptors has
// value if a sibling survives. Sockets exist until the thread has exited, and most are known
// from the scan before the signal.
func (l *Loop) scanAtExit(o *observed) {
	x, ok := o.machine.Data.(*proof.ExitStopData)
	if !ok {
		return
	}
	final, glimpse := x.StartScan(time.Now())
	o.evidence.SiblingWait, o.evidence.ScanTime = x.Limits()
	limit := newScanLimit(x.ScanDeadline(), 0)
	o.exitScanLimit = limit
	exiting := append([]int{x.Thread}, o.exiting...)
	before, executed := o.evidence.Before, o.evidence.Executed
	others := l.othersInTree(o)
	l.scan(o, func() func() {
		v := exitScan{final: final}
		v.Alive, v.Survivor = procfs.LiveSiblings(o.pid, exiting)
		v.InExecve = v.Survivor != 0 && procfs.BlockedInExecve(o.pid, v.Survivor)
		ends := v.Alive == 0 || final
		if ends || glimpse {
			v.fds, v.err = l.readFDs(o.pid, x.Thread, limit)
			procfs.ResolveKnown(v.fds, before)
			l.resolve(o.pid, v.fds, time.Now(), limit)
		}
		if ends {
			v.children = procfs.Children(o.pid)
			v.sockets = sharedSockets(v.fds, others)
			if executed {
				v.runtime = l.runtimeOf(o.pid)
			}
			if !o.isMain() {
				s, _ := procfs.ReadStat(o.pid)
				v.comm = s.Comm
			}
		}
		return func() { l.scannedAtExit(o, x, v) }
	})
}

// scannedAtExit handles the result of a scan in an exit stop.
func (l *Loop) scannedAtExit(o *observed, x *proof.ExitStopData, v exitScan) {
	if o.machine.Data != proof.StateData(x) {
		return // the exit stop is over
	}
	if !o.isStopped(x.Thread) {
		l.handleEvent(o, proof.StoppedThreadGone, stopCause{tid: x.Thread})
		return
	}
	if o.threadsAtEnd == 0 {
		o.threadsAtEnd = 1 + v.Alive
	}
	e := x.ScanDone(v.Siblings, v.final)
	switch e {
	case proof.FinalScan:
		o.recordFinalScan(v)
	case proof.SiblingSurvives:
		o.evidence.AtThreadExit = v.fds
	}
	l.handleEvent(o, e, stopCause{tid: x.Thread, scan: &v})
	if e == proof.FinalScan && !o.isMain() { // its parent reaps it
		l.observedEnded(o)
	}
}

// isStopped reports whether a traced thread is in a ptrace stop. Only a stopped thread has a
// message. Of a thread that a trace helper traces, /proc tells it.
func (o *observed) isStopped(tid int) bool {
	if o.helper == nil {
		_, err := ptrace.Message(tid)
		return err == nil
	}
	s, err := procfs.ReadThread(o.pid, tid)
	return err == nil && s.Traced()
}

// recordFinalScan records what a process had open in its exit stop.
func (o *observed) recordFinalScan(v exitScan) {
	e := &o.evidence
	e.Final, e.Sockets, e.Alive = v.fds, v.sockets, v.Alive
	o.sockets.add(v.fds)
	if v.err != nil {
		e.Err = v.err
	}
	if v.comm != "" {
		o.comm = v.comm
	}
	if e.Executed {
		e.Runtime = v.runtime
	}
}

// scheduleScan schedules the next scan in an exit stop.
func (l *Loop) scheduleScan(o *observed) {
	if x, ok := o.machine.Data.(*proof.ExitStopData); ok {
		x.ScheduleScan(time.Now())
		at, _ := x.Timer()
		l.schedule(at)
	}
}

// scanChildren starts to observe the children of a process that exits. They get another parent
// when its thread continues.
func (l *Loop) scanChildren(o *observed, v *exitScan) {
	for _, pid := range v.children {
		if child := l.observeDescendant(o, pid); child != nil {
			l.scanDescendant(child, v.fds, func() {})
		}
	}
}
