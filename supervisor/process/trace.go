package process

import (
	"golang.org/x/sys/unix"

	"tp0/supervisor/process/proof"
	"tp0/supervisor/procfs"
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
	anchorOptions = siblingOptions | unix.PTRACE_O_TRACEEXIT
)

// stopped handles a ptrace stop of a thread.
func (l *Loop) stopped(tid int, status unix.WaitStatus) {
	w := l.tids[tid]
	if w == nil {
		if w = l.stranger(tid); w == nil {
			_ = ptrace(unix.PTRACE_DETACH, tid, 0, 0)
			return
		}
	}
	e, sig := l.stopEvent(w, tid, status)
	l.feed(w, e, cause{tid: tid, sig: sig})
}

// stopEvent makes out what the stop of a thread is, and notes what the stop
// tells. The signal, if there is one, is on its way to the thread and is to be
// handed on.
func (l *Loop) stopEvent(w *watched, tid int, status unix.WaitStatus) (proof.Event, unix.Signal) {
	const systemCall = unix.SIGTRAP | 0x80 // PTRACE_O_TRACESYSGOOD
	what, sig := int(status>>16)&0xff, status.StopSignal()
	switch what {
	case unix.PTRACE_EVENT_EXIT:
		return l.exits(w, tid), 0
	case unix.PTRACE_EVENT_EXEC:
		l.executed(w, tid)
		return proof.Executed, 0
	case unix.PTRACE_EVENT_FORK, unix.PTRACE_EVENT_VFORK, unix.PTRACE_EVENT_CLONE:
		l.forked(w, tid)
		return proof.ThreadStop, 0
	case eventStop:
		if sig == unix.SIGSTOP || sig == unix.SIGTSTP || sig == unix.SIGTTIN || sig == unix.SIGTTOU {
			return proof.GroupStop, 0
		}
		return proof.EventStop, 0
	case 0:
		if sig != systemCall {
			return proof.ThreadStop, sig
		}
		return w.machine.CountSyscall(w.machine.State.IsSyscallTraced() && executes(tid)), 0
	}
	return proof.ThreadStop, 0
}

// stranger makes out whose thread it is that stops for the first time: a new
// one of a process that we watch, a process that one of those forked, or one
// that took the number of its main thread over in execve(2).
func (l *Loop) stranger(tid int) *watched {
	if w := l.watches[tid]; w != nil && !w.is(proof.Reported) {
		l.newThread(w, tid)
		return w
	}
	s, err := procfs.ReadStatus(tid)
	if err != nil {
		return nil
	}
	if w := l.watches[s.Tgid]; w != nil && !w.is(proof.Reported) {
		l.newThread(w, tid)
		return w
	}
	if s.Tgid != tid {
		return nil
	}
	parent := l.unborn[tid]
	if parent == nil {
		parent = l.watches[s.PPid]
	}
	if parent != nil && !l.admit(parent.run, tid) {
		delete(l.unborn, tid)
		return nil // its thread is detached from
	}
	return l.born(tid, parent)
}

func (l *Loop) newThread(w *watched, tid int) {
	l.traces(w, tid)
	l.feed(w, proof.NewThread, cause{tid: tid})
}

// forked remembers whose a process is that we will see stop for the first time:
// its parent may be gone by then.
func (l *Loop) forked(w *watched, tid int) {
	var pid uintptr
	if err := ptraceMessage(tid, &pid); err == nil && l.tids[int(pid)] == nil {
		l.unborn[int(pid)] = w
	}
}

// exits notes the status of a thread that exits, and says which one it is.
func (l *Loop) exits(w *watched, tid int) proof.Event {
	var status uintptr
	if err := ptraceMessage(tid, &status); err == nil {
		s := unix.WaitStatus(status)
		w.status = &s
	}
	if w.anchor == 0 {
		w.anchor = tid
	}
	if tid == w.anchor {
		return proof.PrimaryExit
	}
	return proof.SiblingExit
}

// executed notes that a thread runs a new program: it has its process's number
// now, and is its only thread.
func (l *Loop) executed(w *watched, tid int) {
	var former uintptr
	if err := ptraceMessage(tid, &former); err == nil && int(former) != tid {
		l.lost(int(former))
	}
	w.evidence.Executed, w.anchor, w.exiting = true, tid, nil
}
