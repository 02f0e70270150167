// Package lifecycle decides what one instance does next: a pure state machine, the stop
// sequence, and the restart policy. The package knows no process and no clock.
package lifecycle

import "strings"

// State is the state of an instance.
type State uint8

// The states. An instance has a process in Starting, Ready, Unready, Ending, Replacing and
// Stopping, and in no other state: from the spawn until the process tree is empty.
const (
	Waiting    State = iota // it starts as soon as its dependencies allow it
	Starting                // its process is not ready yet
	Ready                   // its process is ready
	Unready                 // its process was not ready in time, or a check failed: it is stopped
	Ending                  // its main process ended; descendants that outlive it are being stopped
	BackingOff              // its process failed; a restart follows after a delay
	Replacing               // its process is being stopped, and a new one follows
	Stopping                // its process is being stopped, and none follows
	Succeeded               // its process succeeded, and none follows
	Failed                  // its process failed, and none follows
	Stopped                 // it was stopped, and no process follows
)

var stateNames = [...]string{
	"waiting", "starting", "ready", "unready", "ending", "backing off", "replacing", "stopping",
	"succeeded", "failed", "stopped",
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

// HasProcess reports whether the instance has a process, or one is being spawned.
func (s State) HasProcess() bool {
	switch s {
	case Starting, Ready, Unready, Ending, Replacing, Stopping:
		return true
	}
	return false
}

// Satisfied reports whether the dependents of the instance may start.
func (s State) Satisfied() bool { return s == Ready || s == Succeeded }

// Final reports whether only a new configuration can change the state.
func (s State) Final() bool { return s == Succeeded || s == Failed || s == Stopped }
