package proof

import (
	"math/rand/v2"
	"testing"
	"time"
)

// model plays the kernel, which stops the threads of one process at random, and package process,
// which carries out the actions of the machine.
type model struct {
	t        *testing.T
	m        Machine
	now      time.Time
	last     int          // number of the newest thread
	running  map[int]bool // traced threads; false if the thread is in a ptrace stop
	primary  int
	judged   int
	reported int
}

func (k *model) handle(e Event, tid int) {
	before := k.m.State
	for _, a := range k.m.Handle(e, tid, k.now) {
		switch a {
		case Continue, ContinueToSyscall, Listen:
			if k.running[tid] {
				k.t.Fatalf("%s on %s resumes thread %d, which runs", before, e, tid)
			}
			if _, ok := k.running[tid]; ok {
				k.running[tid] = true
			}
		case DetachExiting, Detach:
			k.detached(tid)
		case Seize:
			if len(k.running) > 0 {
				k.t.Fatalf("seized with %d threads traced", len(k.running))
			}
			k.seize()
		case ChangePrimary:
			for t := range k.running {
				k.primary = t
			}
		case JudgeEvidence:
			k.judged++
		case Report:
			k.reported++
		}
	}
}

func (k *model) detached(tid int) {
	if _, ok := k.running[tid]; !ok {
		return
	}
	delete(k.running, tid)
	if k.primary == tid {
		k.primary = 0
	}
	if len(k.running) == 0 {
		k.handle(ThreadsGone, 0)
	}
}

func (k *model) seize() {
	switch rand.N(4) {
	case 0:
		k.handle(Refused, 0)
	case 1:
		k.handle(Gone, 0)
	default:
		for range 1 + rand.N(3) {
			k.addThread()
		}
		k.handle(Seized, 0)
	}
}

func (k *model) addThread() int {
	k.last++
	k.running[k.last] = true
	if k.primary == 0 {
		k.primary = k.last
	}
	return k.last
}

// stop stops a running thread.
func (k *model) stop() {
	for tid, runs := range k.running {
		if !runs {
			continue
		}
		e := []Event{ThreadStop, EventStop, GroupStop, SiblingExit, Executed, EventStop}[rand.N(6)]
		if rand.N(8) == 0 {
			e = k.m.CountSyscall(rand.N(4) == 0)
		}
		if e == SiblingExit && k.primary == 0 {
			k.primary = tid
		}
		if e == SiblingExit && k.primary == tid {
			e = PrimaryExit
		}
		k.running[tid] = false
		if e == Executed { // all other threads are gone, also those in a ptrace stop
			k.running, k.primary = map[int]bool{tid: false}, tid
		}
		k.handle(e, tid)
		return
	}
}

// tick advances the clock to the next timer.
func (k *model) tick() {
	at, e := k.m.Timer()
	if at.IsZero() {
		return
	}
	if at.After(k.now) {
		k.now = at
	}
	k.handle(e, k.m.Thread())
	if e == ScanDue || e == SampleDue || e == PollDue {
		k.scan()
	}
}

// scan delivers the result of the scan that is under way, or loses it.
func (k *model) scan() {
	switch v := k.m.Data.(type) {
	case *FirstStopData:
		k.handle([]Event{KeepsPrivileges, CouldGainPrivileges}[rand.N(2)], v.Thread)
	case *ExitStopData:
		final, _ := v.StartScan(k.now)
		s := Siblings{Alive: rand.N(3), Survivor: rand.N(2), InExecve: rand.N(5) == 0}
		k.handle(v.ScanDone(s, final), v.Thread)
		if v.next.IsZero() {
			v.ScheduleScan(k.now)
		}
	case *SampleData:
		v.SampleDone(k.now)
	case *PollData, *EndData:
		k.m.SchedulePoll(k.now)
		if k.m.State == DetachedForExec && rand.N(2) == 0 {
			k.handle(ExecSeen, 0)
		}
	}
}

// start puts the process into its first state.
func (k *model) start() {
	switch rand.N(3) {
	case 0:
		tid := k.addThread()
		k.running[tid] = false
		k.handle(Forked, tid)
		k.handle(EventStop, tid)
	case 1:
		k.handle(SampleOnly, 0)
	default:
		k.handle(Attach, 0)
	}
}

// happen lets one thing happen to the process.
func (k *model) happen() {
	switch rand.N(8) {
	case 0:
		k.tick()
	case 1:
		k.scan()
	case 2: // a thread is cloned; the thread in FirstStop has not run yet
		if len(k.running) > 0 && k.m.State != FirstStop {
			k.handle(NewThread, k.addThread())
		}
	case 3:
		events := Events()
		if e := events[rand.N(len(events))]; canHappenAnytime(e) {
			k.handle(e, k.m.Thread())
		}
	default:
		k.stop()
	}
	for tid, runs := range k.running {
		if !runs && tid != k.m.Thread() {
			k.t.Fatalf("thread %d stays stopped in %s", tid, k.m.State)
		}
	}
}

// canHappenAnytime reports whether package process may deliver the event in any state.
func canHappenAnytime(e Event) bool {
	switch e {
	case Attach, SampleOnly, StopStarted, DetachDue, FinalScan, SiblingsAlive, ScanDue,
		ScanTimeout, BudgetSpent, StoppedThreadGone, SampleDue, PollDue, ExecSeen, ScansDone,
		HoldersFound:
		return true
	}
	return false
}

// expireScans lets the timers of the states that wait for a scan expire. No scan finishes
// meanwhile.
func (k *model) expireScans() {
	for range 3 {
		if k.m.State.WaitsForScan() {
			k.now = k.now.Add(MaxScanTime)
			if x, ok := k.m.Data.(*ExitStopData); ok {
				x.next = time.Time{}
			}
			_, e := k.m.Timer()
			k.handle(e, k.m.Thread())
		}
	}
	if k.m.State.WaitsForScan() {
		k.t.Fatalf("a thread is still stopped in %s after the limit", k.m.State)
	}
}

// TestEveryProcessIsReportedOnce runs random processes. No thread stays stopped except the one that
// waits for a scan. A process is seized only while no thread of it is traced. When it ends, it is
// judged once, reported once, and forgotten.
func TestEveryProcessIsReportedOnce(t *testing.T) {
	for range 5_000 {
		k := &model{t: t, now: time.Unix(1, 0), running: map[int]bool{}}
		k.m = New(rand.N(2) == 0, rand.N(2) == 0)
		k.start()
		for range rand.N(60) {
			k.happen()
		}
		k.expireScans()
		want := 1
		if k.m.State == Detaching || k.m.State == Forgotten {
			want = 0
		}
		for tid := range k.running {
			k.detached(tid)
		}
		for _, e := range []Event{
			End, ScansDone, HoldersFound, End, ScansDone, HoldersFound, Reaped,
		} {
			k.handle(e, 0)
		}
		if k.m.State != Forgotten || k.judged != want || k.reported != want {
			t.Fatalf("got state %s, judged %d times, reported %d times; want %s, %d, %d",
				k.m.State, k.judged, k.reported, Forgotten, want, want)
		}
	}
}
