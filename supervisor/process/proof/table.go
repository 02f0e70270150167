package proof

type transition struct {
	to State
	do []Action
}

type row map[Event]transition

// to is a transition.
func to(s State, do ...Action) transition { return transition{s, do} }

// table is the whole machine. An event that is not listed for a state changes
// nothing: it is stale (the result of a scan that was given up, a tick that fired
// late). A ptrace stop that is not listed for a state has its thread detached
// from: no thread stays stopped.
//
// Why some of it is as it is:
//
//   - A process is seized once, from Found or, after its execve, from Released:
//     PTRACE_SEIZE waits for a thread in execve, which waits for siblings that
//     stand in a stop of ours.
//   - Of several threads only the anchor is held at its exit. A held thread
//     whose siblings live on is let go, and a survivor becomes the anchor: one
//     that waits in execve waits for the held thread.
//   - Whoever is stepped stays stepped through a group stop and an exit stop.
//   - After GiveUp no exit of the process is held again: a second one would
//     delay its end by another second, and prove nothing any more.
//   - The final scan lists the children before the thread is let go: they have
//     another parent afterwards.
var table = map[State]row{
	Found: {
		Born:       to(Newborn),
		Seized:     to(Traced), // at its spawn
		Attach:     to(Seizing, Seize),
		SampleOnly: to(Sampling),
		End:        to(Ended),
	},
	Seizing: {
		Seized:        to(Traced),
		Refused:       to(Untraced),
		Gone:          to(Untraced),
		AlreadyTraced: to(Forgotten, Forget),
	},
	Newborn: {
		Trap:            to(Newborn, SetOptions, ScanInherited),
		KeepsRights:     to(Traced, Continue),
		CouldGainRights: to(Stepped, Step),
		ThreadStop:      to(Newborn, Step), // none is known to come before the trap
		SystemCall:      to(Newborn, Step),
		Executed:        to(Newborn, SetOptions, Step),
		GroupStop:       to(Newborn, Listen),
		AnchorExit:      to(ExitStop, ScanAtExit), // it was killed
		SiblingExit:     to(Newborn, LetGo),
		ThreadsGone:     to(Lost),
		End:             to(Ended),
	},
	Traced: {
		ThreadStop:  to(Traced, Continue),
		SystemCall:  to(Traced, Continue), // it was stepped until a moment ago
		Executed:    to(Traced, SetOptions, Continue),
		Trap:        to(Traced, SetOptions, Continue),
		GroupStop:   to(TracedStopped, Listen),
		AnchorExit:  to(ExitStop, ScanAtExit),
		SiblingExit: to(Traced, LetGo),
		StopBegins:  to(Traced, InterruptThreads),
		ThreadsGone: to(Lost),
		LeaveDue:    to(Detaching, InterruptThreads),
		End:         to(Ended),
	},
	TracedStopped: {
		ThreadStop:  to(TracedStopped, Continue),
		SystemCall:  to(TracedStopped, Continue),
		Executed:    to(Traced, SetOptions, Continue),
		Trap:        to(Traced, SetOptions, Continue),
		GroupStop:   to(TracedStopped, Listen),
		AnchorExit:  to(ExitStop, ScanAtExit),
		SiblingExit: to(TracedStopped, LetGo),
		StopBegins:  to(TracedStopped, InterruptThreads),
		ThreadsGone: to(Lost),
		LeaveDue:    to(Detaching, InterruptThreads),
		End:         to(Ended),
	},
	ExitStop: {
		ThreadStop:   to(ExitStop, Continue),
		SystemCall:   to(ExitStop, Continue),
		Executed:     to(Traced, SetOptions, Continue),
		Trap:         to(ExitStop, SetOptions, Continue),
		GroupStop:    to(ExitStop, Listen),
		AnchorExit:   to(ExitStop, LetGo),
		SiblingExit:  to(ExitStop, LetGo),
		StopBegins:   to(ExitStop, InterruptThreads),
		ScanDue:      to(ExitStop, ScanAtExit),
		SiblingsLive: to(ExitStop, ScheduleScan),
		Survivor:     to(Traced, LetGo, MoveAnchor),
		FinalScan:    to(Scanned, ScanChildren, LetGo),
		HeldGone:     to(Traced, LetGo),
		GiveUp:       to(Missed, LetGo),
		Hurry:        to(Missed, LetGo),
		ThreadsGone:  to(Lost),
		End:          to(Ended),
	},
	Stepped: {
		ThreadStop:  to(Stepped, Step),
		SystemCall:  to(Stepped, Step),
		Execve:      to(Stepped, Detach),
		Executed:    to(Stepped, SetOptions, Step),
		Trap:        to(Stepped, SetOptions, Step),
		GroupStop:   to(SteppedStopped, Listen),
		AnchorExit:  to(SteppedExitStop, ScanAtExit),
		SiblingExit: to(Stepped, LetGo),
		KeepsRights: to(Traced),
		ThreadsGone: to(Released),
		LeaveDue:    to(Detaching, InterruptThreads),
		End:         to(Ended),
	},
	SteppedStopped: {
		ThreadStop:  to(SteppedStopped, Step),
		SystemCall:  to(SteppedStopped, Step),
		Execve:      to(SteppedStopped, Detach),
		Executed:    to(Stepped, SetOptions, Step),
		Trap:        to(Stepped, SetOptions, Step),
		GroupStop:   to(SteppedStopped, Listen),
		AnchorExit:  to(SteppedExitStop, ScanAtExit),
		SiblingExit: to(SteppedStopped, LetGo),
		KeepsRights: to(TracedStopped),
		ThreadsGone: to(Released),
		LeaveDue:    to(Detaching, InterruptThreads),
		End:         to(Ended),
	},
	SteppedExitStop: {
		ThreadStop:   to(SteppedExitStop, Step),
		SystemCall:   to(SteppedExitStop, Step),
		Execve:       to(SteppedExitStop, Detach),
		Executed:     to(Stepped, SetOptions, Step),
		Trap:         to(SteppedExitStop, SetOptions, Step),
		GroupStop:    to(SteppedExitStop, Listen),
		AnchorExit:   to(SteppedExitStop, LetGo),
		SiblingExit:  to(SteppedExitStop, LetGo),
		KeepsRights:  to(ExitStop),
		ScanDue:      to(SteppedExitStop, ScanAtExit),
		SiblingsLive: to(SteppedExitStop, ScheduleScan),
		Survivor:     to(Stepped, LetGo, MoveAnchor),
		FinalScan:    to(Scanned, ScanChildren, LetGo),
		HeldGone:     to(Stepped, LetGo),
		GiveUp:       to(Missed, LetGo),
		Hurry:        to(Missed, LetGo),
		ThreadsGone:  to(Lost),
		End:          to(Ended),
	},
	Released: {
		PollDue:   to(Released, Poll),
		ExecSeen:  to(Seizing, Seize),
		NewThread: to(Stepped),
		LeaveDue:  to(Detaching, InterruptThreads),
		End:       to(Ended),
	},
	Lost: {
		PollDue:   to(Lost, Poll),
		NewThread: to(Traced),
		LeaveDue:  to(Detaching, InterruptThreads),
		End:       to(Ended),
	},
	Untraced: {
		PollDue:    to(Untraced, Poll),
		SampleOnly: to(Sampling),
		LeaveDue:   to(Detaching, InterruptThreads),
		End:        to(Ended),
	},
	Sampling: {
		SampleDue: to(Sampling, Sample),
		End:       to(Ended),
	},
	Missed: {
		PollDue:  to(Missed, Poll),
		LeaveDue: to(Detaching, InterruptThreads),
		End:      to(Ended),
	},
	Scanned: {
		End: to(Ended),
	},
	Detaching: {
		ThreadsGone: to(Forgotten, Forget),
		End:         to(Forgotten, Forget),
	},
	Ended: {
		Quiet: to(Judged, JudgeIt),
		Hurry: to(Judged, JudgeIt),
	},
	Judged: {
		HoldersKnown: to(Reported, Report),
		Hurry:        to(Reported, Report),
	},
	Reported: {
		PollDue: to(Reported, Poll),
		Reaped:  to(Forgotten, Forget),
	},
	Forgotten: {},
}

// detach is what becomes of a thread that stops in a state that expects none.
var detach = []Action{Detach}

// Next is the machine: a pure function.
func Next(s State, e Event) (State, []Action) {
	if t, ok := table[s][e]; ok {
		return t.to, t.do
	}
	if e.Stop() {
		return s, detach
	}
	return s, nil
}

// Takes reports whether the event means something in the state.
func (s State) Takes(e Event) bool {
	_, ok := table[s][e]
	return ok || e.Stop()
}
