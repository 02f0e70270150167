package proof

type transition struct {
	to State
	do []Action
}

type row map[Event]transition

func to(s State, do ...Action) transition { return transition{s, do} }

// table is the state machine. An event without a row in a state changes nothing, because it is
// stale: the result of a scan that timed out, or a timer that fired late. A ptrace stop without a
// row has its thread detached, so that no thread stays stopped.
//
// The reasons of some rows:
//
//   - Seizing lasts for a system call, or until a trace helper answers (package tracehelper).
//   - A process is seized once: in Found, or after its execve in DetachedForExec. PTRACE_SEIZE
//     waits for a thread in execve, and execve waits for siblings that are in a ptrace stop.
//   - Only the primary thread has an exit stop. If a sibling continues to run, the primary thread
//     is detached and the sibling becomes the primary thread. A sibling in execve waits for the
//     thread in the exit stop.
//   - A process that is syscall-traced stays so through a group stop and an exit stop.
//   - After ScanTimeout no later exit of the process is delayed. A second delay would take another
//     second and prove nothing.
//   - The final scan lists the children before the thread is detached. Afterwards they have
//     another parent.
var table = map[State]row{
	Found: {
		Forked:     to(FirstStop),
		Seized:     to(Traced), // traced since its spawn
		Attach:     to(Seizing, Seize),
		SampleOnly: to(Sampling),
		End:        to(Ended),
	},
	Seizing: {
		Seized:        to(Traced),
		Refused:       to(Untraceable),
		Gone:          to(Untraceable),
		AlreadyTraced: to(Forgotten, Forget),
		End:           to(Ended), // while a trace helper seizes it
	},
	FirstStop: {
		EventStop:           to(FirstStop, SetOptions, ScanAtFirstStop),
		KeepsPrivileges:     to(Traced, Continue),
		CouldGainPrivileges: to(SyscallTraced, ContinueToSyscall),
		ThreadStop:          to(FirstStop, ContinueToSyscall), // no such stop is known
		SystemCall:          to(FirstStop, ContinueToSyscall),
		Executed:            to(FirstStop, SetOptions, ContinueToSyscall),
		GroupStop:           to(FirstStop, Listen),
		PrimaryExit:         to(ExitStop, ScanAtExit), // it was killed
		SiblingExit:         to(FirstStop, DetachExiting),
		ThreadsGone:         to(TraceLost),
		End:                 to(Ended),
	},
	Traced: {
		ThreadStop:  to(Traced, Continue),
		SystemCall:  to(Traced, Continue), // left over from before KeepsPrivileges
		Executed:    to(Traced, SetOptions, Continue),
		EventStop:   to(Traced, SetOptions, Continue),
		GroupStop:   to(TracedStopped, Listen),
		PrimaryExit: to(ExitStop, ScanAtExit),
		SiblingExit: to(Traced, DetachExiting),
		StopStarted: to(Traced, InterruptThreads),
		ThreadsGone: to(TraceLost),
		DetachDue:   to(Detaching, InterruptThreads),
		End:         to(Ended),
	},
	TracedStopped: {
		ThreadStop:  to(TracedStopped, Continue),
		SystemCall:  to(TracedStopped, Continue),
		Executed:    to(Traced, SetOptions, Continue),
		EventStop:   to(Traced, SetOptions, Continue),
		GroupStop:   to(TracedStopped, Listen),
		PrimaryExit: to(ExitStop, ScanAtExit),
		SiblingExit: to(TracedStopped, DetachExiting),
		StopStarted: to(TracedStopped, InterruptThreads),
		ThreadsGone: to(TraceLost),
		DetachDue:   to(Detaching, InterruptThreads),
		End:         to(Ended),
	},
	ExitStop: {
		ThreadStop:        to(ExitStop, Continue),
		SystemCall:        to(ExitStop, Continue),
		Executed:          to(Traced, SetOptions, Continue),
		EventStop:         to(ExitStop, SetOptions, Continue),
		GroupStop:         to(ExitStop, Listen),
		PrimaryExit:       to(ExitStop, DetachExiting),
		SiblingExit:       to(ExitStop, DetachExiting),
		StopStarted:       to(ExitStop, InterruptThreads),
		ScanDue:           to(ExitStop, ScanAtExit),
		SiblingsAlive:     to(ExitStop, ScheduleScan),
		SiblingSurvives:   to(Traced, DetachExiting, ChangePrimary),
		FinalScan:         to(Scanned, ScanChildren, DetachExiting),
		StoppedThreadGone: to(Traced, DetachExiting),
		ScanTimeout:       to(ScanMissed, DetachExiting),
		BudgetSpent:       to(ScanMissed, DetachExiting),
		ThreadsGone:       to(TraceLost),
		End:               to(Ended),
	},
	SyscallTraced: {
		ThreadStop:      to(SyscallTraced, ContinueToSyscall),
		SystemCall:      to(SyscallTraced, ContinueToSyscall),
		Execve:          to(SyscallTraced, Detach),
		Executed:        to(SyscallTraced, SetOptions, ContinueToSyscall),
		EventStop:       to(SyscallTraced, SetOptions, ContinueToSyscall),
		GroupStop:       to(SyscallTracedStopped, Listen),
		PrimaryExit:     to(SyscallTracedExitStop, ScanAtExit),
		SiblingExit:     to(SyscallTraced, DetachExiting),
		KeepsPrivileges: to(Traced),
		ThreadsGone:     to(DetachedForExec),
		DetachDue:       to(Detaching, InterruptThreads),
		End:             to(Ended),
	},
	SyscallTracedStopped: {
		ThreadStop:      to(SyscallTracedStopped, ContinueToSyscall),
		SystemCall:      to(SyscallTracedStopped, ContinueToSyscall),
		Execve:          to(SyscallTracedStopped, Detach),
		Executed:        to(SyscallTraced, SetOptions, ContinueToSyscall),
		EventStop:       to(SyscallTraced, SetOptions, ContinueToSyscall),
		GroupStop:       to(SyscallTracedStopped, Listen),
		PrimaryExit:     to(SyscallTracedExitStop, ScanAtExit),
		SiblingExit:     to(SyscallTracedStopped, DetachExiting),
		KeepsPrivileges: to(TracedStopped),
		ThreadsGone:     to(DetachedForExec),
		DetachDue:       to(Detaching, InterruptThreads),
		End:             to(Ended),
	},
	SyscallTracedExitStop: {
		ThreadStop:        to(SyscallTracedExitStop, ContinueToSyscall),
		SystemCall:        to(SyscallTracedExitStop, ContinueToSyscall),
		Execve:            to(SyscallTracedExitStop, Detach),
		Executed:          to(SyscallTraced, SetOptions, ContinueToSyscall),
		EventStop:         to(SyscallTracedExitStop, SetOptions, ContinueToSyscall),
		GroupStop:         to(SyscallTracedExitStop, Listen),
		PrimaryExit:       to(SyscallTracedExitStop, DetachExiting),
		SiblingExit:       to(SyscallTracedExitStop, DetachExiting),
		KeepsPrivileges:   to(ExitStop),
		ScanDue:           to(SyscallTracedExitStop, ScanAtExit),
		SiblingsAlive:     to(SyscallTracedExitStop, ScheduleScan),
		SiblingSurvives:   to(SyscallTraced, DetachExiting, ChangePrimary),
		FinalScan:         to(Scanned, ScanChildren, DetachExiting),
		StoppedThreadGone: to(SyscallTraced, DetachExiting),
		ScanTimeout:       to(ScanMissed, DetachExiting),
		BudgetSpent:       to(ScanMissed, DetachExiting),
		ThreadsGone:       to(TraceLost),
		End:               to(Ended),
	},
	DetachedForExec: {
		PollDue:   to(DetachedForExec, Poll),
		ExecSeen:  to(Seizing, Seize),
		NewThread: to(SyscallTraced),
		DetachDue: to(Detaching, InterruptThreads),
		End:       to(Ended),
	},
	TraceLost: {
		PollDue:    to(TraceLost, Poll),
		NewThread:  to(Traced),
		SampleOnly: to(Sampling), // its trace helper ended
		DetachDue:  to(Detaching, InterruptThreads),
		End:        to(Ended),
	},
	Untraceable: {
		PollDue:    to(Untraceable, Poll),
		SampleOnly: to(Sampling),
		DetachDue:  to(Detaching, InterruptThreads),
		End:        to(Ended),
	},
	Sampling: {
		SampleDue: to(Sampling, Sample),
		End:       to(Ended),
	},
	ScanMissed: {
		PollDue:   to(ScanMissed, Poll),
		DetachDue: to(Detaching, InterruptThreads),
		End:       to(Ended),
	},
	Scanned: {
		End: to(Ended),
	},
	Detaching: {
		ThreadsGone: to(Forgotten, Forget),
		End:         to(Forgotten, Forget),
	},
	Ended: {
		ScansDone:   to(Judged, JudgeEvidence),
		BudgetSpent: to(Judged, JudgeEvidence),
	},
	Judged: {
		HoldersFound: to(Reported, Report),
		BudgetSpent:  to(Reported, Report),
	},
	Reported: {
		PollDue: to(Reported, Poll),
		Reaped:  to(Forgotten, Forget),
	},
	Forgotten: {},
}

// detach is the reaction to a ptrace stop in a state without a row for it.
var detach = []Action{Detach}

// Next returns the state after an event and the actions for it, in order.
func Next(s State, e Event) (State, []Action) {
	if t, ok := table[s][e]; ok {
		return t.to, t.do
	}
	if e.IsPtraceStop() {
		return s, detach
	}
	return s, nil
}

// Handles reports whether the event has a meaning in the state.
func (s State) Handles(e Event) bool {
	_, ok := table[s][e]
	return ok || e.IsPtraceStop()
}
