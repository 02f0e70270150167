package report

import (
	"testing"
	"time"

	"tp0/supervisor/event"
)

// TestStopHookIsAStep checks that a stop hook is a step of the stop of its child, so that the time
// of the stop is that of the child, and that a hook that fails is a warning.
func TestStopHookIsAStep(t *testing.T) {
	r := newTimedRecorder()
	r.after(0, event.Spawned{Child: "a", Pid: 10})
	r.after(1, event.SignalReceived{Signal: "SIGTERM"})
	r.after(1, event.HookStarted{Child: "a", Hook: "stop", Pid: 11})
	r.after(1,
		event.HookStarted{Child: "other", Hook: "stop", Pid: 12},
		event.SignalSent{Child: "a", Pid: 11, Hook: "stop", Signal: "SIGKILL", Step: 1},
		event.HookEnded{Child: "a", Hook: "stop", Pid: 11, Failure: "did not end in time"})
	r.after(7, event.Reaped{Child: "a", Pid: 10, Stopped: true, Stop: 9 * time.Millisecond})
	r.after(1, event.HookStarted{Child: "a", Hook: "post_stop", Pid: 13})
	d := r.Report(facts(11 * time.Millisecond))
	if len(d.Children) != 1 {
		t.Fatalf("got %d children, want 1", len(d.Children))
	}
	steps := d.Children[0].Steps
	if len(steps) != 1 || steps[0].Signal != stopHook || steps[0].At != 1 {
		t.Errorf("got the steps %+v, want the stop hook after 1 ms", steps)
	}
	if len(d.Warnings) != 1 || d.Warnings[0].What != "stop hook failed" {
		t.Errorf("got the warnings %+v, want that the stop hook has failed", d.Warnings)
	}
}
