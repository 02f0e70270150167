package process

import (
	"slices"

	"golang.org/x/sys/unix"

	"tp0/supervisor/process/proof"
)

// How a process's descriptors are seen exactly. A thread that is traced with
// PTRACE_O_TRACEEXIT stops in its exit before it lets go of anything
// (ptrace(2), PTRACE_EVENT_EXIT). It is held there until its siblings are gone,
// so that nobody can change the table any more; the table is read, and the
// thread detached from; the status then comes as always. One thread is enough
// for that, since the table is shared: the main thread, or any other where the
// main one has ended. It is called the anchor.
//
// The other threads are traced so that no fork is missed: what a process forks
// in its stop is traced from its first instruction, PTRACE_O_TRACEFORK.
// They do not stop in their exit.
//
// Nothing is attached before a stop begins. We never ask for EXITKILL: if we
// die the kernel detaches, and the processes end as they would have.
//
// This file turns a ptrace stop into an event of the state machine; see package
// proof for what is done about it.
const (
	siblingOptions = unix.PTRACE_O_TRACESYSGOOD | unix.PTRACE_O_TRACEEXEC |
		unix.PTRACE_O_TRACEFORK | unix.PTRACE_O_TRACEVFORK | unix.PTRACE_O_TRACECLONE
	primaryOptions = siblingOptions | unix.PTRACE_O_TRACEEXIT
)

// spawnOptions are for a process that is traced from its spawn on: its threads
// are traced, but what it forks is not before its stop.
const spawnOptions = unix.PTRACE_O_TRACEEXIT | unix.PTRACE_O_TRACEEXEC | unix.PTRACE_O_TRACECLONE

// addTracee notes that we trace a thread.
func (l *Loop) addTracee(o *observed, tid int) {
	l.tids[tid] = o
	delete(l.forkParents, tid)
	o.traced = append(o.traced, tid)
	// The number may be used again.
	o.exiting = slices.DeleteFunc(o.exiting, func(t int) bool { return t == tid })
	if o.primary == 0 {
		o.primary = tid
	}
}

// removeTracee notes that we do not trace a thread any more.
func (l *Loop) removeTracee(tid int) {
	o := l.tids[tid]
	if o == nil {
		return
	}
	delete(l.tids, tid)
	o.traced = slices.DeleteFunc(o.traced, func(t int) bool { return t == tid })
	if o.primary == tid {
		o.primary = 0
	}
	if len(o.traced) == 0 {
		l.handleEvent(o, proof.ThreadsGone, stopCause{})
	}
}

// detach detaches from a stopped thread, which runs on.
func (l *Loop) detach(tid int, sig unix.Signal) {
	l.removeTracee(tid)
	_ = ptrace(unix.PTRACE_DETACH, tid, 0, uintptr(sig))
	l.startBusyPoll()
}

// setOptions gives a stopped thread the options that it needs by now. It may have
// become the anchor, or have the options of the thread that made it, or those of
// the time before the stop.
func (l *Loop) setOptions(o *observed, tid int) {
	options := uintptr(siblingOptions)
	if tid == o.primary {
		options = primaryOptions
	}
	if o.isMain() && !o.owner.stop.started() {
		options = spawnOptions
	}
	_ = ptrace(unix.PTRACE_SETOPTIONS, tid, 0, options)
}

// changePrimary makes another thread the anchor, after the anchor ended alone. The
// interrupt stops that thread, and then it gets the options of an anchor.
func (l *Loop) changePrimary(o *observed, survivor int) {
	if l.tids[survivor] != o {
		return // it was made in the moment that seize left open
	}
	o.primary = survivor
	_ = ptrace(unix.PTRACE_INTERRUPT, survivor, 0, 0)
}
