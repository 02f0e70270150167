package orchestrator

import (
	"fmt"
	"slices"
	"time"

	"tp0/supervisor/lifecycle"
)

// awaitMinReady confirms the update of an instance once its process has been ready for min_ready. A
// oneshot is confirmed when it completes.
func (o *Orchestrator) awaitMinReady(inst *instance) {
	p := &inst.spec.Policy
	if !inst.serves() || !inst.update.unconfirmed || p.Oneshot {
		return
	}
	left := p.MinReady - (o.clock.Ran() - inst.process.ran.ready)
	if left > 0 {
		o.actLater(inst, left, minReadyOver)
		return
	}
	inst.update.unconfirmed = false
}

// sinceReady returns a text for the failure of a new process at a time. Empty: the process was not
// ready before, or it has been ready for min_ready.
func (inst *instance) sinceReady(at time.Time) string {
	if !inst.update.unconfirmed || inst.health.readyAt.IsZero() || inst.spec.Policy.Oneshot {
		return ""
	}
	elapsed := max(at.Sub(inst.health.readyAt), 0) // the exit can be seen before the readiness
	return fmt.Sprintf(" %v after it was ready; its min_ready is %v",
		elapsed.Round(time.Millisecond), inst.spec.Policy.MinReady)
}

// isBadUpdate reports whether the end of an instance concerns only an update: a reload brought its
// specification, no process has proved it, and another instance of the child is ready. on_failure
// and critical do not apply to such an end.
func (o *Orchestrator) isBadUpdate(inst *instance) bool {
	return inst.update.unconfirmed && !inst.spec.Policy.Oneshot && o.anotherReady(inst)
}

// anotherReady reports whether another instance of the child is ready and stays.
func (o *Orchestrator) anotherReady(inst *instance) bool {
	return slices.ContainsFunc(o.instances, func(other *instance) bool {
		return other != inst && other.child() == inst.child() &&
			other.state == lifecycle.Ready && !other.stops()
	})
}
