package rollout

import "tp0/supervisor/lifecycle"

// Action is a decision about one instance.
type Action uint8

// The actions.
const (
	GrantSlot  Action = iota // the update of the instance may begin
	ReturnSlot               // the update of the instance is done
	Halt                     // the instance keeps its process and is not updated
)

// Decision is an action and the instance that it is about.
type Decision struct {
	Index  int // of the instance in the snapshot
	Action Action
	Reason string // of Halt
}

// Plan returns the decisions about a snapshot, in the order in which they are to be applied. down
// is the result of Down for the same snapshot. halted says, by child, why its update is halted.
//
// An instance that is not ready gets a slot at once, even above MaxParallel: its replacement makes
// nothing worse. An instance with a dependency that goes down gets one at once too, and so does an
// instance whose address another one waits for: see the package comment. These slots count, so the
// other instances of the child wait until they are returned. The free slots go first to instances
// that need not wait for an address: of three that each move to the port of the next one, the last
// one begins.
//
// Halt concerns only instances that are ready or have completed: they keep their process, and a
// surge that is not confirmed yet is dropped. The others are still replaced.
func Plan(instances []Instance, down map[string]bool, halted map[string]string) []Decision {
	var decisions []Decision
	used := map[string]int{}
	for index, i := range instances {
		if i.HasSlot && i.Goal == Run && i.Updated() {
			i.HasSlot = false
			decisions = append(decisions, Decision{Index: index, Action: ReturnSlot})
		}
		if i.HasSlot && !i.Goal.stops() {
			used[i.Child]++
		}
	}
	for _, takes := range []bool{false, true} {
		for index, i := range instances {
			if i.Goal != Replace || i.Takes != takes {
				continue
			}
			reason := haltReason(i, halted)
			atOnce := !i.State.Satisfied() || i.Awaited || DependsOnDown(i, down)
			switch {
			case reason != "" && i.State.Satisfied() && i.Surge != SurgeUpdated:
				decisions = append(decisions, Decision{Index: index, Action: Halt, Reason: reason})
			case !i.HasSlot && (atOnce || used[i.Child] < i.MaxParallel):
				used[i.Child]++
				decisions = append(decisions, Decision{Index: index, Action: GrantSlot})
			}
		}
	}
	return decisions
}

// haltReason says why the update of an instance is to be halted. Empty: it is not.
func haltReason(i Instance, halted map[string]string) string {
	switch {
	case halted[i.Child] != "":
		return halted[i.Child]
	case i.FailedDependency != "":
		return "it needs " + i.FailedDependency + ", which has failed"
	case i.NotGiven != "":
		return "it needs an address of " + i.NotGiven + ", whose update is halted"
	}
	return ""
}

// Finished reports whether a reload is fully applied: instances that are removed or were stopped by
// a request have ended, and all others are updated, have ended for good, or wait for a dependency
// that is not ready. The caller checks
// before whether the reload is halted.
func Finished(instances []Instance) bool {
	for _, i := range instances {
		switch {
		case i.Goal == Hold && !i.State.HasProcess():
			continue
		case i.Goal != Run:
			return false
		case i.State == lifecycle.Waiting && i.MayStart:
			return false
		case i.State == lifecycle.Ready && !i.Updated():
			return false
		case i.State == lifecycle.BackingOff, i.State.HasProcess() && i.State != lifecycle.Ready:
			return false
		}
	}
	return true
}
