package orchestrator

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"tp0/supervisor/event"
	"tp0/supervisor/lifecycle"
	"tp0/supervisor/orchestrator/rollout"
)

// planUpdates has the planner decide which instances are updated now, and applies the decisions.
func (o *Orchestrator) planUpdates() {
	o.reloads.childrenGoingDown = nil
	r := o.reloads.active
	if r == nil {
		return
	}
	for halted := true; halted; { // a halt can halt other instances: see rollout.HandOver
		halted = false
		o.findAwaited()
		snapshot := o.snapshot()
		o.reloads.childrenGoingDown = rollout.Down(snapshot)
		for _, d := range rollout.Plan(snapshot, o.reloads.childrenGoingDown, r.halted) {
			inst := o.instances[d.Index]
			switch d.Action {
			case rollout.GrantSlot:
				inst.update.hasSlot = true
			case rollout.ReturnSlot:
				inst.update.hasSlot = false
			case rollout.Halt:
				o.haltChild(inst.child(), d.Reason)
				o.giveUpUpdate(inst)
				halted = true
			}
		}
	}
}

// haltChild halts the update of a child.
func (o *Orchestrator) haltChild(child, reason string) {
	r := o.reloads.active
	if r.halted[child] != "" {
		return
	}
	kept := rollout.KeptAtHalt(o.snapshot(), child)
	if len(kept) > 0 && r.rollbackReason != "" {
		reason += "; the rollback is not complete: the rejected configuration still runs in " +
			strings.Join(kept, ", ")
	}
	r.halted[child] = reason
	o.opt.Sink.Emit(event.ReloadHalted{
		Child: child, Reason: reason, Restart: r.restartOnly,
	})
}

// giveUpUpdate gives the update of an instance up. It keeps its process. In a rollback that process
// is one of the rejected configuration: after its end the instance is replaced all the same.
func (o *Orchestrator) giveUpUpdate(inst *instance) {
	inst.dropSurge()
	inst.goal, inst.update.hasSlot, inst.update.givenUp = rollout.Run, false, true
	if o.reloads.active.rollbackReason == "" {
		inst.next, inst.handOver.takes = nil, nil
	}
	o.sendReloadSignal(inst)
}

// applyFailure applies the event of a failure of an instance: its process ended, was not ready in
// time, or failed a check. The failure of a new process takes the active reload back, or halts the
// update of its child.
func (o *Orchestrator) applyFailure(inst *instance, e lifecycle.Event, reason string) {
	ended, final := e.Ended(), e == lifecycle.EndedWell || e == lifecycle.EndedBadly ||
		e == lifecycle.FailureHookDue
	verdict := o.judgeFailure(inst, !final)
	switch {
	case verdict == rollout.RollBack:
		if ended {
			e = lifecycle.EndedUnwanted
		}
		o.apply(inst, e)
		o.rollBack(inst, reason)
		return
	case verdict == rollout.HaltUpdate:
		which := "new"
		if o.reloads.active.rollbackReason != "" {
			which = "restored"
		}
		o.haltChild(inst.child(),
			fmt.Sprintf("the %s %s has failed: %s", which, inst.spec.Name, reason))
		old := inst.update.surgeOf
		if ended && old != nil && old.state == lifecycle.Ready {
			e = lifecycle.EndedUnwanted // the old process stays
		}
	}
	o.apply(inst, e)
}

// judgeFailure returns what the failure of an instance means for the active reload. Before a
// rollback it opens the sockets of the previous configuration. If a socket cannot be opened, it
// emits a warning, and no rollback is possible.
func (o *Orchestrator) judgeFailure(inst *instance, restarts bool) rollout.Verdict {
	r := o.reloads.active
	if r == nil || o.shutdown.phase != running {
		return rollout.Unaffected
	}
	judge := func() rollout.Verdict {
		return rollout.Judge(rollout.Reload{
			Enabled: o.cfg.Reload.Rollback, RollingBack: r.rollbackReason != "",
			Impossible: r.cannotRollBack,
		}, rollout.Failure{
			Goal: inst.goal, Unconfirmed: inst.update.unconfirmed, Restarts: restarts,
			Oneshot: inst.spec.Policy.Oneshot,
		})
	}
	verdict := judge()
	if verdict != rollout.RollBack {
		return verdict
	}
	if err := o.openSockets(r.lastApplied, o.differenceTo(r.lastApplied)); err != nil {
		r.cannotRollBack = true
		o.opt.Sink.Emit(event.Warning{What: "cannot roll back", Reason: err.Error()})
	}
	return judge()
}

// haltedReload says why the reload is halted. Empty: it is not.
func (o *Orchestrator) haltedReload() string {
	r := o.reloads.active
	if r == nil {
		return ""
	}
	what := "reload"
	switch {
	case r.restartOnly:
		what = "restart"
	case r.rollbackReason != "":
		what = "rollback"
	}
	for _, child := range slices.Sorted(maps.Keys(r.halted)) {
		return fmt.Sprintf("the %s of %s is halted: %s", what, child, r.halted[child])
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
	surge.handOver.takes = inst.handOver.takes
	inst.update.surge = surge
	at := slices.Index(o.instances, inst)
	o.instances = slices.Insert(slices.Clone(o.instances), at, surge)
}

// promoteSurge puts the surge in the place of the instance, which is stopped.
func (o *Orchestrator) promoteSurge(inst *instance) {
	surge := inst.update.surge
	surge.update.surgeOf, surge.update.hasSlot = nil, !surge.confirmed()
	surge.restarts.spawned += inst.restarts.spawned
	surge.restarts.lastExit = inst.restarts.lastExit
	inst.update.surge, inst.next = nil, nil
	inst.retire()
	if surge.state == lifecycle.Stopped { // it failed just before the old process ended
		o.apply(surge, lifecycle.Replace)
	}
	o.regroup()
}
