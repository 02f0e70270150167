package lifecycle

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestNext(t *testing.T) {
	for _, tt := range []struct {
		from State
		on   Event
		to   State
		do   Action
	}{
		{Waiting, Start, Starting, Spawn},
		{Starting, Serves, Ready, Nothing},
		{Starting, TooLate, Unready, Climb},
		{Starting, EndedAgain, BackingOff, Delay},
		{Ready, EndedWell, Succeeded, Complete},
		{Ready, EndedBadly, Failed, GiveUp},
		{Ready, Stop, Stopping, Climb},
		{Ready, MainEnded, Ending, Climb},
		{Starting, MainEnded, Ending, Climb},
		{Unready, MainEnded, Unready, Nothing}, // its ladder goes on with what is left
		{Stopping, MainEnded, Stopping, Nothing},
		{Renewing, MainEnded, Renewing, Nothing},
		{Ending, RungOver, Ending, Climb},
		{Ending, Stop, Stopping, Nothing},
		{Ending, EndedAgain, BackingOff, Delay},
		{Ending, EndedWell, Succeeded, Complete},
		{Ready, Fails, Unready, Climb},
		{Stopping, Fails, Stopping, Nothing},
		{Ready, Renew, Renewing, Climb},
		{Unready, Stop, Stopping, Nothing}, // its ladder goes on
		{Unready, EndedWell, Failed, GiveUp},
		{BackingOff, DelayOver, Waiting, Nothing},
		{BackingOff, Stop, Stopped, Nothing},
		{Renewing, EndedBadly, Waiting, Nothing},
		{Stopping, RungOver, Stopping, Climb},
		{Stopping, Kill, Stopping, ClimbLast},
		{Stopping, EndedAgain, Stopped, Nothing}, // nothing starts after a stop began
		{Ready, EndedFirst, Stopped, Nothing},
		{Stopped, Start, Stopped, Nothing},
		{Stopped, DelayOver, Stopped, Nothing}, // a stale timer
		{Ready, Serves, Ready, Nothing},
		{Failed, Renew, Waiting, Nothing},
		{Stopping, Renew, Renewing, Nothing},
	} {
		if to, do := Next(tt.from, tt.on); to != tt.to || do != tt.do {
			t.Errorf("%s on %s: got %s and %q, want %s and %q", tt.from, tt.on, to, do, tt.to, tt.do)
		}
	}
}

// Whatever happened before: a stop ends, and nothing is spawned after it began.
func TestStopEndsFromEverywhere(t *testing.T) {
	events, ends := Events(), []Event{EndedWell, EndedBadly, EndedAgain, EndedFirst}
	for range 20_000 {
		s := Waiting
		for range rand.N(30) {
			e := events[rand.N(len(events))]
			if e.Ended() && !s.HasRun() {
				continue // there is nothing that could end
			}
			s, _ = Next(s, e)
		}
		s, _ = Next(s, Stop)
		for range 30 { // anything but a new configuration
			e := events[rand.N(len(events))]
			if e == Renew || !s.HasRun() && e.Ended() {
				continue
			}
			var do Action
			if s, do = Next(s, e); do == Spawn || do == Delay {
				t.Fatalf("%s after a stop began", do)
			}
		}
		if s.HasRun() {
			s, _ = Next(s, ends[rand.N(len(ends))])
		}
		if !s.Final() {
			t.Fatalf("the run ended, and the stop did not: %s", s)
		}
	}
}

// A run exists in the states that say so, and only there: Spawn enters them,
// an end leaves them, nothing else does either.
func TestRunsAndStatesAgree(t *testing.T) {
	for _, s := range States() {
		for _, e := range Events() {
			if e.Ended() && !s.HasRun() {
				continue
			}
			to, do := Next(s, e)
			want := s.HasRun() && !e.Ended() || do == Spawn
			if to.HasRun() != want {
				t.Errorf("%s on %s goes to %s with %q", s, e, to, do)
			}
		}
	}
}

func TestLadder(t *testing.T) {
	l := NewLadder(unix.SIGTERM, 5*time.Second, 0)
	if r, ok := l.Rung(1); !ok || r != (Rung{unix.SIGTERM, 5 * time.Second}) {
		t.Errorf("first rung: %v %v", r, ok)
	}
	if r, ok := l.Rung(2); !ok || r != (Rung{Signal: unix.SIGKILL}) {
		t.Errorf("last rung: %v %v", r, ok)
	}
	for _, n := range []int{-1, 0, 3} {
		if _, ok := l.Rung(n); ok {
			t.Errorf("there is a rung %d", n)
		}
	}
	if l := NewLadder(unix.SIGKILL, time.Second, unix.SIGQUIT); len(l) != 1 {
		t.Errorf("SIGKILL after SIGKILL: %v", l)
	}
	given := []Rung{{unix.SIGTERM, time.Second}, {unix.SIGQUIT, time.Millisecond}}
	if l := Given(given); !slices.Equal(l, append(given, Rung{Signal: unix.SIGKILL})) {
		t.Errorf("given: %v", l)
	}
	for timeout, want := range map[time.Duration]Ladder{
		time.Second:      {{unix.SIGTERM, 750 * time.Millisecond}, {unix.SIGQUIT, 250 * time.Millisecond}, {Signal: unix.SIGKILL}},
		10 * time.Second: {{unix.SIGTERM, 9500 * time.Millisecond}, {unix.SIGQUIT, 500 * time.Millisecond}, {Signal: unix.SIGKILL}},
	} {
		if l := NewLadder(unix.SIGTERM, timeout, unix.SIGQUIT); !slices.Equal(l, want) {
			t.Errorf("with a diagnosis in %v: %v", timeout, l)
		}
	}
}

func TestRestartPolicy(t *testing.T) {
	p := Policy{On: OnFailure, Attempts: 5, Interval: time.Minute, Delay: 200 * time.Millisecond, MaxDelay: time.Second}
	const middle = 0.5 // no jitter
	var r Restarts
	now := time.Unix(0, 0)
	for i, want := range []time.Duration{200, 400, 800, 1000, 1000} {
		d := r.Ended(p, now, false, "crash", middle)
		if d.Event != EndedAgain || d.Attempt != i+1 || d.Delay != want*time.Millisecond {
			t.Errorf("restart %d: %+v", i+1, d)
		}
	}
	if d := r.Ended(p, now, false, "crash", middle); d.Event != EndedBadly {
		t.Errorf("after the last attempt: %+v", d)
	}
	now = now.Add(time.Minute)
	if d := r.Ended(p, now, false, "crash", middle); d.Event != EndedAgain || d.Attempt != 1 || d.Delay != 200*time.Millisecond {
		t.Errorf("after a good interval: %+v", d)
	}
}

func TestRestartWhen(t *testing.T) {
	for _, tt := range []struct {
		on   string
		well bool
		want Event
	}{
		{Never, true, EndedWell}, {Never, false, EndedBadly},
		{OnFailure, true, EndedWell}, {OnFailure, false, EndedAgain},
		{Always, true, EndedAgain}, {Always, false, EndedAgain},
	} {
		var r Restarts
		p := Policy{On: tt.on, Attempts: 1, Interval: time.Minute, Delay: time.Second, MaxDelay: time.Minute}
		if d := r.Ended(p, time.Unix(0, 0), tt.well, "", 0); d.Event != tt.want {
			t.Errorf("%s, well %v: %s, want %s", tt.on, tt.well, d.Event, tt.want)
		}
	}
}

func TestDelayStaysInBounds(t *testing.T) {
	for range 10_000 {
		p := Policy{On: Always, Attempts: 100, Interval: time.Hour, Delay: rand.N(time.Hour), MaxDelay: rand.N(48 * time.Hour)}
		var r Restarts
		for range 100 {
			d := r.Ended(p, time.Unix(0, 0), false, "", rand.Float64())
			if d.Delay < 0 || d.Delay > p.MaxDelay {
				t.Fatalf("%+v gives %v", p, d.Delay)
			}
		}
	}
}
