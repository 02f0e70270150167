package process

import (
	"golang.org/x/sys/unix"

	"tp0/supervisor/process/proof"
	"tp0/supervisor/procfs"
)

// handlePtraceStop handles a ptrace stop of a thread: it translates the stop to an event of the
// state machine. Package proof decides what is done about it.
func (l *Loop) handlePtraceStop(tid int, status unix.WaitStatus) {
	o := l.tids[tid]
	if o == nil {
		if o = l.adoptThread(tid); o == nil {
			_ = ptrace(unix.PTRACE_DETACH, tid, 0, 0)
			return
		}
	}
	e, sig := l.stopEvent(o, tid, status)
	l.handleEvent(o, e, stopCause{tid: tid, sig: sig})
}

// stopEvent returns the event of a ptrace stop, and records the facts of the stop. The signal, if
// there is one, is to be delivered to the thread.
func (l *Loop) stopEvent(o *observed, tid int, status unix.WaitStatus) (proof.Event, unix.Signal) {
	const systemCall = unix.SIGTRAP | 0x80 // PTRACE_O_TRACESYSGOOD
	what, sig := int(status>>16)&0xff, status.StopSignal()
	switch what {
	case unix.PTRACE_EVENT_EXIT:
		return l.recordExit(o, tid), 0
	case unix.PTRACE_EVENT_EXEC:
		l.recordExecve(o, tid)
		return proof.Executed, 0
	case unix.PTRACE_EVENT_FORK, unix.PTRACE_EVENT_VFORK, unix.PTRACE_EVENT_CLONE:
		l.recordFork(o, tid)
		return proof.ThreadStop, 0
	case eventStop:
		if sig == unix.SIGSTOP || sig == unix.SIGTSTP || sig == unix.SIGTTIN ||
			sig == unix.SIGTTOU {
			return proof.GroupStop, 0
		}
		return proof.EventStop, 0
	case 0:
		if sig != systemCall {
			return proof.ThreadStop, sig
		}
		return o.machine.CountSyscall(o.machine.State.IsSyscallTraced() && entersExecve(tid)), 0
	}
	return proof.ThreadStop, 0
}

// adoptThread finds the process of a thread that stops for the first time: an observed process
// with a new thread, a process that an observed process forked, or a thread that got the pid in
// execve(2). It returns nil if the thread is not to be traced.
func (l *Loop) adoptThread(tid int) *observed {
	if o := l.observations[tid]; o != nil && !o.inState(proof.Reported) {
		l.newThread(o, tid)
		return o
	}
	s, err := procfs.ReadStatus(tid)
	if err != nil {
		return nil
	}
	if o := l.observations[s.Tgid]; o != nil && !o.inState(proof.Reported) {
		l.newThread(o, tid)
		return o
	}
	if s.Tgid != tid {
		return nil
	}
	parent := l.forkParents[tid]
	if parent == nil {
		parent = l.observations[s.PPid]
	}
	if parent != nil && !l.mayTrace(parent.owner, tid) {
		delete(l.forkParents, tid)
		return nil // the loop detaches from its thread
	}
	return l.observeForked(tid, parent)
}

// newThread records a new thread of an observed process.
func (l *Loop) newThread(o *observed, tid int) {
	l.addTracee(o, tid)
	l.handleEvent(o, proof.NewThread, stopCause{tid: tid})
}

// recordFork records the parent of a forked process until its first ptrace stop: the parent may
// be gone by then.
func (l *Loop) recordFork(o *observed, tid int) {
	var pid uintptr
	if err := ptraceMessage(tid, &pid); err == nil && l.tids[int(pid)] == nil {
		l.forkParents[int(pid)] = o
	}
}

// recordExit records the status of a thread in its exit stop, and returns the event.
func (l *Loop) recordExit(o *observed, tid int) proof.Event {
	var status uintptr
	if err := ptraceMessage(tid, &status); err == nil {
		s := unix.WaitStatus(status)
		o.status = &s
	}
	if o.primary == 0 {
		o.primary = tid
	}
	if tid == o.primary {
		return proof.PrimaryExit
	}
	return proof.SiblingExit
}

// recordExecve records that a thread executed a program: its tid is the pid now, and it is the
// only thread.
func (l *Loop) recordExecve(o *observed, tid int) {
	var former uintptr
	if err := ptraceMessage(tid, &former); err == nil && int(former) != tid {
		l.removeTracee(int(former))
	}
	o.evidence.Executed, o.primary, o.exiting = true, tid, nil
}

// performAction performs an action of the state machine of a process.
func (l *Loop) performAction(o *observed, a proof.Action, c stopCause) {
	switch a {
	case proof.Continue:
		_ = ptrace(unix.PTRACE_CONT, c.tid, 0, uintptr(c.sig))
	case proof.ContinueToSyscall:
		_ = ptrace(unix.PTRACE_SYSCALL, c.tid, 0, uintptr(c.sig))
	case proof.Listen:
		l.listenInGroupStop(o, c.tid)
	case proof.DetachExiting:
		o.exiting = append(o.exiting, c.tid)
		l.detach(c.tid, 0)
	case proof.Detach:
		l.detach(c.tid, c.sig)
	case proof.SetOptions:
		l.setOptions(o, c.tid)
	case proof.InterruptThreads:
		for _, tid := range o.traced {
			_ = ptrace(unix.PTRACE_INTERRUPT, tid, 0, 0)
		}
	case proof.ChangePrimary:
		l.changePrimary(o, c.scan.Survivor)
	case proof.Seize:
		l.handleEvent(o, l.tryAttach(o), stopCause{})
	case proof.ScanAtFirstStop:
		l.scanInherited(o)
	case proof.ScanAtExit:
		l.scanAtExit(o)
	case proof.ScanChildren:
		l.scanChildren(o, c.scan)
	case proof.ScheduleScan:
		l.scheduleScan(o)
	case proof.Sample:
		l.sample(o)
	case proof.Poll:
		l.pollProc(o)
	case proof.JudgeEvidence:
		l.judge(o)
	case proof.Report:
		l.reportEnd(o)
	case proof.Forget:
		if l.observations[o.pid] == o {
			delete(l.observations, o.pid)
		}
	}
}

// listenInGroupStop leaves a thread in its group stop until SIGCONT arrives.
func (l *Loop) listenInGroupStop(o *observed, tid int) {
	_ = ptrace(unix.PTRACE_LISTEN, tid, 0, 0)
	c := o.owner
	if c == nil || c.phase.MainEnded() || c.stop.delivery.State.Waits() {
		return // the pending signal is sent first
	}
	l.continueOnce(c) // for a descendant too: its parent may wait for it
}
