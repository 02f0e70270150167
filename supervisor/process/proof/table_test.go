package proof

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

func TestNext(t *testing.T) {
	for _, tt := range []struct {
		from State
		on   Event
		to   State
		do   []Action
	}{
		// A process that ends as most do.
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
		// One thread ends, others live on.
		{ExitStop, SiblingSurvives, Traced, []Action{DetachExiting, ChangePrimary}},
		{SyscallTracedExitStop, SiblingSurvives, SyscallTraced, []Action{DetachExiting, ChangePrimary}},
		{ExitStop, ScanTimeout, ScanMissed, []Action{DetachExiting}},
		{ScanMissed, PrimaryExit, ScanMissed, []Action{Detach}}, // no second exit is held
		{ExitStop, HeldThreadGone, Traced, []Action{DetachExiting}},
		// Job control.
		{Traced, GroupStop, TracedStopped, []Action{Listen}},
		{TracedStopped, ThreadStop, TracedStopped, []Action{Continue}},
		{TracedStopped, EventStop, Traced, []Action{SetOptions, Continue}},
		{ExitStop, GroupStop, ExitStop, []Action{Listen}},
		{SyscallTraced, GroupStop, SyscallTracedStopped, []Action{Listen}},
		{SyscallTracedStopped, EventStop, SyscallTraced, []Action{SetOptions, ContinueToSyscall}},
		// Births and rights.
		{Found, Forked, FirstStop, nil},
		{FirstStop, EventStop, FirstStop, []Action{SetOptions, ScanAtFirstStop}},
		{FirstStop, KeepsPrivileges, Traced, []Action{Continue}},
		{FirstStop, CouldGainPrivileges, SyscallTraced, []Action{ContinueToSyscall}},
		{FirstStop, PrimaryExit, ExitStop, []Action{ScanAtExit}}, // killed at its birth
		{SyscallTraced, Execve, SyscallTraced, []Action{Detach}},
		{SyscallTraced, ThreadsGone, DetachedForExec, nil},
		{SyscallTraced, KeepsPrivileges, Traced, nil}, // the scan came late
		{DetachedForExec, ExecSeen, Seizing, []Action{Seize}},
		{DetachedForExec, NewThread, SyscallTraced, nil},
		// Not traced.
		{Seizing, Refused, Untraceable, nil},
		{Untraceable, SampleOnly, Sampling, nil},
		{Sampling, SampleDue, Sampling, []Action{Sample}},
		{Traced, ThreadsGone, TraceLost, nil},
		{TraceLost, NewThread, Traced, nil},
		{Seizing, AlreadyTraced, Forgotten, []Action{Forget}},
		// From its spawn.
		{Found, Seized, Traced, nil},
		{Traced, StopStarted, Traced, []Action{InterruptThreads}},
		{ExitStop, StopStarted, ExitStop, []Action{InterruptThreads}},
		// It outlives its child.
		{Traced, DetachDue, Detaching, []Action{InterruptThreads}},
		{Detaching, EventStop, Detaching, []Action{Detach}},
		{Detaching, ThreadsGone, Forgotten, []Action{Forget}},
		{ExitStop, DetachDue, ExitStop, nil}, // its end is near
		// Stale.
		{Traced, FinalScan, Traced, nil},
		{Traced, ScanTimeout, Traced, nil},
		{Reported, End, Reported, nil},
		{Ended, Attach, Ended, nil},
	} {
		check(t, tt.from, tt.on, tt.to, tt.do...)
	}
}

// check compares one transition.
func check(t *testing.T, from State, on Event, want State, do ...Action) {
	t.Helper()
	to, got := Next(from, on)
	if to != want || !slices.Equal(got, do) {
		t.Errorf("%s on %s: got %s and %v, want %s and %v", from, on, to, got, want, do)
	}
}

// The stepped states are to each other as the traced ones are, and differ in how
// a thread goes on.
func TestTracedAndStepped(t *testing.T) {
	for _, f := range []struct {
		running, stopped, exit, gone State
		goOn                         Action
	}{
		{Traced, TracedStopped, ExitStop, TraceLost, Continue},
		{SyscallTraced, SyscallTracedStopped, SyscallTracedExitStop, DetachedForExec, ContinueToSyscall},
	} {
		for _, s := range []State{f.running, f.stopped, f.exit} {
			check(t, s, ThreadStop, s, f.goOn)
			check(t, s, SystemCall, s, f.goOn)
			check(t, s, Executed, f.running, SetOptions, f.goOn)
			check(t, s, SiblingExit, s, DetachExiting)
			check(t, s, End, Ended)
			if s.IsSyscallTraced() {
				check(t, s, Execve, s, Detach)
			} else {
				check(t, s, StopStarted, s, InterruptThreads)
			}
		}
		for _, s := range []State{f.running, f.stopped} {
			check(t, s, EventStop, f.running, SetOptions, f.goOn)
			check(t, s, GroupStop, f.stopped, Listen)
			check(t, s, PrimaryExit, f.exit, ScanAtExit)
			check(t, s, ThreadsGone, f.gone)
			check(t, s, DetachDue, Detaching, InterruptThreads)
		}
		check(t, f.exit, EventStop, f.exit, SetOptions, f.goOn)
		check(t, f.exit, GroupStop, f.exit, Listen)
		check(t, f.exit, PrimaryExit, f.exit, DetachExiting)
		check(t, f.exit, ThreadsGone, TraceLost)
		check(t, f.exit, ScanDue, f.exit, ScanAtExit)
		check(t, f.exit, SiblingsAlive, f.exit, ScheduleScan)
		check(t, f.exit, SiblingSurvives, f.running, DetachExiting, ChangePrimary)
		check(t, f.exit, HeldThreadGone, f.running, DetachExiting)
		check(t, f.exit, FinalScan, Scanned, ScanChildren, DetachExiting)
		check(t, f.exit, ScanTimeout, ScanMissed, DetachExiting)
		check(t, f.exit, BudgetSpent, ScanMissed, DetachExiting)
	}
	check(t, SyscallTraced, KeepsPrivileges, Traced)
	check(t, SyscallTracedStopped, KeepsPrivileges, TracedStopped)
	check(t, SyscallTracedExitStop, KeepsPrivileges, ExitStop)
}

// Whatever stops a newborn before its trap, it is not let run freely: its rights
// are not known.
func TestNewbornStops(t *testing.T) {
	check(t, FirstStop, ThreadStop, FirstStop, ContinueToSyscall)
	check(t, FirstStop, SystemCall, FirstStop, ContinueToSyscall)
	check(t, FirstStop, Executed, FirstStop, SetOptions, ContinueToSyscall)
	check(t, FirstStop, GroupStop, FirstStop, Listen)
	check(t, FirstStop, SiblingExit, FirstStop, DetachExiting)
	check(t, FirstStop, ThreadsGone, TraceLost)
}

// A process that nobody traces is polled, and let go of when its time is over.
func TestNotTraced(t *testing.T) {
	for _, s := range []State{DetachedForExec, TraceLost, Untraceable, ScanMissed} {
		check(t, s, PollDue, s, Poll)
		check(t, s, DetachDue, Detaching, InterruptThreads)
	}
	check(t, Reported, PollDue, Reported, Poll)
}

// Once the deadline has passed, no scan is waited for.
func TestHurry(t *testing.T) {
	check(t, Traced, BudgetSpent, Traced)
	check(t, Ended, BudgetSpent, Judged, JudgeEvidence)
	check(t, Judged, BudgetSpent, Reported, Report)
	check(t, Reported, BudgetSpent, Reported)
}

// In every state a process can end.
func TestEveryStateEnds(t *testing.T) {
	for _, s := range States() {
		switch s {
		case Seizing: // it lasts for a system call, and Gone says so
		case Ended, Judged, Reported, Forgotten:
			check(t, s, End, s)
		case Detaching:
			check(t, s, End, Forgotten, Forget)
		default:
			check(t, s, End, Ended)
		}
	}
}

// A thread that stops goes on, or stands in a state that has a timer. Whoever
// leaves such a state lets its thread go, unless the thread is dead.
func TestNoThreadIsLeftStanding(t *testing.T) {
	frees := func(do []Action) (n int) {
		for _, a := range do {
			if a.frees() {
				n++
			}
		}
		return n
	}
	for _, s := range States() {
		for _, e := range Events() {
			to, do := Next(s, e)
			begins := s != to && to.IsHeld() && e.IsPtraceStop() || s == FirstStop && e == EventStop
			ends := s.IsHeld() && !to.IsHeld() && e != End && e != ThreadsGone && !e.IsPtraceStop()
			want := 0
			if e.IsPtraceStop() && !begins || ends {
				want = 1
			}
			if n := frees(do); n != want {
				t.Errorf("%s on %s: %d threads go on, want %d", s, e, n, want)
			}
		}
	}
}

// What is stepped is let run freely only once it is known to keep its rights.
func TestStepsUntilRightsAreKnown(t *testing.T) {
	for _, s := range States() {
		for _, e := range Events() {
			to, do := Next(s, e)
			if s.IsSyscallTraced() && slices.Contains(do, Continue) {
				t.Errorf("%s on %s continues", s, e)
			}
			freely := to == Traced || to == TracedStopped || to == ExitStop
			if s.IsSyscallTraced() && freely && e != KeepsPrivileges {
				t.Errorf("%s on %s goes to %s", s, e, to)
			}
		}
	}
}

// A process is seized at its first attach, and once more after its execve, when
// no thread of it is traced.
func TestSeizedFromTwoStatesOnly(t *testing.T) {
	for _, s := range States() {
		for _, e := range Events() {
			to, do := Next(s, e)
			seizes := slices.Contains(do, Seize)
			if seizes != (to == Seizing && s != Seizing) || seizes && s != Found && s != DetachedForExec {
				t.Errorf("%s on %s goes to %s with %v", s, e, to, do)
			}
		}
	}
}

// model is a kernel that has threads of one process stop, and a supervisor that
// does as the machine says.
type model struct {
	t        *testing.T
	m        Machine
	now      time.Time
	next     int          // number of the next thread
	running  map[int]bool // traced threads; false: it stands in a stop
	anchor   int
	judged   int
	reported int
}

func (k *model) feed(e Event, tid int) {
	before := k.m.State
	for _, a := range k.m.Handle(e, tid, k.now) {
		switch a {
		case Continue, ContinueToSyscall, Listen:
			if k.running[tid] {
				k.t.Fatalf("%s on %s lets thread %d go on, which runs", before, e, tid)
			}
			if _, ok := k.running[tid]; ok {
				k.running[tid] = true
			}
		case DetachExiting, Detach:
			k.gone(tid)
		case Seize:
			if len(k.running) > 0 {
				k.t.Fatalf("seized with %d threads traced", len(k.running))
			}
			k.seized()
		case ChangePrimary:
			for t := range k.running {
				k.anchor = t
			}
		case JudgeEvidence:
			k.judged++
		case Report:
			k.reported++
		}
	}
}

func (k *model) gone(tid int) {
	if _, ok := k.running[tid]; !ok {
		return
	}
	delete(k.running, tid)
	if k.anchor == tid {
		k.anchor = 0
	}
	if len(k.running) == 0 {
		k.feed(ThreadsGone, 0)
	}
}

func (k *model) seized() {
	switch rand.N(4) {
	case 0:
		k.feed(Refused, 0)
	case 1:
		k.feed(Gone, 0)
	default:
		for range 1 + rand.N(3) {
			k.thread()
		}
		k.feed(Seized, 0)
	}
}

func (k *model) thread() int {
	k.next++
	k.running[k.next] = true
	if k.anchor == 0 {
		k.anchor = k.next
	}
	return k.next
}

// stop has a thread that runs stop.
func (k *model) stop() {
	for tid, runs := range k.running {
		if !runs {
			continue
		}
		e := []Event{ThreadStop, EventStop, GroupStop, SiblingExit, Executed, EventStop}[rand.N(6)]
		if rand.N(8) == 0 {
			e = k.m.CountSyscall(rand.N(4) == 0)
		}
		if e == SiblingExit && k.anchor == 0 {
			k.anchor = tid
		}
		if e == SiblingExit && k.anchor == tid {
			e = PrimaryExit
		}
		k.running[tid] = false
		if e == Executed { // no other thread is left, whatever it stood in
			k.running, k.anchor = map[int]bool{tid: false}, tid
		}
		k.feed(e, tid)
		return
	}
}

// tick lets the time pass to what is due by itself.
func (k *model) tick() {
	at, e := k.m.Timer()
	if at.IsZero() {
		return
	}
	if at.After(k.now) {
		k.now = at
	}
	k.feed(e, k.m.Thread())
	if e == ScanDue || e == SampleDue || e == PollDue {
		k.scan()
	}
}

// scan brings the result of what is under way, or has it lost.
func (k *model) scan() {
	switch v := k.m.Data.(type) {
	case *FirstStopData:
		k.feed([]Event{KeepsPrivileges, CouldGainPrivileges}[rand.N(2)], v.Thread)
	case *ExitStopData:
		final, _ := v.StartScan(k.now)
		s := Siblings{Alive: rand.N(3), Survivor: rand.N(2), InExecve: rand.N(5) == 0}
		k.feed(v.ScanDone(s, final), v.Thread)
		if v.next.IsZero() {
			v.ScheduleScan(k.now)
		}
	case *SampleData:
		v.SampleDone(k.now)
	case *PollData, *EndData:
		k.m.SchedulePoll(k.now)
		if k.m.State == DetachedForExec && rand.N(2) == 0 {
			k.feed(ExecSeen, 0)
		}
	}
}

// Whatever happens to a process: no thread of it stands still but the one that
// is held, it is seized only while no thread of it is traced, and when it ends it
// is judged once, reported once, and forgotten.
func TestEveryProcessIsReportedOnce(t *testing.T) {
	for range 5_000 {
		k := &model{t: t, now: time.Unix(1, 0), running: map[int]bool{}}
		k.m = New(rand.N(2) == 0, rand.N(2) == 0)
		switch rand.N(3) {
		case 0:
			tid := k.thread()
			k.running[tid] = false
			k.feed(Forked, tid)
			k.feed(EventStop, tid)
		case 1:
			k.feed(SampleOnly, 0)
		default:
			k.feed(Attach, 0)
		}
		for range rand.N(60) {
			switch rand.N(8) {
			case 0:
				k.tick()
			case 1:
				k.scan()
			case 2: // a thread that was cloned
				if len(k.running) > 0 && k.m.State != FirstStop { // that one has run nothing yet
					tid := k.thread()
					k.feed(NewThread, tid)
				}
			case 3:
				events := Events()
				if e := events[rand.N(len(events))]; !e.IsPtraceStop() && harmless(e) {
					k.feed(e, k.m.Thread())
				}
			default:
				k.stop()
			}
			for tid, runs := range k.running {
				if !runs && tid != k.m.Thread() {
					t.Fatalf("thread %d stands still in %s", tid, k.m.State)
				}
			}
		}
		for range 3 { // any held thread goes by the time alone
			if k.m.State.IsHeld() {
				k.now = k.now.Add(MaxScanTime)
				for v, ok := k.m.Data.(*ExitStopData); ok && !v.next.IsZero(); ok = false {
					v.next = time.Time{}
				}
				_, e := k.m.Timer()
				k.feed(e, k.m.Thread())
			}
		}
		if k.m.State.IsHeld() {
			t.Fatalf("a thread is held in %s after its time", k.m.State)
		}
		detaching := k.m.State == Detaching || k.m.State == Forgotten
		for tid := range k.running {
			k.gone(tid)
		}
		for _, e := range []Event{End, ScansDone, HoldersFound, End, ScansDone, HoldersFound, Reaped} {
			k.feed(e, 0)
		}
		want := 1
		if detaching {
			want = 0
		}
		if k.m.State != Forgotten || k.judged != want || k.reported != want {
			t.Fatalf("in %s, judged %d times, reported %d times", k.m.State, k.judged, k.reported)
		}
	}
}

// harmless are the events that a supervisor may feed at any moment.
func harmless(e Event) bool {
	switch e {
	case Attach, SampleOnly, StopStarted, DetachDue, FinalScan, SiblingsAlive, ScanDue, ScanTimeout,
		BudgetSpent, HeldThreadGone, SampleDue, PollDue, ExecSeen, ScansDone, HoldersFound:
		return true
	}
	return false
}
