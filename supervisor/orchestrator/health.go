package orchestrator

import (
	"fmt"
	"slices"

	"tp0/supervisor/control"
	"tp0/supervisor/event"
	"tp0/supervisor/lifecycle"
)

// currentHealth returns what is not healthy. An instance that is being restarted is not ready. An
// instance that failed makes the supervisor dead, since nothing restarts it, unless a stop has
// begun. A halted reload is only a note: the instances that were not replaced serve as before, and
// a bad edit must not take every replica of a service down.
func (o *Orchestrator) currentHealth() (h control.Health) {
	h.Note = o.haltedReload()
	if o.shutdown.phase != running {
		h.Unready = "stopping"
		return h
	}
	o.findFailed()
	for _, inst := range o.instances {
		if h.Note != "" && !inst.current() {
			continue // a new version that failed beside the old one
		}
		reason, dead := o.unhealthy(inst)
		if reason != "" && h.Unready == "" {
			h.Unready = reason
		}
		// While a reload is halted, a restart of the supervisor would start with the bad edit.
		if dead && h.Dead == "" && h.Note == "" {
			h.Dead = reason
		}
	}
	return h
}

// unhealthy returns why an instance is not healthy; empty: it is. dead says that it is not
// restarted.
func (o *Orchestrator) unhealthy(inst *instance) (reason string, dead bool) {
	name, state := inst.spec.Name, inst.state
	failed := o.blockedBy(inst)
	switch {
	case !inst.current() && state != lifecycle.Failed:
		return "", false // a surge or a retired instance does not count: the current one does
	case failed != "":
		return fmt.Sprintf("%s waits for %s, which has failed", name, failed), true
	case !state.Satisfied():
		reason = fmt.Sprintf("%s is %s", name, state)
		if status := inst.notified.status; status != "" {
			reason += ": " + status
		}
		return reason, state == lifecycle.Failed
	case inst.spec.Policy.Oneshot && state != lifecycle.Succeeded:
		return fmt.Sprintf("%s has not completed", name), false
	}
	return "", false
}

// reportAllReady reports when all instances become ready or completed, for the first time and
// later. During a reload it reports nothing: the next instance to be replaced is still ready.
func (o *Orchestrator) reportAllReady() {
	unhealthy := func(inst *instance) bool {
		reason, _ := o.unhealthy(inst)
		return reason != ""
	}
	ready := o.shutdown.phase == running && !slices.ContainsFunc(o.instances, unhealthy)
	if ready && o.updating() {
		return // some instances are about to be replaced
	}
	if ready && !o.allReady {
		e := event.AllReady{Children: len(o.instances)}
		for _, inst := range o.instances {
			if inst.state == lifecycle.Succeeded {
				e.Completed++
			}
		}
		o.opt.Sink.Emit(e)
	}
	o.allReady = ready
}

// updating reports whether a reload is being applied and not halted.
func (o *Orchestrator) updating() bool {
	return o.reloads.active != nil && len(o.reloads.active.halted) == 0
}
