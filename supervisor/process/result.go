package process

import (
	"cmp"
	"slices"
	"time"

	"tp0/supervisor/event"
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
		o.evidence.ScanLate = cmp.Or(o.owner.stop.scanSkipped, o.evidence.ScanLate)
	}
	o.evidence.InheritedPending = o.firstScans > 0
	v.Result = proof.Judge(v.From, o.evidence)
	o.evidence = proof.Evidence{} // to free its memory
	if v.Result.Proof == event.ProofSampled {
		o.sockets.add(v.Result.After)
	}
	if l.scansGivenUp() || !mayLeak(o.isMain(), v.Result) {
		l.handleEvent(o, proof.HoldersFound, stopCause{})
		return
	}
	l.findHolders(o)
}

// mayLeak reports whether a process can have leaked a descriptor that counts. Most processes that
// end well did not. A descendant can be the last that holds a socket which it inherited from
// another process of its tree.
func mayLeak(main bool, r proof.Result) bool {
	if len(r.After) > maxHolderFDs {
		return true
	}
	if !slices.ContainsFunc(r.After, func(f procfs.FD) bool { return !f.IsStandard() }) {
		return false
	}
	isSocket := func(f procfs.FD) bool { return f.Kind == "socket" && !f.IsStandard() }
	if !main && slices.ContainsFunc(r.After, isSocket) {
		return true
	}
	_, left := fdledger.Compare(r.Before, r.After, r.Inherited, r.Runtime, nil)
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
