package proof

import (
	"slices"
	"testing"

	"tp0/supervisor/fixture/machine"
)

// expected is one transition: the state, the event, and what must follow.
type expected struct {
	from State
	on   Event
	to   State
	do   []Action
}

func checkAll(t *testing.T, all []expected) {
	t.Helper()
	for _, s := range all {
		check(t, s.from, s.on, s.to, s.do...)
	}
}

// check compares one transition.
func check(t *testing.T, from State, on Event, want State, do ...Action) {
	t.Helper()
	machine.Check(t, Next, from, on, want, do)
}

// TestUsualEnd walks through the states of a process that ends as most do.
func TestUsualEnd(t *testing.T) {
	checkAll(t, []expected{
		{Found, Attach, Seizing, []Action{Seize}},
		{Seizing, Seized, Traced, nil},
		{Traced, ThreadStop, Traced, []Action{Continue}},
		{Traced, SiblingExit, Traced, []Action{DetachExiting}},
		{Traced, PrimaryExit, ExitStop, []Action{ScanAtExit}},
		{ExitStop, SiblingsAlive, ExitStop, []Action{ScheduleScan}},
		{ExitStop, ScanDue, ExitStop, []Action{ScanAtExit}},
		{ExitStop, FinalScan, Scanned, []Action{ScanChildren, DetachExiting}},
		{Scanned, ThreadsGone, Scanned, nil},
		{Scanned, End, Ended, nil},
		{Ended, ScansDone, Judged, []Action{JudgeEvidence}},
		{Judged, HoldersFound, Reported, []Action{Report}},
		{Reported, Reaped, Forgotten, []Action{Forget}},
	})
}

func TestOneThreadEnds(t *testing.T) {
	survives := []Action{DetachExiting, ChangePrimary}
	checkAll(t, []expected{
		{ExitStop, SiblingSurvives, Traced, survives},
		{SyscallTracedExitStop, SiblingSurvives, SyscallTraced, survives},
		{ExitStop, ScanTimeout, ScanMissed, []Action{DetachExiting}},
		{ScanMissed, PrimaryExit, ScanMissed, []Action{Detach}}, // a second exit is not delayed
		{ExitStop, StoppedThreadGone, Traced, []Action{DetachExiting}},
	})
}

func TestJobControl(t *testing.T) {
	checkAll(t, []expected{
		{Traced, GroupStop, TracedStopped, []Action{Listen}},
		{TracedStopped, ThreadStop, TracedStopped, []Action{Continue}},
		{TracedStopped, EventStop, Traced, []Action{SetOptions, Continue}},
		{ExitStop, GroupStop, ExitStop, []Action{Listen}},
		{SyscallTraced, GroupStop, SyscallTracedStopped, []Action{Listen}},
		{SyscallTracedStopped, EventStop, SyscallTraced, []Action{SetOptions, ContinueToSyscall}},
	})
}

func TestForkedDuringTheStop(t *testing.T) {
	checkAll(t, []expected{
		{Found, Forked, FirstStop, nil},
		{FirstStop, EventStop, FirstStop, []Action{SetOptions, ScanAtFirstStop}},
		{FirstStop, KeepsPrivileges, Traced, []Action{Continue}},
		{FirstStop, CouldGainPrivileges, SyscallTraced, []Action{ContinueToSyscall}},
		{FirstStop, PrimaryExit, ExitStop, []Action{ScanAtExit}}, // killed in its first stop
		{SyscallTraced, Execve, SyscallTraced, []Action{Detach}},
		{SyscallTraced, ThreadsGone, DetachedForExec, nil},
		{SyscallTraced, KeepsPrivileges, Traced, nil}, // the scan was late
		{DetachedForExec, ExecSeen, Seizing, []Action{Seize}},
		{DetachedForExec, NewThread, SyscallTraced, nil},
	})
}

func TestNotTraced(t *testing.T) {
	checkAll(t, []expected{
		{Seizing, Refused, Untraceable, nil},
		{Untraceable, SampleOnly, Sampling, nil},
		{Sampling, SampleDue, Sampling, []Action{Sample}},
		{Traced, ThreadsGone, TraceLost, nil},
		{TraceLost, NewThread, Traced, nil},
		{Seizing, AlreadyTraced, Forgotten, []Action{Forget}},
		{Reported, PollDue, Reported, []Action{Poll}},
	})
	for _, s := range []State{DetachedForExec, TraceLost, Untraceable, ScanMissed} {
		check(t, s, PollDue, s, Poll)
		check(t, s, DetachDue, Detaching, InterruptThreads)
	}
}

func TestTracedSinceSpawn(t *testing.T) {
	checkAll(t, []expected{
		{Found, Seized, Traced, nil},
		{Traced, StopStarted, Traced, []Action{InterruptThreads}},
		{ExitStop, StopStarted, ExitStop, []Action{InterruptThreads}},
	})
}

func TestOutlivesItsChild(t *testing.T) {
	checkAll(t, []expected{
		{Traced, DetachDue, Detaching, []Action{InterruptThreads}},
		{Detaching, EventStop, Detaching, []Action{Detach}},
		{Detaching, ThreadsGone, Forgotten, []Action{Forget}},
		{ExitStop, DetachDue, ExitStop, nil}, // the process is about to end
	})
}

func TestStaleEvents(t *testing.T) {
	checkAll(t, []expected{
		{Traced, FinalScan, Traced, nil},
		{Traced, ScanTimeout, Traced, nil},
		{Reported, End, Reported, nil},
		{Ended, Attach, Ended, nil},
	})
}

// TestTracedAndSyscallTraced checks that both groups of states have the same transitions. They
// differ in the action that resumes a thread.
func TestTracedAndSyscallTraced(t *testing.T) {
	for _, f := range []struct {
		running, stopped, exit, gone State
		resume                       Action
	}{
		{Traced, TracedStopped, ExitStop, TraceLost, Continue},
		{
			SyscallTraced, SyscallTracedStopped, SyscallTracedExitStop, DetachedForExec,
			ContinueToSyscall,
		},
	} {
		for _, s := range []State{f.running, f.stopped, f.exit} {
			check(t, s, ThreadStop, s, f.resume)
			check(t, s, SystemCall, s, f.resume)
			check(t, s, Executed, f.running, SetOptions, f.resume)
			check(t, s, SiblingExit, s, DetachExiting)
			check(t, s, End, Ended)
			if s.IsSyscallTraced() {
				check(t, s, Execve, s, Detach)
			} else {
				check(t, s, StopStarted, s, InterruptThreads)
			}
		}
		for _, s := range []State{f.running, f.stopped} {
			check(t, s, EventStop, f.running, SetOptions, f.resume)
			check(t, s, GroupStop, f.stopped, Listen)
			check(t, s, PrimaryExit, f.exit, ScanAtExit)
			check(t, s, ThreadsGone, f.gone)
			check(t, s, DetachDue, Detaching, InterruptThreads)
		}
		check(t, f.exit, EventStop, f.exit, SetOptions, f.resume)
		check(t, f.exit, GroupStop, f.exit, Listen)
		check(t, f.exit, PrimaryExit, f.exit, DetachExiting)
		check(t, f.exit, ThreadsGone, TraceLost)
		check(t, f.exit, ScanDue, f.exit, ScanAtExit)
		check(t, f.exit, SiblingsAlive, f.exit, ScheduleScan)
		check(t, f.exit, SiblingSurvives, f.running, DetachExiting, ChangePrimary)
		check(t, f.exit, StoppedThreadGone, f.running, DetachExiting)
		check(t, f.exit, FinalScan, Scanned, ScanChildren, DetachExiting)
		check(t, f.exit, ScanTimeout, ScanMissed, DetachExiting)
		check(t, f.exit, BudgetSpent, ScanMissed, DetachExiting)
	}
	check(t, SyscallTraced, KeepsPrivileges, Traced)
	check(t, SyscallTracedStopped, KeepsPrivileges, TracedStopped)
	check(t, SyscallTracedExitStop, KeepsPrivileges, ExitStop)
}

// TestStopsBeforeFirstScan checks that no ptrace stop before the EventStop lets the process run
// without syscall stops: its privileges are not known yet.
func TestStopsBeforeFirstScan(t *testing.T) {
	check(t, FirstStop, ThreadStop, FirstStop, ContinueToSyscall)
	check(t, FirstStop, SystemCall, FirstStop, ContinueToSyscall)
	check(t, FirstStop, Executed, FirstStop, SetOptions, ContinueToSyscall)
	check(t, FirstStop, GroupStop, FirstStop, Listen)
	check(t, FirstStop, SiblingExit, FirstStop, DetachExiting)
	check(t, FirstStop, ThreadsGone, TraceLost)
}

// TestBudgetSpent checks that nothing waits for a scan once the time for scans is over.
func TestBudgetSpent(t *testing.T) {
	check(t, Traced, BudgetSpent, Traced)
	check(t, Ended, BudgetSpent, Judged, JudgeEvidence)
	check(t, Judged, BudgetSpent, Reported, Report)
	check(t, Reported, BudgetSpent, Reported)
}

// TestEveryStateEnds checks that a process can end in every state.
func TestEveryStateEnds(t *testing.T) {
	for _, s := range States() {
		switch s {
		case Ended, Judged, Reported, Forgotten:
			check(t, s, End, s)
		case Detaching:
			check(t, s, End, Forgotten, Forget)
		default:
			check(t, s, End, Ended)
		}
	}
}

// TestNoThreadStaysStopped checks that each ptrace stop ends with an action, or is in a state with
// a timer. A transition out of such a state resumes the thread, unless it is dead.
func TestNoThreadStaysStopped(t *testing.T) {
	resumed := func(do []Action) (n int) {
		for _, a := range do {
			if a.resumes() {
				n++
			}
		}
		return n
	}
	for _, s := range States() {
		for _, e := range Events() {
			to, do := Next(s, e)
			stays := s != to && to.WaitsForScan() && e.IsPtraceStop() ||
				s == FirstStop && e == EventStop
			releases := s.WaitsForScan() && !to.WaitsForScan() &&
				e != End && e != ThreadsGone && !e.IsPtraceStop()
			want := 0
			if e.IsPtraceStop() && !stays || releases {
				want = 1
			}
			if n := resumed(do); n != want {
				t.Errorf("%s on %s: %d threads are resumed, want %d", s, e, n, want)
			}
		}
	}
}

// TestSyscallTracedUntilPrivilegesKnown checks that a syscall-traced process runs without syscall
// stops only after KeepsPrivileges.
func TestSyscallTracedUntilPrivilegesKnown(t *testing.T) {
	for _, s := range States() {
		for _, e := range Events() {
			to, do := Next(s, e)
			if s.IsSyscallTraced() && slices.Contains(do, Continue) {
				t.Errorf("%s on %s: the action is %s", s, e, Continue)
			}
			free := to == Traced || to == TracedStopped || to == ExitStop
			if s.IsSyscallTraced() && free && e != KeepsPrivileges {
				t.Errorf("%s on %s goes to %s", s, e, to)
			}
		}
	}
}

// TestSeizedFromTwoStatesOnly checks that a process is seized at its first attach, and once more
// after its execve, when no thread of it is traced.
func TestSeizedFromTwoStatesOnly(t *testing.T) {
	for _, s := range States() {
		for _, e := range Events() {
			to, do := Next(s, e)
			seizes := slices.Contains(do, Seize)
			if seizes != (to == Seizing && s != Seizing) ||
				seizes && s != Found && s != DetachedForExec {
				t.Errorf("%s on %s goes to %s with %v", s, e, to, do)
			}
		}
	}
}
