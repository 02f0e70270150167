package proof

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"tp0/supervisor/procfs"
)

var start = time.Unix(1000, 0)

// exiting is the machine of a process whose anchor, thread 7, exits.
func exiting(t *testing.T) (*Machine, *ExitStopData) {
	t.Helper()
	m := New(false, true)
	m.Handle(Seized, 0, start)
	m.Handle(PrimaryExit, 7, start)
	x, ok := m.Data.(*ExitStopData)
	if !ok || m.State != ExitStop || m.Thread() != 7 {
		t.Fatalf("in %s with %+v", m.State, m.Data)
	}
	return &m, x
}

// A thread that took its SIGKILL and did not begin its exit looks as if it lived
// on, so it is believed after ten scans in a row; one that waits in execve at
// once.
func TestSurvivor(t *testing.T) {
	_, x := exiting(t)
	for i := 1; i < sureScans; i++ {
		if _, glimpse := x.StartScan(start); glimpse {
			t.Fatalf("scan %d reads the table", i)
		}
		if e := x.ScanDone(Siblings{Alive: 1, Survivor: 8}, false); e != SiblingsAlive {
			t.Fatalf("scan %d: %s", i, e)
		}
	}
	if final, glimpse := x.StartScan(start); final || !glimpse {
		t.Errorf("the last scan: final %v, glimpse %v", final, glimpse)
	}
	if e := x.ScanDone(Siblings{Alive: 1, Survivor: 8}, false); e != SiblingSurvives {
		t.Errorf("after %d scans: %s", sureScans, e)
	}

	_, x = exiting(t)
	for range sureScans - 1 {
		x.ScanDone(Siblings{Alive: 1, Survivor: 8}, false)
	}
	x.ScanDone(Siblings{Alive: 1}, false) // it was about to end after all
	if e := x.ScanDone(Siblings{Alive: 1, Survivor: 8}, false); e != SiblingsAlive {
		t.Errorf("the count did not begin anew: %s", e)
	}

	_, x = exiting(t)
	if e := x.ScanDone(Siblings{Alive: 1, Survivor: 8, InExecve: true}, false); e != SiblingSurvives {
		t.Errorf("one that waits in execve: %s", e)
	}
}

// The time alone does not make a scan the final one: on a slow machine the first
// may come late.
func TestFinalScan(t *testing.T) {
	_, x := exiting(t)
	if e := x.ScanDone(Siblings{}, false); e != FinalScan {
		t.Errorf("without siblings: %s", e)
	}
	_, x = exiting(t)
	late := start.Add(MaxSiblingWait)
	for i := range sureScans {
		if final, _ := x.StartScan(late); final {
			t.Fatalf("scan %d is the final one", i+1)
		}
		x.ScanDone(Siblings{Alive: 1}, false)
	}
	if final, _ := x.StartScan(late.Add(-1)); final {
		t.Error("it is the final one before its time")
	}
	final, _ := x.StartScan(late)
	if e := x.ScanDone(Siblings{Alive: 1, Survivor: 8}, final); !final || e != FinalScan {
		t.Errorf("final %v: %s", final, e)
	}
}

func TestExitTimer(t *testing.T) {
	m, x := exiting(t)
	if at, e := m.Timer(); e != ScanTimeout || !at.Equal(start.Add(MaxScanTime)) {
		t.Errorf("with a scan under way: %s at %v", e, at.Sub(start))
	}
	x.ScheduleScan(start)
	if at, e := m.Timer(); e != ScanDue || !at.Equal(start.Add(scanEvery)) {
		t.Errorf("between two: %s at %v", e, at.Sub(start))
	}
	x.StartScan(start.Add(scanEvery))
	if at, e := m.Timer(); e != ScanTimeout || !at.Equal(start.Add(MaxScanTime)) {
		t.Errorf("with the next under way: %s at %v", e, at.Sub(start))
	}
}

// A newborn whose scan does not end in time goes on, stepped if it could gain
// rights.
func TestNewbornIsBounded(t *testing.T) {
	for privileged, want := range map[bool]State{true: Traced, false: SyscallTraced} {
		m := New(false, privileged)
		m.Handle(Forked, 5, start)
		at, e := m.Timer()
		if !at.Equal(start.Add(MaxScanTime)) || m.Thread() != 5 {
			t.Errorf("thread %d until %v", m.Thread(), at.Sub(start))
		}
		if do := m.Handle(e, 5, at); m.State != want || len(do) != 1 || !do[0].frees() {
			t.Errorf("privileged %v: %s, %v", privileged, m.State, do)
		}
	}
}

// The steps of a process count through a group stop and an exit stop.
func TestStepsAreBounded(t *testing.T) {
	m := New(false, false)
	m.Handle(Forked, 5, start)
	m.Handle(CouldGainPrivileges, 5, start)
	for i := range mostSteps {
		if e := m.CountSyscall(false); e != SystemCall {
			t.Fatalf("call %d: %s", i+1, e)
		}
		switch i {
		case 100:
			m.Handle(GroupStop, 5, start)
		case 200:
			m.Handle(EventStop, 5, start)
		case 300:
			m.Handle(PrimaryExit, 5, start)
		case 400:
			m.Handle(SiblingSurvives, 5, start)
		}
	}
	if e := m.CountSyscall(false); e != Execve || m.State != SyscallTraced {
		t.Errorf("one call more in %s: %s", m.State, e)
	}
	m = New(false, false)
	m.Handle(Forked, 5, start)
	m.Handle(CouldGainPrivileges, 5, start)
	if e := m.CountSyscall(true); e != Execve {
		t.Errorf("an execve: %s", e)
	}
}

// An exit stop stays the same one when it is known late that the rights stay.
func TestRightsKnownInTheExit(t *testing.T) {
	m := New(false, false)
	m.Handle(Forked, 5, start)
	m.Handle(CouldGainPrivileges, 5, start)
	m.Handle(PrimaryExit, 5, start)
	x := m.Data
	m.Handle(KeepsPrivileges, 0, start)
	if m.State != ExitStop || m.Data != x || m.Thread() != 5 {
		t.Errorf("in %s with %+v", m.State, m.Data)
	}
	if m.Handle(SiblingSurvives, 5, start); m.State != Traced {
		t.Errorf("then in %s", m.State)
	}
}

func TestPolls(t *testing.T) {
	for _, tt := range []struct {
		state      State
		age, every time.Duration
	}{
		{DetachedForExec, 0, pollSooner}, {DetachedForExec, pollFirst, pollEvery}, {Untraceable, 0, pollEvery},
		{TraceLost, time.Second, pollEvery}, {Reported, 0, pollReported}, {Reported, time.Minute, time.Minute},
	} {
		p := PollData{State: tt.state, Since: start}
		now := start.Add(tt.age)
		if p.SchedulePoll(now); p.Next.Sub(now) != tt.every {
			t.Errorf("%s after %v: in %v, want %v", tt.state, tt.age, p.Next.Sub(now), tt.every)
		}
	}
	for own, want := range map[bool]bool{true: false, false: true} { // the kernel tells us of our own
		m := New(own, true)
		m.Handle(Attach, 0, start)
		m.Handle(Refused, 0, start)
		if at, _ := m.Timer(); at.IsZero() == want {
			t.Errorf("own %v: next poll at %v", own, at)
		}
	}
}

func TestSamples(t *testing.T) {
	m := New(true, true)
	m.Handle(SampleOnly, 0, start)
	s := m.Data.(*SampleData)
	if at, e := m.Timer(); !at.Equal(start) || e != SampleDue {
		t.Errorf("%s at %v", e, at.Sub(start))
	}
	s.StartSample()
	if at, _ := m.Timer(); !at.IsZero() {
		t.Error("another one while one is under way")
	}
	for age, every := range map[time.Duration]time.Duration{
		sampleSooner: sampleEvery, sampleSooner + 1: sampleLater,
	} {
		now := start.Add(age)
		if s.SampleDone(now); s.Next.Sub(now) != every {
			t.Errorf("after %v: in %v, want %v", age, s.Next.Sub(now), every)
		}
	}
}

func TestJudge(t *testing.T) {
	before := []procfs.FD{{Num: 3, Kind: "file", Target: "/before"}}
	seen := []procfs.FD{{Num: 4, Kind: "file", Target: "/seen"}}
	const late = "the fd scan before the signal was late"
	stayed, missed := fmt.Sprintf(threadsStayed, 2, MaxSiblingWait), fmt.Sprintf(notScanned, MaxScanTime)
	for name, tt := range map[string]struct {
		from   State
		e      Evidence
		proof  Kind
		reason string
		after  []procfs.FD
	}{
		"final scan":         {Scanned, Evidence{Before: before, Final: seen, Reason: "x"}, Exact, "", seen},
		"nothing left":       {Scanned, Evidence{Before: before}, Exact, "", nil},
		"siblings stayed":    {Scanned, Evidence{Final: seen, Alive: 2, SiblingWait: MaxSiblingWait}, Sampled, stayed, seen},
		"late":               {Scanned, Evidence{Final: seen, ScanLate: late}, Sampled, late, seen},
		"both":               {Scanned, Evidence{Final: seen, ScanLate: late, Alive: 2, SiblingWait: MaxSiblingWait}, Sampled, stayed, seen},
		"not before":         {Scanned, Evidence{Final: seen, FirstScanPending: true}, None, notBefore, nil},
		"failed":             {Scanned, Evidence{Final: seen, Err: errors.New("no")}, None, "no", nil},
		"given up":           {ScanMissed, Evidence{Before: before, AtThreadExit: seen, ScanTime: MaxScanTime}, None, missed, nil},
		"deadline passed":    {ScanMissed, Evidence{Before: before, BudgetSpent: true}, None, hurried, nil},
		"not seen":           {TraceLost, Evidence{Before: before, Reason: "x"}, None, notSeen, nil},
		"reaped while held":  {ExitStop, Evidence{}, None, notSeen, nil},
		"glimpse":            {Traced, Evidence{AtThreadExit: seen}, Sampled, glimpsed, seen},
		"stepped":            {SyscallTraced, Evidence{}, None, couldGain, nil},
		"released":           {DetachedForExec, Evidence{}, None, couldGain, nil},
		"released, glimpsed": {DetachedForExec, Evidence{AtThreadExit: seen}, Sampled, glimpsed, seen},
		"refused":            {Untraceable, Evidence{Reason: "refused"}, None, "refused", nil},
		"sampled":            {Sampling, Evidence{Before: before, Sample: seen}, Sampled, "", seen},
		"sampled, refused":   {Sampling, Evidence{Reason: "refused", Sample: seen}, Sampled, "refused", seen},
		"one sample":         {Sampling, Evidence{Before: before}, Sampled, "", before},
		"no sample":          {Sampling, Evidence{Reason: "refused"}, None, "refused", nil},
		"not asked for":      {Found, Evidence{}, None, "", nil},
	} {
		r := Judge(tt.from, tt.e)
		if r.Proof != tt.proof || r.Reason != tt.reason || !slices.EqualFunc(r.After, tt.after, procfs.FD.Same) {
			t.Errorf("%s: %s (%s) %v", name, r.Proof, r.Reason, r.After)
		}
	}
}

// A socket that the kernel lists no more is named as it was before the signal,
// and the evidence stays as it is.
func TestJudgeNamesSockets(t *testing.T) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(pair[0])
	defer unix.Close(pair[1])
	after, err := procfs.OwnFD(pair[0])
	if err != nil || after.Resolved() {
		t.Fatalf("%+v %v", after, err)
	}
	before := after
	before.Target = "tcp 127.0.0.1:1"
	e := Evidence{Before: []procfs.FD{before}, Final: []procfs.FD{after}}
	if got := Judge(Scanned, e).After[0].Target; got != before.Target {
		t.Errorf("named %q", got)
	}
	if e.Final[0].Resolved() {
		t.Error("the evidence changed")
	}
}
