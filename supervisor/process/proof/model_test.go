package proof

import (
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// model plays the kernel, which stops the threads of one process at random, and package process,
// which carries out the actions of the machine.
type model struct {
	t        *testing.T
	pick     func(n int) int // returns a number from 0 to n-1, which decides what happens
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
			for _, t := range k.threads() {
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
	switch k.pick(4) {
	case 0:
		k.handle(Refused, 0)
	case 1:
		k.handle(Gone, 0)
	default:
		for range 1 + k.pick(3) {
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

// threads returns the traced threads in the order of their numbers.
func (k *model) threads() []int { return slices.Sorted(maps.Keys(k.running)) }

// stop stops a running thread, or none.
func (k *model) stop() {
	for _, tid := range k.threads() {
		if !k.running[tid] || k.pick(3) == 0 {
			continue
		}
		e := []Event{ThreadStop, EventStop, GroupStop, SiblingExit, Executed, EventStop}[k.pick(6)]
		if k.pick(8) == 0 {
			e = k.m.CountSyscall(k.pick(4) == 0)
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
		k.handle([]Event{KeepsPrivileges, CouldGainPrivileges}[k.pick(2)], v.Thread)
	case *ExitStopData:
		final, _ := v.StartScan(k.now)
		s := Siblings{Alive: k.pick(3), Survivor: k.pick(2), InExecve: k.pick(5) == 0}
		k.handle(v.ScanDone(s, final), v.Thread)
		if v.next.IsZero() {
			v.ScheduleScan(k.now)
		}
	case *SampleData:
		v.SampleDone(k.now)
	case *PollData, *EndData:
		k.m.SchedulePoll(k.now)
		if k.m.State == DetachedForExec && k.pick(2) == 0 {
			k.handle(ExecSeen, 0)
		}
	}
}

// start puts the process into its first state.
func (k *model) start() {
	switch k.pick(3) {
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
	switch k.pick(8) {
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
		if e := events[k.pick(len(events))]; canHappenAnytime(e) {
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

// TestEveryProcessIsReportedOnce runs random processes.
func TestEveryProcessIsReportedOnce(t *testing.T) {
	for range 5_000 {
		play(t, func(n int) int { return rand.N(n) }, rand.N(60))
	}
}

// FuzzPtraceEvents runs processes whose events the input decides, one byte for each decision. Once
// the input is used up, the first possibility happens.
func FuzzPtraceEvents(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte{1, 1, 0, 2, 4, 5, 6, 7, 0, 3, 9, 1, 1})
	f.Add([]byte{0, 1, 1, 4, 1, 3, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14})
	f.Fuzz(func(t *testing.T, input []byte) {
		const most = 4096 // steps
		steps := min(len(input), most)
		play(t, func(n int) int {
			if len(input) == 0 {
				return 0
			}
			choice := int(input[0]) % n
			input = input[1:]
			return choice
		}, steps)
	})
}

// play runs one process for the given number of steps, and then to its end. No thread stays stopped
// except the one that waits for a scan. A process is seized only while no thread of it is traced.
// When it ends, it is judged once, reported once, and forgotten.
func play(t *testing.T, pick func(n int) int, steps int) {
	k := &model{t: t, pick: pick, now: time.Unix(1, 0), running: map[int]bool{}}
	k.m = New(k.pick(2) == 0, k.pick(2) == 0)
	k.start()
	for range steps {
		k.happen()
	}
	k.expireScans()
	want := 1
	if k.m.State == Detaching || k.m.State == Forgotten {
		want = 0
	}
	for _, tid := range k.threads() {
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
