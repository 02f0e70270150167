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

// judge determines the result of a process, and searches for other processes that have its
// leaked descriptors open.
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
	o.evidence = proof.Evidence{} // to free its memory
	if len(v.Result.After) <= maxHolderFDs && hasLeak(v.Result) && !l.scansGivenUp() {
		l.findHolders(o)
		return
	}
	l.handleEvent(o, proof.HoldersFound, stopCause{})
}

// maxHolderFDs is the highest number of descriptors for which a search for holders is made. The
// comparison of more would block the loop for too long.
const maxHolderFDs = 4096

// hasLeak reports whether a process leaked a descriptor that counts. Most processes that end
// well do not.
func hasLeak(r proof.Result) bool {
	if !slices.ContainsFunc(r.After, func(f procfs.FD) bool { return !f.IsStandard() }) {
		return false
	}
	_, _, left := fdledger.Compare(r.Before, r.After, r.Inherited, r.Runtime)
	return left > 0
}

// reportEnd reports the end of a descendant or an orphan.
func (l *Loop) reportEnd(o *observed) {
	if o.isMain() {
		return // reportExit reports it
	}
	e := DescendantEnded{
		Pid: o.pid, Parent: o.parentPid, Command: o.comm, InStop: o.forkedInStop,
		Threads:  o.threads,
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

// findHolders searches for other processes that have the leaked descriptors of a process open.
func (l *Loop) findHolders(o *observed) {
	o.running++
	l.holders.queue = append(l.holders.queue, o)
	if !l.holders.scanning {
		l.scanForHolders()
	}
}

// scanForHolders starts a search for the processes in the queue.
func (l *Loop) scanForHolders() {
	asking := l.holders.queue
	l.holders.queue, l.holders.scanning = nil, true
	var left []procfs.FD
	var pids, ends []int // ends has the end of each process in left
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

// recordHolders records the holders of the leaked descriptors of a process. begin is the index
// of its first descriptor in the list that was searched for.
func (l *Loop) recordHolders(o *observed, found map[int]procfs.Holder, begin int) {
	v, ok := o.machine.Data.(*proof.EndData)
	if !ok || !o.inState(proof.Judged) {
		return // its end is reported already
	}
	v.Result.Holders = map[int]string{}
	for i, f := range v.Result.After {
		if h, ok := found[begin+i]; ok {
			v.Result.Holders[f.Num] = fmt.Sprintf("%s (pid %d)", h.Comm, h.Pid)
		}
	}
	l.handleEvent(o, proof.HoldersFound, stopCause{})
}
