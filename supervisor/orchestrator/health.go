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
// begun. A halted reload is only a note while other instances of the child serve: a bad edit must
// not take every replica of a service down.
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
		if dead && h.Dead == "" && (h.Note == "" || !o.survivesFailure(inst)) {
			h.Dead = reason
			if h.Note != "" {
				h.Dead += "; " + h.Note
			}
		}
	}
	return h
}

// survivesFailure reports whether a restart of the supervisor would make a failure in a halted
// reload worse: the supervisor would start with the bad edit. Another instance serves, or a oneshot
// keeps its dependents as they are.
func (o *Orchestrator) survivesFailure(inst *instance) bool {
	return inst.state != lifecycle.Failed || inst.spec.Policy.Oneshot || o.anotherReady(inst)
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
	case state == lifecycle.Ready && !inst.serves():
		return name + " stops by itself: it sent STOPPING=1", false
	case inst.spec.Policy.Oneshot && state != lifecycle.Succeeded:
		return fmt.Sprintf("%s has not completed", name), false
	}
	return "", false
}

// reportAllReady reports when all instances become ready or completed, for the first time and
// later. During a reload it reports nothing: the next instance to be replaced is still ready. After
// the first report, an instance that was restarted counts once it has been ready for inspectAfter:
// a child without a ready block is ready at each start of a crash loop.
func (o *Orchestrator) reportAllReady() {
	unhealthy := func(inst *instance) bool {
		reason, _ := o.unhealthy(inst)
		return reason != ""
	}
	ready := o.shutdown.phase == running && !slices.ContainsFunc(o.instances, unhealthy)
	if ready && o.updating() {
		return // some instances are about to be replaced
	}
	unsteady := func(inst *instance) bool {
		return inst.restarts.history.Count() > 0 && inst.state == lifecycle.Ready &&
			!inst.health.steady
	}
	if ready && o.allReady.reported && !o.allReady.now &&
		slices.ContainsFunc(o.instances, unsteady) {
		return
	}
	if ready && !o.allReady.now {
		o.allReady.reported = true
		e := event.AllReady{Children: len(o.instances)}
		for _, inst := range o.instances {
			if inst.state == lifecycle.Succeeded {
				e.Completed++
			}
		}
		o.opt.Sink.Emit(e)
	}
	o.allReady.now = ready
}

// updating reports whether a reload is being applied and not halted.
func (o *Orchestrator) updating() bool {
	return o.reloads.active != nil && len(o.reloads.active.halted) == 0
}
