// Package rollout decides how a reload replaces the processes of instances: which instance gets
// an update slot, whose update is halted and why, which replacement runs beside its predecessor
// (surge), and when the reload is finished or rolled back. Each function is pure: it maps a
// snapshot of plain values to a decision. The orchestrator applies the decisions.
//
// No wait is circular. An instance to be stopped waits for dependents to be stopped, and these
// for theirs. An instance to be started waits for its dependencies, and these for theirs. An
// instance without an update slot waits for instances of its own child that have one, and these
// wait only to be stopped or to be started. So no other instance may wait for the end of an
// instance without a slot: an instance gets a slot at once if a child that it depends on goes down.
//
// An instance to be started also waits for the end of processes that have an address it needs (a
// hand-over, see plan.HandOvers). So the end of such a process never waits for a start:
//   - its instance gets a slot at once, once another instance waits for it;
//   - it is not replaced with an overlap, in which the end waits for the next process;
//   - it does not wait until a oneshot has completed, and neither do its dependents that are to be
//     stopped before it.
//
// What remains is the order of the stops, which has no circle. A start then waits for ends, which
// wait only for ends, and for the starts of its dependencies.
package rollout

import "tp0/supervisor/lifecycle"

// Goal is what the configuration, or a request, wants of an instance. While a process is stopped to
// be replaced, the goal is Run again: the state is then lifecycle.Replacing, and the next process
// follows.
type Goal uint8

// The goals.
const (
	Run     Goal = iota
	Replace      // the process is to be replaced by one of the next specification
	Hold         // a request stopped the instance: no process follows until a request starts it
	End          // the instance is to be stopped and removed
)

// Role says which of the processes of one name an instance is.
type Role uint8

// The roles.
const (
	Current Role = iota // the instance of this name
	Surge               // the replacement of the current one, until it is ready
	Retired             // it was replaced, or is a surge that is not wanted any more
)

// SurgeState is the state of the surge of an instance.
type SurgeState uint8

// The states of a surge.
const (
	NoSurge       SurgeState = iota
	SurgeStarting            // it has not been ready for min_ready yet
	SurgeUpdated             // it has been ready for min_ready
	SurgeFailed              // it ended and is not started again
)

// Instance is the snapshot of one instance.
type Instance struct {
	Name    string
	Child   string
	State   lifecycle.State
	Goal    Goal
	Role    Role
	HasSlot bool // it holds an update slot of its child
	// Unconfirmed says that a reload brought the specification of the process, and that no process
	// of that specification has been ready for min_ready, or has completed. With the goal Replace
	// that specification is the old one.
	Unconfirmed bool
	GivenUp     bool // its update was halted, so its process is one of an older specification
	Surge       SurgeState
	AllowSurge  bool // the next specification asks for an overlapping update
	MaxParallel int  // update slots of the child, by the next specification
	// Needs names the children that the instance depends on while it runs: they stop after it.
	Needs []string
	// FailedDependency names a failed instance of a child that this one depends on.
	FailedDependency string
	MayStart         bool // it is waiting, and neither a dependency nor an address is missing
	HandOver
}

// HandOver is the part of an instance in the hand-overs of addresses from processes that end to
// processes that start.
type HandOver struct {
	Gives bool // the process has an address that the process of another instance needs
	// Awaited says that this other instance waits already: it has no process, or an update slot.
	Awaited bool
	Takes   bool // the next process needs an address that another process still has
	// NotGiven names an instance that has such an address and keeps it, since its update is
	// halted.
	NotGiven string
	// Blocks says that another instance which is about to end waits for the end of this one.
	Blocks bool
}

// stops reports whether the goal is that no process follows the present one.
func (g Goal) stops() bool { return g == Hold || g == End }

// Updated reports whether the process has proved its specification: it is ready, and was ready for
// min_ready, or it has completed.
func (i Instance) Updated() bool { return i.State.Satisfied() && !i.Unconfirmed }
