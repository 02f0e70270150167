package orchestrator

import (
	"fmt"
	"slices"
	"strings"

	"tp0/supervisor/api"
	"tp0/supervisor/lifecycle"
	"tp0/supervisor/orchestrator/rollout"
)

// answerOperations reports the progress of the operations, and answers those that are done.
func (o *Orchestrator) answerOperations() {
	for _, op := range slices.Clone(o.operations.waiting) {
		o.reportProgress(op)
		if result, done := o.resultOf(op); done {
			o.operations.remove(op)
			op.answer <- operationAnswer{result: result}
		}
	}
}

// reportProgress reports the new states of the instances of an operation.
func (o *Orchestrator) reportProgress(op *operation) {
	for _, t := range op.targets {
		inst := o.currentNamed(t.name)
		if inst == nil || inst.state == t.reported {
			continue
		}
		t.reported = inst.state
		select {
		case op.progress <- api.Progress{
			Instance: t.name, State: inst.state.ID(),
			Message: fmt.Sprintf("%s is %s", t.name, inst.state),
		}:
		default: // the requester does not read
		}
	}
}

// resultOf returns the result of an operation once it is done.
func (o *Orchestrator) resultOf(op *operation) (result api.Result, done bool) {
	if op.Verb == api.Reload {
		return o.resultOfReload(op)
	}
	if op.Verb == api.Shutdown {
		done = o.shutdown.phase == finished
		return api.Result{OK: true, Message: "all children have ended"}, done
	}
	result, done = api.Result{OK: true, Failed: map[string]string{}}, true
	for _, t := range op.targets {
		reached, failure := o.progressOf(op, t)
		if failure != "" {
			result.OK = false
			result.Failed[t.name] = failure
		}
		done = done && (reached || failure != "")
	}
	result.Message = op.summary(result.Failed)
	return result, done
}

// summary returns the message of the result of an operation.
func (op *operation) summary(failed map[string]string) string {
	done := map[api.Verb]string{
		api.Start: "started", api.Stop: "stopped", api.Restart: "restarted",
		api.Signal: "signalled", api.Wait: op.For,
	}[op.Verb]
	var names, reasons []string
	for _, t := range op.targets {
		if reason := failed[t.name]; reason != "" {
			reasons = append(reasons, t.name+": "+reason)
		} else {
			names = append(names, t.name)
		}
	}
	parts := reasons
	if len(names) > 0 {
		parts = slices.Insert(parts, 0, strings.Join(names, ", ")+" "+done)
	}
	return strings.Join(parts, "; ")
}

func (o *Orchestrator) resultOfReload(op *operation) (result api.Result, done bool) {
	switch {
	case o.shutdown.phase != running:
		return api.Result{Message: "a stop of the supervisor began before it was applied"}, true
	case !op.loaded:
		return api.Result{}, false
	case o.reloads.active == nil:
		return o.reloads.last, true
	case len(o.reloads.active.halted) > 0:
		return api.Result{Message: o.haltedReload()}, true
	}
	return api.Result{}, false
}

// progressOf reports whether an instance has reached what an operation is for, or why it will not.
func (o *Orchestrator) progressOf(op *operation, t *target) (reached bool, failure string) {
	inst := o.currentNamed(t.name)
	switch {
	case op.Verb == api.Signal:
		if inst == nil || t.process == 0 || !inst.state.HasProcess() || inst.runsHook() {
			return false, "it has no process"
		}
		return true, ""
	case op.Verb == api.Stop || op.For == waitStopped:
		return o.hasStopped(op, inst)
	case o.shutdown.phase != running:
		return false, "a stop of the supervisor has begun"
	case inst == nil, inst.goal == rollout.End:
		return false, "a reload removed it"
	case inst.goal == rollout.Hold:
		return false, "it is stopped, by " + inst.held.String()
	case inst.state.HasFailed() && !inst.startDue:
		return false, "it failed: " + inst.restarts.last.Reason
	}
	if dependency := o.stoppedDependency(inst); dependency != "" {
		return false, dependency
	}
	if op.Verb == api.Restart {
		return o.hasRestarted(inst, t)
	}
	if inst.spec.Policy.Oneshot {
		return inst.state == lifecycle.Succeeded, ""
	}
	return inst.serves() || inst.state == lifecycle.Succeeded, ""
}

// hasStopped reports whether an instance has stopped and stays so, or why it will not.
func (o *Orchestrator) hasStopped(op *operation, inst *instance) (reached bool, failure string) {
	switch {
	case inst == nil:
		return true, ""
	case op.Verb == api.Stop && !inst.stops() && !inst.state.Final():
		return false, "another request started it"
	}
	return inst.state.Final() && (inst.goal != rollout.Replace), ""
}

// hasRestarted reports whether an instance has a new process that has proved itself, or why it will
// not have one.
func (o *Orchestrator) hasRestarted(inst *instance, t *target) (reached bool, failure string) {
	if r := o.reloads.active; r != nil && r.halted[inst.child()] != "" && !inst.confirmed() {
		return false, r.halted[inst.child()]
	}
	if inst.update.givenUp {
		return false, "its restart was given up after the failure of another instance"
	}
	replaced := inst.process.id != t.process && inst.goal == rollout.Run
	if replaced && inst.state == lifecycle.Succeeded && !inst.confirmed() &&
		!inst.spec.Policy.Oneshot {
		return false, "its new process ended before it had been ready for min_ready"
	}
	return replaced && inst.confirmed(), ""
}

// stoppedDependency says why an instance does not start before a request: a dependency of it failed
// or is kept stopped. Empty: it does not wait for such a one.
func (o *Orchestrator) stoppedDependency(inst *instance) string {
	if inst.state != lifecycle.Waiting {
		return ""
	}
	if name := o.failedDependency(inst); name != "" {
		return "it waits for " + name + ", which has failed"
	}
	for _, d := range inst.dependsOn {
		for _, other := range o.groups[d.Child] {
			if other.goal == rollout.Hold {
				return fmt.Sprintf("it waits for %s, which is stopped: start %s too",
					other.spec.Name, other.spec.Name)
			}
		}
	}
	return ""
}

// currentNamed returns the instance with a name that is neither a surge nor retired, or nil.
func (o *Orchestrator) currentNamed(name string) *instance {
	for _, inst := range o.instances {
		if inst.current() && inst.spec.Name == name {
			return inst
		}
	}
	return nil
}
