package orchestrator

import (
	"fmt"
	"maps"
	"slices"

	"tp0/supervisor/event"
	"tp0/supervisor/lifecycle"
	"tp0/supervisor/orchestrator/rollout"
)

// planUpdates has the planner decide which instances are updated now, and applies the decisions.
func (o *Orchestrator) planUpdates() {
	o.reloads.childrenGoingDown = nil
	if o.reloads.active == nil {
		return
	}
	snapshot := o.snapshot()
	o.reloads.childrenGoingDown = rollout.Down(snapshot)
	for _, d := range rollout.Plan(snapshot, o.reloads.childrenGoingDown) {
		inst := o.instances[d.Index]
		switch d.Action {
		case rollout.GrantSlot:
			inst.update.hasSlot = true
		case rollout.ReturnSlot:
			inst.update.hasSlot = false
		case rollout.Halt:
			o.haltUpdate(inst, d.Reason)
		}
	}
}

// haltUpdate gives the update of an instance up. It keeps its process.
func (o *Orchestrator) haltUpdate(inst *instance, reason string) {
	child := inst.child()
	inst.dropSurge()
	inst.goal, inst.next, inst.update.hasSlot = rollout.Run, nil, false
	o.sendReloadSignal(inst)
	if o.reloads.active.halted[child] == "" {
		o.reloads.active.halted[child] = reason
		o.opt.Sink.Emit(event.ReloadHalted{Child: child, Reason: reason})
	}
}

// haltedReload says why the reload is halted. Empty: it is not.
func (o *Orchestrator) haltedReload() string {
	if o.reloads.active == nil {
		return ""
	}
	halted := o.reloads.active.halted
	for _, child := range slices.Sorted(maps.Keys(halted)) {
		return fmt.Sprintf("the reload of %s is halted: %s", child, halted[child])
	}
	return ""
}

// advanceUpdate takes the next step of the update of an instance. It reports whether there was one.
func (o *Orchestrator) advanceUpdate(inst *instance) bool {
	switch rollout.NextStep(o.snapshotOf(inst), o.reloads.childrenGoingDown, rollout.Conditions{
		MayStop:               o.mayStop(inst),
		DependenciesReady:     o.dependenciesReady(inst),
		DependenciesCompleted: o.dependenciesCompleted(inst),
	}) {
	case rollout.Wait:
		return false
	case rollout.StartSurge:
		o.startSurge(inst)
	case rollout.PromoteSurge:
		o.promoteSurge(inst)
	case rollout.StopForReplacement:
		inst.goal = rollout.Run // by next, which apply adopts once the process has ended
		o.apply(inst, lifecycle.Replace)
	}
	return true
}

// startSurge adds a second instance of the same name, with the next specification.
func (o *Orchestrator) startSurge(inst *instance) {
	surge := &instance{spec: inst.next, order: inst.order}
	surge.update = update{unconfirmed: true, gotNewProcess: true, surgeOf: inst}
	inst.update.surge = surge
	at := slices.Index(o.instances, inst)
	o.instances = slices.Insert(slices.Clone(o.instances), at, surge)
}

// promoteSurge puts the surge in the place of the instance, which is stopped.
func (o *Orchestrator) promoteSurge(inst *instance) {
	surge := inst.update.surge
	surge.update.surgeOf, surge.update.hasSlot = nil, !surge.updated()
	inst.update.surge, inst.next = nil, nil
	inst.retire()
	o.regroup()
}
