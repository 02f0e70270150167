package orchestrator

import (
	"slices"

	"tp0/supervisor/config"
	"tp0/supervisor/event"
	"tp0/supervisor/lifecycle"
	"tp0/supervisor/orchestrator/rollout"
)

// mayStart reports whether an instance waits for nothing but its start.
func (o *Orchestrator) mayStart(inst *instance) bool {
	return inst.state == lifecycle.Waiting && o.dependenciesReady(inst) && !inst.waits()
}

// dependenciesReady reports whether all dependencies have reached their conditions.
func (o *Orchestrator) dependenciesReady(inst *instance) bool {
	return !slices.ContainsFunc(inst.dependsOn, func(d config.Dependency) bool {
		return !o.groups[d.Child].satisfy(d.Until)
	})
}

// dependenciesCompleted reports whether each dependency that has to complete has completed.
func (o *Orchestrator) dependenciesCompleted(inst *instance) bool {
	return !slices.ContainsFunc(inst.dependsOn, func(d config.Dependency) bool {
		return !d.StopsAfterDependent() && !o.groups[d.Child].satisfy(d.Until)
	})
}

// findFailed finds the children with a failed instance. No dependent of them can start before
// another configuration comes.
func (o *Orchestrator) findFailed() {
	o.failed = map[string]string{}
	for _, inst := range o.instances {
		if inst.state.HasFailed() && inst.goal == rollout.Run && inst.current() {
			o.failed[inst.child()] = inst.spec.Name
		}
	}
}

// failedDependency returns a failed instance of a child that inst depends on. Empty: there is none.
func (o *Orchestrator) failedDependency(inst *instance) string {
	for _, d := range inst.dependsOn {
		if name := o.failed[d.Child]; name != "" {
			return name
		}
	}
	return ""
}

// blockedBy returns the failed instance that keeps inst from starting. Empty: there is none.
func (o *Orchestrator) blockedBy(inst *instance) string {
	if inst.state != lifecycle.Waiting || inst.goal != rollout.Run {
		return ""
	}
	return o.failedDependency(inst)
}

// reportBlocked reports once that an instance cannot start since a dependency failed.
func (o *Orchestrator) reportBlocked(inst *instance) {
	failed := o.blockedBy(inst)
	if failed != "" && failed != inst.failedDependency && o.shutdown.phase == running {
		o.opt.Sink.Emit(event.DependencyFailed{Child: inst.spec.Name, For: failed})
	}
	inst.failedDependency = failed
}

// mayStop reports whether an instance may be stopped: all its dependents that are about to end have
// ended. A sidecar also waits for all instances that are no sidecars and are about to end. An
// instance without a process may be stopped at any time.
//
// During reloads instances of several revisions of the file exist, and their orders can contradict
// each other: a depended on b, and now b depends on a. So an instance does not wait for a dependent
// of a newer revision: that revision does not contain the instance, or another one has its place.
// A circle of waits would then lie within one revision, and no configuration has a circle. An
// instance that is no sidecar never waits for a sidecar, so no circle leads through both.
func (o *Orchestrator) mayStop(inst *instance) bool {
	if !inst.state.HasProcess() {
		return true
	}
	if inst.sidecar() && (o.blockers.apps || o.blockers.bySidecars.block(inst)) {
		return false
	}
	return !o.blockers.byApps.block(inst)
}

// findBlockers finds the instances that are about to end, by the children that they depend on.
func (o *Orchestrator) findBlockers() {
	o.blockers = blockers{byApps: dependents{}, bySidecars: dependents{}}
	var all []blocker
	for _, inst := range o.instances {
		if !o.aboutToEnd(inst) || o.killOverdue(inst) {
			continue
		}
		b := blocker{inst, o.neededBy(inst)}
		all = append(all, b)
		dependents := o.blockers.bySidecars
		if !inst.sidecar() {
			dependents, o.blockers.apps = o.blockers.byApps, true
		}
		for _, child := range b.needs {
			if oldest, found := dependents[child]; !found || inst.revision < oldest {
				dependents[child] = inst.revision
			}
		}
	}
	if o.reloads.active != nil {
		findBlocking(all, o.neededByWaiting())
	}
}

// neededByWaiting returns the children that instances without a process depend on.
func (o *Orchestrator) neededByWaiting() map[string]bool {
	needed := map[string]bool{}
	for _, inst := range o.instances {
		if inst.state == lifecycle.Waiting && inst.goal == rollout.Run {
			for _, d := range inst.dependsOn {
				needed[d.Child] = true
			}
		}
	}
	return needed
}

// blocker is an instance that is about to end, with the children that it needs.
type blocker struct {
	*instance
	needs []string
}

// blocks reports whether the stop of another instance waits for the end of b: see mayStop.
func (b blocker) blocks(other *instance) bool {
	if other.sidecar() && !b.sidecar() {
		return true
	}
	return b.sidecar() == other.sidecar() && b.revision <= other.revision &&
		slices.Contains(b.needs, other.child())
}

// findBlocking marks the instances whose end the stop of an awaited instance waits for, also by way
// of other instances. An instance is awaited by a hand-over, or since its child is needed.
func findBlocking(all []blocker, needed map[string]bool) {
	type place struct { // what blocks one instance blocks the others of the same place
		child    string
		revision int
		sidecar  bool
	}
	seen := map[place]bool{}
	var blocked []*instance
	add := func(inst *instance) {
		p := place{inst.child(), inst.revision, inst.sidecar()}
		if inst.state.HasProcess() && !seen[p] {
			seen[p] = true
			blocked = append(blocked, inst)
		}
	}
	for _, b := range all {
		b.handOver.blocks = false
		if b.handOver.awaited || needed[b.child()] {
			add(b.instance)
		}
	}
	for i := 0; i < len(blocked); i++ {
		for _, b := range all {
			if b.instance != blocked[i] && b.blocks(blocked[i]) {
				b.handOver.blocks = true
				add(b.instance)
			}
		}
	}
}

// neededBy returns the children that an instance needs as long as it has a process. If a dependency
// has no process any more, its own dependencies are still needed: a database stays after the
// migration of a web server has completed. Only one revision is considered: see mayStop.
func (o *Orchestrator) neededBy(inst *instance) []string {
	all := inst.stoppedAfter
	for i := 0; i < len(all); i++ {
		g := o.groups[all[i]]
		hasProcess := func(inst *instance) bool { return inst.state.HasProcess() }
		if len(g) == 0 || slices.ContainsFunc(g, hasProcess) {
			continue
		}
		dependency := g[0] // all instances of a child have the same dependencies
		if dependency.revision != inst.revision {
			continue
		}
		for _, child := range dependency.stoppedAfter {
			if !slices.Contains(all, child) {
				all = append(slices.Clip(all), child)
			}
		}
	}
	return all
}

// busy reports whether an instance has a process or will have one. Sidecars alone do not count,
// unless all instances are sidecars, as with --only. An instance that a request stopped counts: a
// request can start it again.
func (o *Orchestrator) busy() bool {
	held := func(inst *instance) bool { return inst.goal == rollout.Hold }
	if o.shutdown.phase == running &&
		(o.reloads.loading || slices.ContainsFunc(o.instances, held)) {
		return true
	}
	isApp := func(inst *instance) bool { return !inst.sidecar() }
	sidecarsCount := o.shutdown.phase != running || !slices.ContainsFunc(o.instances, isApp)
	if slices.ContainsFunc(o.instances, func(inst *instance) bool {
		return inst.active() && (sidecarsCount || isApp(inst))
	}) {
		return true
	}
	return !sidecarsCount && o.waitsForSidecar()
}

// waitsForSidecar reports whether an instance that is no sidecar waits for a condition that an
// active sidecar can still reach.
func (o *Orchestrator) waitsForSidecar() bool {
	known := map[*instance]bool{}
	var canStart func(inst *instance) bool
	canStart = func(inst *instance) bool {
		if answer, ok := known[inst]; ok || inst.state != lifecycle.Waiting {
			return answer || inst.active()
		}
		impossible := func(d config.Dependency) bool {
			return slices.ContainsFunc(o.groups[d.Child], func(dependency *instance) bool {
				return !dependency.satisfies(d.Until) && !canStart(dependency)
			})
		}
		known[inst] = !slices.ContainsFunc(inst.dependsOn, impossible)
		return known[inst]
	}
	return slices.ContainsFunc(o.instances, func(inst *instance) bool {
		return !inst.sidecar() && inst.state == lifecycle.Waiting && canStart(inst)
	})
}

// aboutToEnd reports whether an instance has a process that is to be stopped.
func (o *Orchestrator) aboutToEnd(inst *instance) bool {
	switch {
	case inst.state == lifecycle.Replacing:
		return true
	case !inst.state.HasProcess():
		return false
	}
	replaced := inst.goal == rollout.Replace && inst.update.hasSlot
	return inst.stops() ||
		replaced && !rollout.UsesSurge(o.snapshotOf(inst), o.reloads.childrenGoingDown)
}

// snapshot returns all instances as the planner of reloads wants them.
func (o *Orchestrator) snapshot() []rollout.Instance {
	all := make([]rollout.Instance, len(o.instances))
	for i, inst := range o.instances {
		all[i] = o.snapshotOf(inst)
	}
	return all
}

func (o *Orchestrator) snapshotOf(inst *instance) rollout.Instance {
	p := &inst.wanted().Policy
	i := rollout.Instance{
		Name: inst.spec.Name, Child: inst.child(), State: inst.state, Goal: inst.goal,
		HasSlot: inst.update.hasSlot, Unconfirmed: inst.update.unconfirmed,
		GivenUp: inst.update.givenUp, AllowSurge: p.OverlapUpdate, MaxParallel: p.MaxParallel,
		FailedDependency: o.failedDependency(inst), MayStart: o.mayStart(inst),
	}
	if h := &inst.handOver; o.reloads.active != nil {
		i.Gives, i.Awaited, i.Blocks, i.Takes = h.gives, h.awaited, h.blocks, inst.waits()
		if len(o.reloads.active.halted) > 0 {
			i.NotGiven = inst.notGiven()
		}
	}
	switch {
	case inst.update.retired:
		i.Role = rollout.Retired
	case inst.update.surgeOf != nil:
		i.Role = rollout.Surge
	}
	if surge := inst.update.surge; surge != nil {
		switch {
		case surge.confirmed():
			i.Surge = rollout.SurgeUpdated
		case surge.goal == rollout.Run && surge.state.Final():
			i.Surge = rollout.SurgeFailed
		default:
			i.Surge = rollout.SurgeStarting
		}
	}
	for _, d := range inst.dependsOn {
		if d.StopsAfterDependent() {
			i.Needs = append(i.Needs, d.Child)
		}
	}
	return i
}
