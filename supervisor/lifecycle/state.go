// Package lifecycle decides what one instance does next: a pure state machine, the stop
// sequence, and the restart policy. The package knows no process and no clock.
package lifecycle

import "strings"

// State is the state of an instance.
type State uint8

// The states. An instance has a process or a hook in Preparing, Starting, Ready, Unready, Ending,
// Replacing, Stopping and Failing, and in no other state. These states last from the spawn of its
// first hook or process until the process tree of the last one is empty.
const (
	Waiting    State = iota // it starts as soon as its dependencies allow it
	Preparing               // its pre_start hook runs
	Starting                // its process is not ready yet
	Ready                   // its process is ready
	Unready                 // its process was not ready in time, or a check failed: it is stopped
	Ending                  // its main process ended; descendants or the post_stop hook still run
	BackingOff              // its process failed; a restart follows after a delay
	Replacing               // its process is being stopped, and a new one follows
	Stopping                // its process is being stopped, and none follows
	Failing                 // its process failed, and none follows; its on_failure hook runs
	Succeeded               // its process succeeded, and none follows
	Failed                  // its process failed, and none follows
	Stopped                 // it was stopped, and is not started again
)

var stateNames = [...]string{
	"waiting", "preparing", "starting", "ready", "unready", "ending", "backing off", "replacing",
	"stopping", "failing", "succeeded", "failed", "stopped",
}

func (s State) String() string { return stateNames[s] }

// ID returns the name of the state for programs: backing_off.
func (s State) ID() string { return strings.ReplaceAll(s.String(), " ", "_") }

// States lists all states.
func States() []State {
	all := make([]State, len(stateNames))
	for i := range all {
		all[i] = State(i)
	}
	return all
}

// HasProcess reports whether the instance has a process or a hook, or one is being spawned.
func (s State) HasProcess() bool {
	switch s {
	case Preparing, Starting, Ready, Unready, Ending, Replacing, Stopping, Failing:
		return true
	}
	return false
}

// Satisfied reports whether the dependents of the instance may start.
func (s State) Satisfied() bool { return s == Ready || s == Succeeded }

// Final reports whether only a request or a new configuration can change the state.
func (s State) Final() bool { return s == Succeeded || s == Failed || s == Stopped }

// IsEnding reports whether the process is ending by itself or since it is not healthy. A restart,
// Succeeded or Failed follows.
func (s State) IsEnding() bool { return s == Unready || s == Ending || s == Failing }

// HasFailed reports whether the process failed and none follows.
func (s State) HasFailed() bool { return s == Failing || s == Failed }
