package proof

import (
	"testing"
	"time"
)

func TestBudget(t *testing.T) {
	var none Budget
	if none.SignalDelay(start) != MaxSignalDelay || none.ScanTime(start) != MaxScanTime ||
		none.siblings(start) != MaxSiblingWait || none.conclude(start) != 0 {
		t.Error("without a final stop the constants hold")
	}
	for left, want := range map[time.Duration][3]time.Duration{
		time.Minute:            {MaxSignalDelay, MaxScanTime, MaxSiblingWait},
		time.Second:            {125 * time.Millisecond, 250 * time.Millisecond, 125 * time.Millisecond},
		100 * time.Millisecond: {leastLimit, 25 * time.Millisecond, leastLimit},
		-time.Second:           {leastLimit, leastLimit, leastLimit},
	} {
		b := Budget{End: start.Add(left)}
		if got := [3]time.Duration{b.SignalDelay(start), b.ScanTime(start), b.siblings(start)}; got != want {
			t.Errorf("%v left: %v, want %v", left, got, want)
		}
	}
}

// A final stop that begins shortens the waits that are under way.
func TestSetBudget(t *testing.T) {
	m, x := exiting(t)
	later := start.Add(100 * time.Millisecond)
	b := Budget{End: later.Add(200 * time.Millisecond)}
	m.SetBudget(b, later)
	if at, e := m.Timer(); e != ScanTimeout || !at.Equal(later.Add(b.ScanTime(later))) {
		t.Errorf("%s after %v", e, at.Sub(start))
	}
	if siblings, _ := x.Limits(); siblings != 100*time.Millisecond+b.siblings(later) {
		t.Errorf("siblings may stay %v", siblings)
	}
	m.SetBudget(Budget{End: later.Add(time.Hour)}, later)
	if at, _ := m.Timer(); !at.Equal(later.Add(b.ScanTime(later))) {
		t.Errorf("it was lengthened to %v", at.Sub(start))
	}
}

// The end of a process is reported in time though its scans are under way.
func TestConclude(t *testing.T) {
	m := New(false, true)
	m.Handle(Attach, 0, start)
	m.Handle(Seized, 0, start)
	m.Handle(End, 0, start)
	if at, _ := m.Timer(); !at.IsZero() {
		t.Errorf("without a final stop it ends its wait after %v", at.Sub(start))
	}
	b := Budget{End: start.Add(time.Second)}
	m.SetBudget(b, start)
	for _, want := range []State{Judged, Reported} {
		at, e := m.Timer()
		if e != BudgetSpent || !at.Equal(start.Add(b.conclude(start))) {
			t.Fatalf("in %s: %s after %v", m.State, e, at.Sub(start))
		}
		if m.Handle(e, 0, at); m.State != want {
			t.Fatalf("%s, want %s", m.State, want)
		}
	}
}
