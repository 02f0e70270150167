package proof

import (
	"testing"
	"time"
)

var start = time.Unix(1000, 0)

// exiting returns the machine of a process whose primary thread, 7, is in its exit stop.
func exiting(t *testing.T) (*Machine, *ExitStopData) {
	t.Helper()
	m := New(false, true)
	m.Handle(Seized, 0, start)
	m.Handle(PrimaryExit, 7, start)
	x, ok := m.Data.(*ExitStopData)
	if !ok || m.State != ExitStop || m.Thread() != 7 {
		t.Fatalf("got state %s, data %+v", m.State, m.Data)
	}
	return &m, x
}

// TestSiblingSurvives checks how many scans must see a survivor. A thread that has taken its
// SIGKILL and has not started its exit looks like a survivor, so ten scans in a row must see it. A
// thread that waits in execve is believed at once.
func TestSiblingSurvives(t *testing.T) {
	survivor := Siblings{Alive: 1, Survivor: 8}
	_, x := exiting(t)
	for i := 1; i < minSightings; i++ {
		if _, last := x.StartScan(start); last {
			t.Fatalf("scan %d is taken for the last one", i)
		}
		if e := x.ScanDone(survivor, false); e != SiblingsAlive {
			t.Fatalf("scan %d: got %s, want %s", i, e, SiblingsAlive)
		}
	}
	if final, last := x.StartScan(start); final || !last {
		t.Errorf("scan %d: final is %v, last sighting is %v", minSightings, final, last)
	}
	if e := x.ScanDone(survivor, false); e != SiblingSurvives {
		t.Errorf("after %d scans: got %s, want %s", minSightings, e, SiblingSurvives)
	}

	_, x = exiting(t)
	for range minSightings - 1 {
		x.ScanDone(survivor, false)
	}
	x.ScanDone(Siblings{Alive: 1}, false) // the thread was about to end after all
	if e := x.ScanDone(survivor, false); e != SiblingsAlive {
		t.Errorf("after a scan without a survivor: got %s, want %s", e, SiblingsAlive)
	}

	_, x = exiting(t)
	survivor.InExecve = true
	if e := x.ScanDone(survivor, false); e != SiblingSurvives {
		t.Errorf("a survivor in execve: got %s, want %s", e, SiblingSurvives)
	}
}

// TestFinalScan checks that the time alone makes no scan the final one: on a slow machine the first
// scan may be late.
func TestFinalScan(t *testing.T) {
	_, x := exiting(t)
	if e := x.ScanDone(Siblings{}, false); e != FinalScan {
		t.Errorf("without siblings: got %s, want %s", e, FinalScan)
	}
	_, x = exiting(t)
	late := start.Add(MaxSiblingWait)
	for i := range minSightings {
		if final, _ := x.StartScan(late); final {
			t.Fatalf("scan %d is the final one", i+1)
		}
		x.ScanDone(Siblings{Alive: 1}, false)
	}
	if final, _ := x.StartScan(late.Add(-1)); final {
		t.Error("a scan before the limit is the final one")
	}
	final, _ := x.StartScan(late)
	if e := x.ScanDone(Siblings{Alive: 1, Survivor: 8}, final); !final || e != FinalScan {
		t.Errorf("after the limit: final is %v, got %s, want %s", final, e, FinalScan)
	}
}

func TestExitStopTimer(t *testing.T) {
	m, x := exiting(t)
	check := func(when string, wantEvent Event, want time.Duration) {
		t.Helper()
		if at, e := m.Timer(); e != wantEvent || at.Sub(start) != want {
			t.Errorf("%s: got %s after %v, want %s after %v",
				when, e, at.Sub(start), wantEvent, want)
		}
	}
	check("during the first scan", ScanTimeout, MaxScanTime)
	x.ScheduleScan(start)
	check("between two scans", ScanDue, scanInterval)
	x.StartScan(start.Add(scanInterval))
	check("during the next scan", ScanTimeout, MaxScanTime)
}

// TestFirstStopIsBounded lets the scan in the first stop time out. The process is then
// syscall-traced if it could gain privileges.
func TestFirstStopIsBounded(t *testing.T) {
	for privileged, want := range map[bool]State{true: Traced, false: SyscallTraced} {
		m := New(false, privileged)
		m.Handle(Forked, 5, start)
		at, e := m.Timer()
		if !at.Equal(start.Add(MaxScanTime)) || m.Thread() != 5 {
			t.Errorf("thread %d stays stopped for %v, want thread 5 for %v",
				m.Thread(), at.Sub(start), MaxScanTime)
		}
		if do := m.Handle(e, 5, at); m.State != want || len(do) != 1 || !do[0].resumes() {
			t.Errorf("privileged %v: got state %s and actions %v, want state %s",
				privileged, m.State, do, want)
		}
	}
}

// TestSyscallsAreBounded checks that the count of system calls survives a group stop and an exit
// stop.
func TestSyscallsAreBounded(t *testing.T) {
	m := New(false, false)
	m.Handle(Forked, 5, start)
	m.Handle(CouldGainPrivileges, 5, start)
	for i := range maxSyscalls {
		if e := m.CountSyscall(false); e != SystemCall {
			t.Fatalf("system call %d: got %s, want %s", i+1, e, SystemCall)
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
		t.Errorf("system call %d: got %s in %s, want %s in %s",
			maxSyscalls+1, e, m.State, Execve, SyscallTraced)
	}
	m = New(false, false)
	m.Handle(Forked, 5, start)
	m.Handle(CouldGainPrivileges, 5, start)
	if e := m.CountSyscall(true); e != Execve {
		t.Errorf("an execve: got %s, want %s", e, Execve)
	}
}

// TestPrivilegesKnownInExitStop checks that the exit stop goes on with the same data when the
// privileges become known during it.
func TestPrivilegesKnownInExitStop(t *testing.T) {
	m := New(false, false)
	m.Handle(Forked, 5, start)
	m.Handle(CouldGainPrivileges, 5, start)
	m.Handle(PrimaryExit, 5, start)
	x := m.Data
	m.Handle(KeepsPrivileges, 0, start)
	if m.State != ExitStop || m.Data != x || m.Thread() != 5 {
		t.Errorf("got state %s, data %+v, want state %s, data %+v", m.State, m.Data, ExitStop, x)
	}
	if m.Handle(SiblingSurvives, 5, start); m.State != Traced {
		t.Errorf("after the exit stop: got state %s, want %s", m.State, Traced)
	}
}

func TestPolls(t *testing.T) {
	for _, tt := range []struct {
		state     State
		age, want time.Duration
	}{
		{DetachedForExec, 0, execPollInterval}, {DetachedForExec, execPollTime, pollInterval},
		{Untraceable, 0, pollInterval}, {TraceLost, time.Second, pollInterval},
		{Reported, 0, reapPollInterval}, {Reported, time.Minute, time.Minute},
	} {
		p := PollData{State: tt.state, Since: start}
		now := start.Add(tt.age)
		if p.SchedulePoll(now); p.Next.Sub(now) != tt.want {
			t.Errorf("%s after %v: the next poll is in %v, want %v",
				tt.state, tt.age, p.Next.Sub(now), tt.want)
		}
	}
	// The kernel reports the end of our own children, so they are not polled.
	for own, polled := range map[bool]bool{true: false, false: true} {
		m := New(own, true)
		m.Handle(Attach, 0, start)
		m.Handle(Refused, 0, start)
		if at, _ := m.Timer(); at.IsZero() == polled {
			t.Errorf("own %v: the next poll is at %v, want a poll: %v", own, at, polled)
		}
	}
}

func TestSamples(t *testing.T) {
	m := New(true, true)
	m.Handle(SampleOnly, 0, start)
	s := m.Data.(*SampleData)
	if at, e := m.Timer(); !at.Equal(start) || e != SampleDue {
		t.Errorf("got %s after %v, want %s at once", e, at.Sub(start), SampleDue)
	}
	s.StartSample()
	if at, _ := m.Timer(); !at.IsZero() {
		t.Errorf("a second sample is due after %v while one is under way", at.Sub(start))
	}
	for age, want := range map[time.Duration]time.Duration{
		lateSampleAge: sampleInterval, lateSampleAge + 1: lateSampleInterval,
	} {
		now := start.Add(age)
		if s.SampleDone(now); s.Next.Sub(now) != want {
			t.Errorf("after %v: the next sample is in %v, want %v", age, s.Next.Sub(now), want)
		}
	}
}
