package process

import (
	"slices"

	"golang.org/x/sys/unix"

	"tp0/supervisor/process/proof"
)

// tracees are the threads of a process that we trace.
type tracees struct {
	traced  []int
	anchor  int   // the one that is held in its exit stop; 0: none
	exiting []int // that were let go in their exit: they touch no descriptor any more
}

// traces notes that we trace a thread.
func (l *Loop) traces(w *watched, tid int) {
	l.tids[tid] = w
	delete(l.unborn, tid)
	w.traced = append(w.traced, tid)
	// The number may be used again.
	w.exiting = slices.DeleteFunc(w.exiting, func(t int) bool { return t == tid })
	if w.anchor == 0 {
		w.anchor = tid
	}
}

// lost notes that we do not trace a thread any more.
func (l *Loop) lost(tid int) {
	w := l.tids[tid]
	if w == nil {
		return
	}
	delete(l.tids, tid)
	w.traced = slices.DeleteFunc(w.traced, func(t int) bool { return t == tid })
	if w.anchor == tid {
		w.anchor = 0
	}
	if len(w.traced) == 0 {
		l.feed(w, proof.ThreadsGone, cause{})
	}
}

// detach detaches from a stopped thread, which runs on.
func (l *Loop) detach(tid int, sig unix.Signal) {
	l.lost(tid)
	_ = ptrace(unix.PTRACE_DETACH, tid, 0, uintptr(sig))
	l.expect()
}

// setOptions gives a stopped thread the options that it needs by now. It may have
// become the anchor, or have the options of the thread that made it, or those of
// the time before the stop.
func (l *Loop) setOptions(w *watched, tid int) {
	options := uintptr(siblingOptions)
	if tid == w.anchor {
		options = anchorOptions
	}
	if w.own() && !w.run.stop.begun() {
		options = spawnOptions
	}
	_ = ptrace(unix.PTRACE_SETOPTIONS, tid, 0, options)
}

// moveAnchor makes another thread the anchor, after the anchor ended alone. The
// interrupt stops that thread, and then it gets the options of an anchor.
func (l *Loop) moveAnchor(w *watched, survivor int) {
	if l.tids[survivor] != w {
		return // it was made in the moment that seize left open
	}
	w.anchor = survivor
	_ = ptrace(unix.PTRACE_INTERRUPT, survivor, 0, 0)
}

// listen leaves a thread in its group stop until SIGCONT arrives.
func (l *Loop) listen(w *watched, tid int) {
	_ = ptrace(unix.PTRACE_LISTEN, tid, 0, 0)
	r := w.run
	if r == nil || r.phase.MainEnded() || r.stop.delivery.State.Waits() {
		return // the signal goes first
	}
	l.continueRun(r) // for a descendant too: a parent that waits for it cannot end otherwise
}
