package process

import (
	"slices"

	"golang.org/x/sys/unix"

	"tp0/supervisor/process/proof"
	"tp0/supervisor/process/ptrace"
)

// The exit stop makes the final fd scan exact. A thread that is traced with PTRACE_O_TRACEEXIT
// stops in its exit before its descriptors are closed (ptrace(2), PTRACE_EVENT_EXIT). The loop
// leaves it there until its siblings are gone, so that no thread can change the table. Then the
// table is scanned and the loop detaches; the status arrives as usual. The threads share the table,
// so one thread in its exit stop is enough. It is the main thread, or another one if the main
// thread has ended. It is called the primary thread.
//
// The sibling threads are traced so that no fork is missed: a process that is forked during the
// stop is traced from its first instruction (PTRACE_O_TRACEFORK). Siblings have no exit stop.
//
// Nothing is traced before a stop starts, unless the child asks for it. The loop never sets
// PTRACE_O_EXITKILL: if the supervisor dies, the kernel detaches, and the processes end as they
// would have without it.
//
// spawnOptions are for a process that is traced from its spawn on. Its threads are traced; what
// it forks is not traced before its stop.
const spawnOptions = unix.PTRACE_O_TRACEEXIT | unix.PTRACE_O_TRACEEXEC | unix.PTRACE_O_TRACECLONE

// addTracee records that a thread is traced.
func (l *Loop) addTracee(o *observed, tid int) {
	l.tids[tid] = o
	delete(l.forkParents, tid)
	o.traced = append(o.traced, tid)
	// The tid may be used again.
	o.exiting = slices.DeleteFunc(o.exiting, func(t int) bool { return t == tid })
	if o.primary == 0 {
		o.primary = tid
	}
}

// removeTracee records that a thread is no longer traced.
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

// detach detaches from a stopped thread, which continues with a signal, or without one if sig
// is 0.
func (l *Loop) detach(o *observed, tid int, sig unix.Signal) {
	l.removeTracee(tid)
	o.helper.request(unix.PTRACE_DETACH, tid, uintptr(sig))
}

// setOptions gives a stopped thread its options. It may have become the primary thread, or may
// have the options of the thread that created it, or those from before the stop.
func (l *Loop) setOptions(o *observed, tid int) {
	options := uintptr(ptrace.SiblingOptions)
	if tid == o.primary {
		options = ptrace.PrimaryOptions
	}
	if o.isMain() && !o.owner.stop.started() {
		options = spawnOptions
	}
	o.helper.request(unix.PTRACE_SETOPTIONS, tid, options)
}

// changePrimary makes another thread the primary thread, after the primary thread ended alone.
// The interrupt stops the thread, and then it gets its new options.
func (l *Loop) changePrimary(o *observed, survivor int) {
	if l.tids[survivor] != o {
		return // it was created while seize ran
	}
	o.primary = survivor
	o.helper.request(unix.PTRACE_INTERRUPT, survivor, 0)
}
