package lifecycle

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"tp0/supervisor/fixture/machine"
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
		{Unready, MainEnded, Unready, Nothing}, // the stop sequence continues with the descendants
		{Stopping, MainEnded, Stopping, Nothing},
		{Replacing, MainEnded, Replacing, Nothing},
		{Ending, StepTimedOut, Ending, NextStep},
		{Ending, Stop, Stopping, Nothing},
		{Ending, EndedToRestart, BackingOff, ScheduleRestart},
		{Ending, EndedWell, Succeeded, Complete},
		{Ready, CheckFailed, Unready, NextStep},
		{Stopping, CheckFailed, Stopping, Nothing},
		{Ready, Replace, Replacing, NextStep},
		{Unready, Stop, Stopping, Nothing}, // the stop sequence continues
		{Unready, EndedWell, Failed, Fail},
		{BackingOff, DelayElapsed, Waiting, Nothing},
		{BackingOff, Stop, Stopped, Nothing},
		{Replacing, EndedBadly, Waiting, Nothing},
		{Stopping, StepTimedOut, Stopping, NextStep},
		{Stopping, Kill, Stopping, LastStep},
		{Stopping, EndedToRestart, Stopped, Nothing}, // no process follows a stop
		{Ready, EndedUnwanted, Stopped, Nothing},
		{Stopped, Start, Stopped, Nothing},
		{Stopped, DelayElapsed, Stopped, Nothing}, // stale timer
		{Ready, BecameReady, Ready, Nothing},
		{Failed, Replace, Waiting, Nothing},
		{Failed, Stop, Stopped, Nothing},
		{Succeeded, Stop, Stopped, Nothing},
		{Stopping, Replace, Replacing, Nothing},
	} {
		machine.Check(t, Next, tt.from, tt.on, tt.to, tt.do)
	}
}

func TestNextOfHooks(t *testing.T) {
	for _, tt := range []struct {
		from State
		on   Event
		to   State
		do   Action
	}{
		{Waiting, Prepare, Preparing, RunPreStart},
		{Preparing, Prepared, Starting, Spawn},
		{Preparing, ReadyTimedOut, Unready, NextStep},
		{Preparing, Stop, Stopping, NextStep},
		{Stopping, Prepared, Stopping, Nothing}, // a stop during a pre_start never spawns
		{Replacing, Prepared, Replacing, Nothing},
		{Preparing, MainEnded, Ending, NextStep}, // descendants of the hook
		{Ending, Prepared, Starting, Spawn},
		{Ready, PostStopDue, Ending, RunPostStop},
		{Unready, PostStopDue, Ending, RunPostStop},
		{Stopping, PostStopDue, Stopping, RunPostStop},
		{Replacing, PostStopDue, Replacing, RunPostStop},
		{Ending, Stop, Stopping, Nothing}, // the post_stop hook runs on
		{Ending, FailureHookDue, Failing, Fail},
		{Failing, Stop, Failing, Nothing}, // the on_failure hook runs on
		{Failing, Escalate, Failing, NextStep},
		{Failing, FailureHookEnded, Failed, Nothing},
		{Failing, Replace, Replacing, Nothing},
		{Replacing, FailureHookEnded, Waiting, Nothing},
	} {
		machine.Check(t, Next, tt.from, tt.on, tt.to, tt.do)
	}
}

// TestStopEndsInEveryState plays random events.
// Every stop ends, and no process is spawned after it.
func TestStopEndsInEveryState(t *testing.T) {
	events, ends := Events(), []Event{EndedWell, EndedBadly, EndedToRestart, EndedUnwanted}
	for range 20_000 {
		s := Waiting
		for range rand.N(30) {
			e := events[rand.N(len(events))]
			if e.Ended() && !s.HasProcess() {
				continue // no process exists
			}
			s, _ = Next(s, e)
		}
		s, _ = Next(s, Stop)
		for range 30 { // every event but a new configuration
			e := events[rand.N(len(events))]
			if e == Replace || !s.HasProcess() && e.Ended() {
				continue
			}
			var do Action
			if s, do = Next(s, e); do == Spawn || do == RunPreStart ||
				do == ScheduleRestart {
				t.Fatalf("%s follows a stop", do)
			}
		}
		if s.HasProcess() {
			s, _ = Next(s, ends[rand.N(len(ends))])
			s, _ = Next(s, FailureHookEnded)
		}
		if !s.Final() {
			t.Fatalf("the process ended, and the state is %s, not final", s)
		}
	}
}

// TestHasProcessAgreesWithTable checks that only Spawn and RunPreStart enter a state with a
// process, and only the end of the last process or hook leaves one.
func TestHasProcessAgreesWithTable(t *testing.T) {
	for _, s := range States() {
		for _, e := range Events() {
			if e.Ended() && (!s.HasProcess() || s == Failing) {
				continue
			}
			to, do := Next(s, e)
			ended := e.Ended() && e != FailureHookDue || e == FailureHookEnded && to != s
			want := s.HasProcess() && !ended || do == Spawn || do == RunPreStart
			if to.HasProcess() != want {
				t.Errorf("%s on %s goes to %s with %q", s, e, to, do)
			}
		}
	}
}

func TestStopSequence(t *testing.T) {
	const ms = time.Millisecond
	kill := Step{Signal: unix.SIGKILL}
	l := NewStopSequence(unix.SIGTERM, 5*time.Second, 0)
	if r, ok := l.Step(1); !ok || r != (Step{unix.SIGTERM, 5 * time.Second}) {
		t.Errorf("first step: got %v %v", r, ok)
	}
	if r, ok := l.Step(2); !ok || r != (Step{Signal: unix.SIGKILL}) {
		t.Errorf("last step: got %v %v", r, ok)
	}
	for _, n := range []int{-1, 0, 3} {
		if _, ok := l.Step(n); ok {
			t.Errorf("the sequence has a step %d, want none", n)
		}
	}
	if l := NewStopSequence(unix.SIGKILL, time.Second, unix.SIGQUIT); len(l) != 1 {
		t.Errorf("kill_signal SIGKILL: got %v, want one step", l)
	}
	given := []Step{{unix.SIGTERM, time.Second}, {unix.SIGQUIT, time.Millisecond}}
	if l := CustomStopSequence(given); !slices.Equal(l, append(given, Step{Signal: unix.SIGKILL})) {
		t.Errorf("custom sequence: got %v", l)
	}
	for timeout, want := range map[time.Duration]StopSequence{
		time.Second:      {{unix.SIGTERM, 750 * ms}, {unix.SIGQUIT, 250 * ms}, kill},
		10 * time.Second: {{unix.SIGTERM, 9500 * ms}, {unix.SIGQUIT, 500 * ms}, kill},
	} {
		if l := NewStopSequence(unix.SIGTERM, timeout, unix.SIGQUIT); !slices.Equal(l, want) {
			t.Errorf("diagnosis within %v: got %v, want %v", timeout, l, want)
		}
	}
}

func TestStopSequenceWithHook(t *testing.T) {
	kill := Step{Signal: unix.SIGKILL}
	for _, tt := range []struct {
		name     string
		sequence StopSequence
		want     StopSequence
	}{
		{
			"a signal", NewStopSequence(unix.SIGTERM, 4*time.Second, 0),
			StopSequence{{0, 3 * time.Second}, {unix.SIGTERM, time.Second}, kill},
		},
		{
			"SIGKILL alone", NewStopSequence(unix.SIGKILL, 4*time.Second, 0),
			StopSequence{{0, 4 * time.Second}, kill},
		},
		{
			"a kill_sequence", CustomStopSequence([]Step{
				{unix.SIGINT, 8 * time.Second}, {unix.SIGQUIT, time.Second},
			}),
			StopSequence{
				{0, 6 * time.Second}, {unix.SIGINT, 2 * time.Second},
				{unix.SIGQUIT, time.Second}, kill,
			},
		},
	} {
		got := tt.sequence.WithHook(4 * time.Second)
		if !slices.Equal(got, tt.want) {
			t.Errorf("%s: got %v, want %v", tt.name, got, tt.want)
		}
	}
}

func TestHookGrace(t *testing.T) {
	for timeout, want := range map[time.Duration]time.Duration{
		400 * time.Millisecond: 100 * time.Millisecond, 10 * time.Second: time.Second,
	} {
		if got := HookGrace(timeout); got != want {
			t.Errorf("timeout %v: got %v, want %v", timeout, got, want)
		}
	}
}

func TestRestartPolicy(t *testing.T) {
	const first = 200 * time.Millisecond
	p := RestartPolicy{
		On: OnFailure, Attempts: 5, Interval: time.Minute, Delay: first, MaxDelay: time.Second,
	}
	const middle = 0.5 // no jitter
	var r RestartHistory
	now := time.Unix(0, 0)
	for i, want := range []time.Duration{200, 400, 800, 1000, 1000} {
		d := r.Decide(p, now, false, "crash", middle)
		if d.Event != EndedToRestart || d.Attempt != i+1 || d.Delay != want*time.Millisecond {
			t.Errorf("restart %d: got %+v, want a delay of %d ms", i+1, d, want)
		}
	}
	if d := r.Decide(p, now, false, "crash", middle); d.Event != EndedBadly {
		t.Errorf("after the last attempt: got %+v, want EndedBadly", d)
	}
	now = now.Add(time.Minute)
	d := r.Decide(p, now, false, "crash", middle)
	if d.Event != EndedToRestart || d.Attempt != 1 || d.Delay != first {
		t.Errorf("after an interval without a restart: got %+v, want attempt 1 after %v", d, first)
	}
}

// TestNoAttempts checks the reason of a failure that no restart can follow.
func TestNoAttempts(t *testing.T) {
	var r RestartHistory
	p := RestartPolicy{On: OnFailure, Interval: time.Minute}
	d := r.Decide(p, time.Unix(0, 0), false, "crash", 0)
	want := Decision{Event: EndedBadly, Reason: "crash; its restart policy has 0 attempts"}
	if d != want {
		t.Errorf("got %+v, want %+v", d, want)
	}
}

func TestRestartCondition(t *testing.T) {
	for _, tt := range []struct {
		on      string
		success bool
		want    Event
	}{
		{Never, true, EndedWell}, {Never, false, EndedBadly},
		{OnFailure, true, EndedWell}, {OnFailure, false, EndedToRestart},
		{Always, true, EndedToRestart}, {Always, false, EndedToRestart},
	} {
		var r RestartHistory
		p := RestartPolicy{
			On: tt.on, Attempts: 1, Interval: time.Minute,
			Delay: time.Second, MaxDelay: time.Minute,
		}
		if d := r.Decide(p, time.Unix(0, 0), tt.success, "", 0); d.Event != tt.want {
			t.Errorf("%s, success %v: got %s, want %s", tt.on, tt.success, d.Event, tt.want)
		}
	}
}

func TestDelayIsBounded(t *testing.T) {
	for range 10_000 {
		p := RestartPolicy{
			On: Always, Attempts: 100, Interval: time.Hour,
			Delay: rand.N(time.Hour), MaxDelay: rand.N(48 * time.Hour),
		}
		var r RestartHistory
		for range 100 {
			d := r.Decide(p, time.Unix(0, 0), false, "", rand.Float64())
			if d.Delay < 0 || d.Delay > p.MaxDelay {
				t.Fatalf("%+v: got a delay of %v, want 0 to MaxDelay", p, d.Delay)
			}
		}
	}
}
