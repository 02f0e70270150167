package phase

import (
	"math/rand/v2"
	"testing"
	"time"

	"tp0/supervisor/fixture/machine"
)

func allStates() []State { return machine.All[State](len(stateNames)) }

func allEvents() []Event { return machine.All[Event](len(eventNames)) }

func TestDelivery(t *testing.T) {
	for _, tt := range []struct {
		from State
		on   Event
		to   State
		do   Action
	}{
		// A program that handles the signal.
		{NoStop, QueueFree, Scanning, Scan},
		{NoStop, QueueFull, Queued, Enqueue},
		{NoStop, NoScan, Direct, Deliver},
		{Queued, Dequeued, Scanning, Scan},
		{Scanning, Scanned, Direct, Deliver},
		{Scanning, ScanLate, Direct, DeliverLate},
		// A program that does not handle it yet.
		{NoStop, NoHandler, Unhandled, Nothing},
		{Unhandled, QueueFree, Scanning, Scan},
		{Unhandled, QueueFull, Queued, Enqueue},
		{Unhandled, NoScan, Direct, Deliver},
		// The next step.
		{Queued, Escalated, Scanning, Scan},
		{Scanning, Escalated, Scanning, Nothing},
		// The main process has ended meanwhile, or before.
		{NoStop, MainGone, Direct, Nothing},
		{Unhandled, MainGone, Direct, Deliver},
		{Queued, MainGone, Direct, Deliver},
		{Scanning, MainGone, Direct, Deliver},
		{Direct, MainGone, Direct, Nothing},
		// The deadline.
		{Unhandled, DeadlinePassed, Direct, Discard},
		{Queued, DeadlinePassed, Direct, Discard},
		{Scanning, DeadlinePassed, Direct, Discard},
		// Stale.
		{Scanning, Dequeued, Scanning, Nothing},
		{Direct, Dequeued, Direct, Nothing},
		{Direct, Scanned, Direct, Nothing},
		{Direct, ScanLate, Direct, Nothing},
		{Direct, DeadlinePassed, Direct, Nothing},
		{Queued, Scanned, Queued, Nothing},
		{NoStop, Scanned, NoStop, Nothing},
	} {
		machine.Check(t, Next, tt.from, tt.on, tt.to, tt.do)
	}
}

// TestDeliveryAtRandom: pending signals are sent or dropped once, when the delivery becomes
// direct. A state in which signals wait has a deadline.
func TestDeliveryAtRandom(t *testing.T) {
	limits := Limits{Queued: 5 * time.Second, Scanning: time.Second}
	reached := map[State]bool{}
	for seed := range uint64(2000) {
		r := rand.New(rand.NewPCG(seed, 2))
		now := time.Unix(1, 0)
		var d Delivery
		scans, enqueued := 0, 0
		for range 30 {
			now = now.Add(time.Millisecond)
			from, e := d.State, Event(r.IntN(len(eventNames)))
			do := d.Handle(e, now, limits)
			reached[d.State] = true
			if d.State < from {
				t.Fatalf("seed %d: %v leads from %v back to %v", seed, e, from, d.State)
			}
			empties := do == Deliver || do == DeliverLate || do == Discard
			if from.Waits() && !d.State.Waits() && !empties {
				t.Fatalf("seed %d: %v keeps the signals pending in %v", seed, e, from)
			}
			if empties && d.State != Direct {
				t.Fatalf("seed %d: %v sends the pending signals, and leads to %v", seed, e, d.State)
			}
			if d.State.Waits() == d.Until.IsZero() || d.Until.After(now.Add(limits.Queued)) {
				t.Fatalf("seed %d: %v is due at %v", seed, d.State, d.Until)
			}
			switch do {
			case Scan:
				scans++
			case Enqueue:
				enqueued++
			}
			if (d.State == Scanning) != (from == Scanning || do == Scan) && d.State != Direct {
				t.Fatalf("seed %d: %v in %v has %v done", seed, e, from, do)
			}
		}
		if scans > 1 || enqueued > 1 {
			t.Fatalf("seed %d: %d scans, enqueued %d times", seed, scans, enqueued)
		}
	}
	for _, s := range allStates() {
		if s != NoStop && !reached[s] {
			t.Errorf("%v is never reached", s)
		}
	}
}

// TestDeliveryLimits: the limit of a state counts from its start. An event that does not change
// the state does not change its limit.
func TestDeliveryLimits(t *testing.T) {
	limits := Limits{Queued: 5 * time.Second, Scanning: time.Second}
	now := time.Unix(1, 0)
	var d Delivery
	for _, tt := range []struct {
		on    Event
		until time.Duration // from the first event on; 0: none
	}{
		{NoHandler, 1},
		{QueueFull, time.Second + 5*time.Second},
		{QueueFull, time.Second + 5*time.Second},
		{Dequeued, 3*time.Second + time.Second},
		{Escalated, 3*time.Second + time.Second},
		{Scanned, 0},
	} {
		d.Handle(tt.on, now, limits)
		var want time.Time
		if tt.until == 1 {
			want = time.Unix(1, 0)
		} else if tt.until > 0 {
			want = time.Unix(1, 0).Add(tt.until)
		}
		if !d.Until.Equal(want) {
			t.Errorf("after %v: due at %v, want %v", tt.on, d.Until, want)
		}
		now = now.Add(time.Second)
	}
}
