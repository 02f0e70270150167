package proof

import (
	"testing"
	"time"
)

func TestBudget(t *testing.T) {
	var none Budget
	if none.SignalDelay(start) != MaxSignalDelay || none.ScanTime(start) != MaxScanTime ||
		none.siblingWait(start) != MaxSiblingWait || none.reportDelay(start) != 0 {
		t.Errorf("the zero budget changes the limits: got %v, %v, %v, %v",
			none.SignalDelay(start), none.ScanTime(start), none.siblingWait(start),
			none.reportDelay(start))
	}
	const ms = time.Millisecond
	for left, want := range map[time.Duration][3]time.Duration{
		time.Minute:  {MaxSignalDelay, MaxScanTime, MaxSiblingWait},
		time.Second:  {125 * ms, 250 * ms, 125 * ms},
		100 * ms:     {minLimit, 25 * ms, minLimit},
		-time.Second: {minLimit, minLimit, minLimit},
	} {
		b := Budget{End: start.Add(left)}
		got := [3]time.Duration{b.SignalDelay(start), b.ScanTime(start), b.siblingWait(start)}
		if got != want {
			t.Errorf("with %v left: got limits %v, want %v", left, got, want)
		}
	}
}

// TestSetBudget sets the budget of a final stop during an exit stop.
func TestSetBudget(t *testing.T) {
	m, x := exiting(t)
	later := start.Add(100 * time.Millisecond)
	b := Budget{End: later.Add(200 * time.Millisecond)}
	m.SetBudget(b, later)
	want := later.Add(b.ScanTime(later))
	if at, e := m.Timer(); e != ScanTimeout || !at.Equal(want) {
		t.Errorf("got %s after %v, want %s after %v",
			e, at.Sub(start), ScanTimeout, want.Sub(start))
	}
	wantWait := 100*time.Millisecond + b.siblingWait(later)
	if wait, _ := x.Limits(); wait != wantWait {
		t.Errorf("the wait for siblings is %v, want %v", wait, wantWait)
	}
	m.SetBudget(Budget{End: later.Add(time.Hour)}, later)
	if at, _ := m.Timer(); !at.Equal(want) {
		t.Errorf("a longer budget lengthened the wait to %v, want %v",
			at.Sub(start), want.Sub(start))
	}
}

// TestReportDelay lets the time for scans end after the process has ended.
func TestReportDelay(t *testing.T) {
	m := New(false, true)
	m.Handle(Attach, 0, start)
	m.Handle(Seized, 0, start)
	m.Handle(End, 0, start)
	if at, _ := m.Timer(); !at.IsZero() {
		t.Errorf("without a final stop there is a timer after %v", at.Sub(start))
	}
	b := Budget{End: start.Add(time.Second)}
	m.SetBudget(b, start)
	for _, want := range []State{Judged, Reported} {
		at, e := m.Timer()
		if e != BudgetSpent || !at.Equal(start.Add(b.reportDelay(start))) {
			t.Fatalf("in %s: got %s after %v, want %s after %v",
				m.State, e, at.Sub(start), BudgetSpent, b.reportDelay(start))
		}
		if m.Handle(e, 0, at); m.State != want {
			t.Fatalf("got state %s, want %s", m.State, want)
		}
	}
}
