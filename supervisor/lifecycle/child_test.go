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
		{Starting, BecameReady, Ready, Nothing},
		{Starting, ReadyTimedOut, Unready, NextStep},
		{Starting, EndedToRestart, BackingOff, ScheduleRestart},
		{Ready, EndedWell, Succeeded, Complete},
		{Ready, EndedBadly, Failed, Fail},
		{Ready, Stop, Stopping, NextStep},
		{Ready, MainEnded, Ending, NextStep},
		{Starting, MainEnded, Ending, NextStep},
		{Unready, MainEnded, Unready, Nothing}, // its ladder goes on with what is left
		{Stopping, MainEnded, Stopping, Nothing},
		{Replacing, MainEnded, Replacing, Nothing},
		{Ending, StepTimedOut, Ending, NextStep},
		{Ending, Stop, Stopping, Nothing},
		{Ending, EndedToRestart, BackingOff, ScheduleRestart},
		{Ending, EndedWell, Succeeded, Complete},
		{Ready, CheckFailed, Unready, NextStep},
		{Stopping, CheckFailed, Stopping, Nothing},
		{Ready, Replace, Replacing, NextStep},
		{Unready, Stop, Stopping, Nothing}, // its ladder goes on
		{Unready, EndedWell, Failed, Fail},
		{BackingOff, DelayElapsed, Waiting, Nothing},
		{BackingOff, Stop, Stopped, Nothing},
		{Replacing, EndedBadly, Waiting, Nothing},
		{Stopping, StepTimedOut, Stopping, NextStep},
		{Stopping, Kill, Stopping, LastStep},
		{Stopping, EndedToRestart, Stopped, Nothing}, // nothing starts after a stop began
		{Ready, EndedBeforeStop, Stopped, Nothing},
		{Stopped, Start, Stopped, Nothing},
		{Stopped, DelayElapsed, Stopped, Nothing}, // a stale timer
		{Ready, BecameReady, Ready, Nothing},
		{Failed, Replace, Waiting, Nothing},
		{Stopping, Replace, Replacing, Nothing},
	} {
		if to, do := Next(tt.from, tt.on); to != tt.to || do != tt.do {
			t.Errorf("%s on %s: got %s and %q, want %s and %q", tt.from, tt.on, to, do, tt.to, tt.do)
		}
	}
}

// Whatever happened before: a stop ends, and nothing is spawned after it began.
func TestStopEndsFromEverywhere(t *testing.T) {
	events, ends := Events(), []Event{EndedWell, EndedBadly, EndedToRestart, EndedBeforeStop}
	for range 20_000 {
		s := Waiting
		for range rand.N(30) {
			e := events[rand.N(len(events))]
			if e.Ended() && !s.HasProcess() {
				continue // there is nothing that could end
			}
			s, _ = Next(s, e)
		}
		s, _ = Next(s, Stop)
		for range 30 { // anything but a new configuration
			e := events[rand.N(len(events))]
			if e == Replace || !s.HasProcess() && e.Ended() {
				continue
			}
			var do Action
			if s, do = Next(s, e); do == Spawn || do == ScheduleRestart {
				t.Fatalf("%s after a stop began", do)
			}
		}
		if s.HasProcess() {
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
			if e.Ended() && !s.HasProcess() {
				continue
			}
			to, do := Next(s, e)
			want := s.HasProcess() && !e.Ended() || do == Spawn
			if to.HasProcess() != want {
				t.Errorf("%s on %s goes to %s with %q", s, e, to, do)
			}
		}
	}
}

func TestLadder(t *testing.T) {
	l := NewStopSequence(unix.SIGTERM, 5*time.Second, 0)
	if r, ok := l.Step(1); !ok || r != (Step{unix.SIGTERM, 5 * time.Second}) {
		t.Errorf("first rung: %v %v", r, ok)
	}
	if r, ok := l.Step(2); !ok || r != (Step{Signal: unix.SIGKILL}) {
		t.Errorf("last rung: %v %v", r, ok)
	}
	for _, n := range []int{-1, 0, 3} {
		if _, ok := l.Step(n); ok {
			t.Errorf("there is a rung %d", n)
		}
	}
	if l := NewStopSequence(unix.SIGKILL, time.Second, unix.SIGQUIT); len(l) != 1 {
		t.Errorf("SIGKILL after SIGKILL: %v", l)
	}
	given := []Step{{unix.SIGTERM, time.Second}, {unix.SIGQUIT, time.Millisecond}}
	if l := CustomStopSequence(given); !slices.Equal(l, append(given, Step{Signal: unix.SIGKILL})) {
		t.Errorf("given: %v", l)
	}
	for timeout, want := range map[time.Duration]StopSequence{
		time.Second:      {{unix.SIGTERM, 750 * time.Millisecond}, {unix.SIGQUIT, 250 * time.Millisecond}, {Signal: unix.SIGKILL}},
		10 * time.Second: {{unix.SIGTERM, 9500 * time.Millisecond}, {unix.SIGQUIT, 500 * time.Millisecond}, {Signal: unix.SIGKILL}},
	} {
		if l := NewStopSequence(unix.SIGTERM, timeout, unix.SIGQUIT); !slices.Equal(l, want) {
			t.Errorf("with a diagnosis in %v: %v", timeout, l)
		}
	}
}

func TestRestartPolicy(t *testing.T) {
	p := RestartPolicy{On: OnFailure, Attempts: 5, Interval: time.Minute, Delay: 200 * time.Millisecond, MaxDelay: time.Second}
	const middle = 0.5 // no jitter
	var r RestartHistory
	now := time.Unix(0, 0)
	for i, want := range []time.Duration{200, 400, 800, 1000, 1000} {
		d := r.Decide(p, now, false, "crash", middle)
		if d.Event != EndedToRestart || d.Attempt != i+1 || d.Delay != want*time.Millisecond {
			t.Errorf("restart %d: %+v", i+1, d)
		}
	}
	if d := r.Decide(p, now, false, "crash", middle); d.Event != EndedBadly {
		t.Errorf("after the last attempt: %+v", d)
	}
	now = now.Add(time.Minute)
	if d := r.Decide(p, now, false, "crash", middle); d.Event != EndedToRestart || d.Attempt != 1 || d.Delay != 200*time.Millisecond {
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
		{OnFailure, true, EndedWell}, {OnFailure, false, EndedToRestart},
		{Always, true, EndedToRestart}, {Always, false, EndedToRestart},
	} {
		var r RestartHistory
		p := RestartPolicy{On: tt.on, Attempts: 1, Interval: time.Minute, Delay: time.Second, MaxDelay: time.Minute}
		if d := r.Decide(p, time.Unix(0, 0), tt.well, "", 0); d.Event != tt.want {
			t.Errorf("%s, well %v: %s, want %s", tt.on, tt.well, d.Event, tt.want)
		}
	}
}

func TestDelayStaysInBounds(t *testing.T) {
	for range 10_000 {
		p := RestartPolicy{On: Always, Attempts: 100, Interval: time.Hour, Delay: rand.N(time.Hour), MaxDelay: rand.N(48 * time.Hour)}
		var r RestartHistory
		for range 100 {
			d := r.Decide(p, time.Unix(0, 0), false, "", rand.Float64())
			if d.Delay < 0 || d.Delay > p.MaxDelay {
				t.Fatalf("%+v gives %v", p, d.Delay)
			}
		}
	}
}
