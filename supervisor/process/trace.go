package process

import (
	"golang.org/x/sys/unix"

	"tp0/supervisor/process/proof"
	"tp0/supervisor/process/ptrace"
	"tp0/supervisor/procfs"
)

// handlePtraceStop handles a ptrace stop of a thread: it translates the stop to an event of the
// state machine. Package proof decides what is done about it.
// h is the trace helper that reported the stop; nil if the loop's thread traces.
func (l *Loop) handlePtraceStop(h *traceHelper, s ptraceStop) {
	o := l.tids[s.tid]
	if o == nil {
		if o = l.adoptThread(h, s.tid); o == nil {
			h.request(unix.PTRACE_DETACH, s.tid, 0)
			return
		}
	}
	if o.helper != h {
		return // a report about a process that the helper does not trace
	}
	e, sig := l.stopEvent(o, s)
	l.handleEvent(o, e, stopCause{tid: s.tid, sig: sig})
}

// ptraceStop is a ptrace stop of a thread.
type ptraceStop struct {
	tid          int
	status       unix.WaitStatus
	message      uintptr // PTRACE_GETEVENTMSG, if hasMessage is set
	hasMessage   bool
	entersExecve bool // of a syscall stop
}

// localStop returns a stop of a thread that the loop's thread traces.
func localStop(tid int, status unix.WaitStatus) ptraceStop {
	s := ptraceStop{tid: tid, status: status}
	if int(status>>16)&0xff != 0 {
		message, err := ptrace.Message(tid)
		s.message, s.hasMessage = message, err == nil
	}
	s.entersExecve = status.StopSignal() == syscallStop && ptrace.EntersExecve(tid)
	return s
}

// syscallStop is the signal of a syscall stop (PTRACE_O_TRACESYSGOOD).
const syscallStop = unix.SIGTRAP | 0x80

// stopEvent returns the event of a ptrace stop, and records the facts of the stop. The signal, if
// there is one, is to be delivered to the thread.
func (l *Loop) stopEvent(o *observed, s ptraceStop) (proof.Event, unix.Signal) {
	what, sig := int(s.status>>16)&0xff, s.status.StopSignal()
	switch what {
	case unix.PTRACE_EVENT_EXIT:
		return l.recordExit(o, s), 0
	case unix.PTRACE_EVENT_EXEC:
		l.recordExecve(o, s)
		return proof.Executed, 0
	case unix.PTRACE_EVENT_FORK, unix.PTRACE_EVENT_VFORK, unix.PTRACE_EVENT_CLONE:
		l.recordFork(o, s)
		return proof.ThreadStop, 0
	case ptrace.EventStop:
		if sig == unix.SIGSTOP || sig == unix.SIGTSTP || sig == unix.SIGTTIN ||
			sig == unix.SIGTTOU {
			return proof.GroupStop, 0
		}
		return proof.EventStop, 0
	case 0:
		if sig != syscallStop {
			return proof.ThreadStop, sig
		}
		return o.machine.CountSyscall(o.machine.State.IsSyscallTraced() && s.entersExecve), 0
	}
	return proof.ThreadStop, 0
}

// adoptThread finds the process of a thread that stops for the first time: an observed process
// with a new thread, a process that an observed process forked, or a thread that got the pid in
// execve(2). It returns nil if the thread is not to be traced.
func (l *Loop) adoptThread(h *traceHelper, tid int) *observed {
	if o := l.observations[tid]; o != nil && !o.inState(proof.Reported) {
		return l.newThread(h, o, tid)
	}
	s, err := procfs.ReadStatus(tid)
	if err != nil {
		return nil
	}
	if o := l.observations[s.Tgid]; o != nil && !o.inState(proof.Reported) {
		return l.newThread(h, o, tid)
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
	return l.observeForked(h, tid, parent)
}

// newThread records a new thread of an observed process, and returns the process. It returns nil if
// other threads of it have another tracer.
func (l *Loop) newThread(h *traceHelper, o *observed, tid int) *observed {
	if o.helper != h && len(o.traced) > 0 {
		return nil
	}
	o.helper = h
	l.addTracee(o, tid)
	l.handleEvent(o, proof.NewThread, stopCause{tid: tid})
	return o
}

// recordFork records the parent of a forked process until its first ptrace stop: the parent may
// be gone by then.
func (l *Loop) recordFork(o *observed, s ptraceStop) {
	if pid := int(s.message); s.hasMessage && l.tids[pid] == nil {
		l.forkParents[pid] = o
	}
}

// recordExit records the status of a thread in its exit stop, and returns the event.
func (l *Loop) recordExit(o *observed, s ptraceStop) proof.Event {
	if s.hasMessage {
		status := unix.WaitStatus(s.message)
		o.status = &status
	}
	if o.primary == 0 {
		o.primary = s.tid
	}
	if s.tid == o.primary {
		return proof.PrimaryExit
	}
	return proof.SiblingExit
}

// recordExecve records that a thread executed a program: its tid is the pid now, and it is the
// only thread.
func (l *Loop) recordExecve(o *observed, s ptraceStop) {
	if former := int(s.message); s.hasMessage && former != s.tid {
		l.removeTracee(former)
	}
	o.evidence.Executed, o.primary, o.exiting = true, s.tid, nil
}

// performAction performs an action of the state machine of a process.
func (l *Loop) performAction(o *observed, a proof.Action, c stopCause) {
	switch a {
	case proof.Continue:
		o.helper.request(unix.PTRACE_CONT, c.tid, uintptr(c.sig))
	case proof.ContinueToSyscall:
		o.helper.request(unix.PTRACE_SYSCALL, c.tid, uintptr(c.sig))
	case proof.Listen:
		l.listenInGroupStop(o, c.tid)
	case proof.DetachExiting:
		o.exiting = append(o.exiting, c.tid)
		l.detach(o, c.tid, 0)
	case proof.Detach:
		l.detach(o, c.tid, c.sig)
	case proof.SetOptions:
		l.setOptions(o, c.tid)
	case proof.InterruptThreads:
		for _, tid := range o.traced {
			o.helper.request(unix.PTRACE_INTERRUPT, tid, 0)
		}
	case proof.ChangePrimary:
		l.changePrimary(o, c.scan.Survivor)
	case proof.Seize:
		if e, known := l.tryAttach(o); known {
			l.handleEvent(o, e, stopCause{})
		}
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
	o.helper.request(unix.PTRACE_LISTEN, tid, 0)
	c := o.owner
	if c == nil || c.phase.MainEnded() || c.stop.delivery.State.Waits() {
		return // the pending signal is sent first
	}
	l.continueOnce(c) // for a descendant too: its parent may wait for it
}
