package rollout

import "tp0/supervisor/lifecycle"

// Step is what is done next about an instance with an update slot.
type Step uint8

// The steps.
const (
	Wait               Step = iota
	StartSurge              // start the next process beside the present one
	PromoteSurge            // the surge takes the place of the instance, which is stopped
	StopForReplacement      // stop the present process; the next one starts after its end
)

// Conditions are what NextStep needs to know of other instances.
type Conditions struct {
	MayStop bool // no dependent that is about to end still has a process
	// DependenciesReady is true if all dependencies allow a start.
	DependenciesReady bool
	// DependenciesCompleted is true if each dependency that has to complete has completed.
	DependenciesCompleted bool
}

// NextStep returns what is done next to replace the process of an instance.
func NextStep(i Instance, down map[string]bool, c Conditions) Step {
	hasProcess := i.State.HasProcess()
	switch {
	case i.Goal != Replace || !i.HasSlot:
		return Wait
	case UsesSurge(i, down):
		switch {
		case i.Surge == NoSurge && c.DependenciesReady:
			return StartSurge
		case i.Surge == SurgeUpdated, i.Surge != NoSurge && !hasProcess:
			return PromoteSurge
		}
		return Wait
	case !c.MayStop:
		return Wait
	case c.DependenciesCompleted, DependsOnDown(i, down), i.Awaited, i.Blocks, !hasProcess:
		return StopForReplacement
	}
	return Wait
}

// Change is what a new configuration means for a process.
type Change uint8

// The changes.
const (
	Keep           Change = iota // the process is kept; only its policy may be new
	KeepSurge                    // the surge is what the new configuration wants
	ReplaceProcess               // the process is replaced
)

// ChangeOf returns what a new configuration means for an instance in a state. sameLaunch says
// whether the process was launched as the configuration wants it. surgeSameLaunch says whether the
// instance has a surge that was launched as the configuration wants it.
func ChangeOf(s lifecycle.State, sameLaunch, surgeSameLaunch bool) Change {
	switch {
	case surgeSameLaunch:
		return KeepSurge
	case s == lifecycle.Replacing, s == lifecycle.Stopping, s == lifecycle.Stopped, !sameLaunch:
		return ReplaceProcess
	}
	return Keep
}
