package process

import (
	"slices"
	"time"

	"tp0/supervisor/event"
	"tp0/supervisor/fdledger"
	"tp0/supervisor/process/proof"
	"tp0/supervisor/procfs"
)

// ended takes in that a process is dead, or will be as soon as its thread may go.
// Threads of it that are traced still tell of their own ends.
func (l *Loop) ended(w *watched) {
	l.feed(w, proof.End, cause{})
	l.finish(w)
}

// finish goes on with a process that ended, once no scan of it is under way. The
// end of a run's own process is reported as that of the run.
func (l *Loop) finish(w *watched) {
	if w.own() {
		l.settle(w.run)
		return
	}
	l.concluded(w)
}

// concluded reports whether the result of a process that ended is there; else
// finish is called again when a scan is done. Where the time for scans is over,
// none is waited for.
func (l *Loop) concluded(w *watched) bool {
	switch {
	case l.hurried():
		l.hurryWatched(w)
	case w.scans == 0:
		l.feed(w, proof.ScansDone, cause{})
	}
	return w.is(proof.Reported)
}

// judge makes the result of a process, and asks who else holds what it leaked.
func (l *Loop) judge(w *watched) {
	v, ok := w.machine.Data.(*proof.EndData)
	if !ok {
		return
	}
	if w.own() {
		w.evidence.Inherited = slices.Concat(w.run.sockets, l.handedOn())
		w.evidence.ScanLate = w.run.stop.late
	}
	w.evidence.InheritedPending = w.unseen > 0
	v.Result = proof.Judge(v.From, w.evidence)
	w.evidence = proof.Evidence{} // it is worth nothing more
	if len(v.Result.After) <= mostHeld && leaks(v.Result) && !l.hurried() {
		l.askHolders(w)
		return
	}
	l.feed(w, proof.HoldersFound, cause{})
}

// mostHeld is the number of descriptors up to which it is searched who else holds what a process
// leaked. To compare more takes the loop longer than it may be away.
const mostHeld = 4096

// leaks reports whether a process left anything that counts. Most that end well
// do not.
func leaks(r proof.Result) bool {
	if !slices.ContainsFunc(r.After, func(f procfs.FD) bool { return !f.IsStandard() }) {
		return false
	}
	_, _, left := fdledger.Judge(r.Before, r.After, r.Inherited, r.Runtime)
	return left > 0
}

// result is what is known of the descriptors of a process that ended.
func (w *watched) result() FDResult {
	if v, ok := w.machine.Data.(*proof.EndData); ok {
		return v.Result
	}
	return FDResult{Proof: event.ProofNone}
}

// reportEnd tells of the end of a process below a run, or of an orphan.
func (l *Loop) reportEnd(w *watched) {
	if w.own() {
		return // settle does
	}
	e := DescendantEnded{
		Pid: w.pid, Parent: w.parent, Command: w.comm, InStop: w.inStop, Threads: w.threads,
		Lifetime: time.Since(w.since), FDs: w.result(),
	}
	if w.run != nil {
		e.Child = w.run.name
	}
	if w.status != nil {
		e.Exit, e.Seen = exitOf(*w.status), true
	}
	l.report(e)
}
