package process

import (
	"context"
	"fmt"
	"slices"
	"time"

	"tp0/supervisor/fdledger"
	"tp0/supervisor/process/proof"
	"tp0/supervisor/procfs"
)

// judge makes the result of a process, and asks who else holds what it leaked.
func (l *Loop) judge(o *observed) {
	v, ok := o.machine.Data.(*proof.EndData)
	if !ok {
		return
	}
	if o.isMain() {
		o.evidence.Inherited = slices.Concat(o.owner.sockets, l.inheritedFDs())
		o.evidence.ScanLate = o.owner.stop.scanSkipped
	}
	o.evidence.InheritedPending = o.firstScans > 0
	v.Result = proof.Judge(v.From, o.evidence)
	o.evidence = proof.Evidence{} // it is worth nothing more
	if len(v.Result.After) <= maxHolderFDs && hasLeak(v.Result) && !l.scansGivenUp() {
		l.findHolders(o)
		return
	}
	l.handleEvent(o, proof.HoldersFound, stopCause{})
}

// maxHolderFDs is the number of descriptors up to which it is searched who else holds what a process
// leaked. To compare more takes the loop longer than it may be away.
const maxHolderFDs = 4096

// hasLeak reports whether a process left anything that counts. Most that end well
// do not.
func hasLeak(r proof.Result) bool {
	if !slices.ContainsFunc(r.After, func(f procfs.FD) bool { return !f.IsStandard() }) {
		return false
	}
	_, _, left := fdledger.Judge(r.Before, r.After, r.Inherited, r.Runtime)
	return left > 0
}

// reportEnd tells of the end of a process below a run, or of an orphan.
func (l *Loop) reportEnd(o *observed) {
	if o.isMain() {
		return // settle does
	}
	e := DescendantEnded{
		Pid: o.pid, Parent: o.parentPid, Command: o.comm, InStop: o.forkedInStop, Threads: o.threads,
		Lifetime: time.Since(o.firstSeen), FDs: o.result(),
	}
	if o.owner != nil {
		e.Child = o.owner.name
	}
	if o.status != nil {
		e.Exit, e.Seen = exitOf(*o.status), true
	}
	l.report(e)
}

// findHolders asks who else holds what a process leaked.
func (l *Loop) findHolders(o *observed) {
	o.running++
	l.holders.queue = append(l.holders.queue, o)
	if !l.holders.scanning {
		l.scanForHolders()
	}
}

func (l *Loop) scanForHolders() {
	asking := l.holders.queue
	l.holders.queue, l.holders.scanning = nil, true
	var left []procfs.FD
	var pids, ends []int // ends: where in left that of each process ends
	for _, o := range asking {
		left = append(left, o.result().After...)
		pids, ends = append(pids, o.pid), append(ends, len(left))
	}
	l.workers.goroutines.Go(func() {
		found := procfs.FindHolders(context.Background(), left, pids)
		l.commands.Put(func() {
			begin := 0
			for i, o := range asking {
				o.running--
				l.recordHolders(o, found, begin)
				begin = ends[i]
				l.finish(o)
			}
			l.holders.scanning = false
			if len(l.holders.queue) > 0 {
				l.scanForHolders()
			}
		})
	})
}

// recordHolders takes over who holds what a process leaked. In the list that was
// searched for, its fds begin at a number.
func (l *Loop) recordHolders(o *observed, found map[int]procfs.Holder, begin int) {
	v, ok := o.machine.Data.(*proof.EndData)
	if !ok || !o.inState(proof.Judged) {
		return // the time for it is over, and its end is reported
	}
	v.Result.Holders = map[int]string{}
	for i, f := range v.Result.After {
		if h, ok := found[begin+i]; ok {
			v.Result.Holders[f.Num] = fmt.Sprintf("%s (pid %d)", h.Comm, h.Pid)
		}
	}
	l.handleEvent(o, proof.HoldersFound, stopCause{})
}
