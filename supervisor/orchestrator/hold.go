package orchestrator

import (
	"slices"

	"tp0/supervisor/api"
	"tp0/supervisor/config"
	"tp0/supervisor/lifecycle"
	"tp0/supervisor/orchestrator/rollout"
)

// holdInstances stops instances and keeps them stopped, also over reloads, until a request starts
// them. Their dependents keep their processes. An instance that has ended for good is kept from a
// start by a reload, and its failure still counts for the exit code of the supervisor.
func (o *Orchestrator) holdInstances(instances []*instance, by api.Requester) {
	for _, inst := range instances {
		if inst.goal == rollout.Hold {
			continue
		}
		inst.dropSurge()
		inst.goal, inst.held, inst.startDue = rollout.Hold, &by, false
		inst.update.hasSlot, inst.update.restart = false, false
		inst.stopMonitoring()
		if inst.next != nil && !inst.state.HasProcess() {
			inst.adoptNext()
		}
	}
}

// startInstances starts the instances that are stopped or have ended for good. A restart delay ends
// at once. An instance that runs keeps its process. One that fails or ends at the moment is started
// once its descendants and its hooks have ended.
func (o *Orchestrator) startInstances(instances []*instance) {
	for _, inst := range instances {
		held := inst.goal == rollout.Hold
		if inst.goal == rollout.Replace && inst.state.HasProcess() {
			continue // it runs, and its update goes on
		}
		inst.goal, inst.held = rollout.Run, nil
		switch {
		case inst.state.Final(), inst.state == lifecycle.BackingOff:
			inst.forgetEnds()
			o.apply(inst, lifecycle.Replace)
		case inst.state == lifecycle.Stopping:
			o.apply(inst, lifecycle.Replace) // the next process follows the present one
		case inst.state.IsEnding():
			inst.startDue = true
		case held && inst.state.HasProcess() && inst.next != nil:
			o.replaceProcess(inst, inst.next) // a reload changed it meanwhile
		case held && inst.state == lifecycle.Ready:
			o.startMonitoring(inst) // its stop waited for that of its dependents
		}
	}
}

// startEnded starts an instance whose process ended while a request to start it waited. An instance
// that has completed is not started again.
func (o *Orchestrator) startEnded(inst *instance) {
	if inst.startDue && (inst.state == lifecycle.Failed || inst.state == lifecycle.BackingOff) {
		inst.forgetEnds()
		o.apply(inst, lifecycle.Replace)
	}
}

// restartInstances replaces the processes of instances, like a reload that changes their
// specification: by update slots, with an overlap if the child has one, and not further than the
// first failure. An instance without a process is started.
func (o *Orchestrator) restartInstances(instances []*instance) {
	for _, inst := range instances {
		if !inst.state.HasProcess() || inst.goal == rollout.Hold {
			o.startInstances([]*instance{inst}) // that replaces a process whose stop has begun
		}
		if inst.state.HasProcess() && inst.state != lifecycle.Replacing &&
			inst.update.surge == nil {
			o.replaceProcess(inst, inst.wanted())
		}
	}
}

// replaceProcess replaces the process of an instance by one of the given specification, as a part
// of the reload that is being applied, or of one that changes nothing else.
func (o *Orchestrator) replaceProcess(inst *instance, spec *config.Instance) {
	if o.reloads.active == nil {
		o.reloads.active = &reload{
			lastApplied: o.cfg, restartOnly: true, cannotRollBack: true,
			halted: map[string]string{}, held: map[string]*api.Requester{},
		}
	}
	r := o.reloads.active
	delete(r.halted, inst.child())
	if !slices.Contains(r.restarts, inst.spec.Name) {
		r.restarts = append(r.restarts, inst.spec.Name)
	}
	inst.goal, inst.next = rollout.Replace, spec
	inst.update.givenUp, inst.update.restart = false, true
}
