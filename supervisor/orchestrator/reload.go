package orchestrator

import (
	"fmt"

	"tp0/supervisor/config"
	"tp0/supervisor/config/plan"
	"tp0/supervisor/event"
	"tp0/supervisor/lifecycle"
	"tp0/supervisor/orchestrator/rollout"
)

// configLoaded is a configuration that was read for a reload.
type configLoaded struct {
	cfg *config.Config
	err error
}

func (o *Orchestrator) onReloadRequest() {
	switch {
	case o.shutdown.phase != running:
		o.opt.Sink.Emit(event.ReloadIgnored{Reason: "a stop is under way"})
	case o.reloads.loading:
		o.reloads.requested = true // the file may have changed since it was read
	default:
		o.reloads.loading = true
		go func() { // no one waits for it: a file system may never answer
			cfg, err := o.opt.Load()
			o.mail.Put(configLoaded{cfg, err})
		}()
	}
}

// onConfigLoaded applies a configuration. A configuration with a fault changes nothing.
func (o *Orchestrator) onConfigLoaded(m configLoaded) {
	o.reloads.loading = false
	switch {
	case o.shutdown.phase != running:
		return // beginStop has reported it
	case m.err == nil:
		m.err = o.openSockets(m.cfg)
	}
	if m.err != nil {
		o.opt.Sink.Emit(event.ConfigRejected{Diagnostics: m.err.Error()})
	} else {
		o.applyConfig(m.cfg)
	}
	if o.reloads.requested {
		o.reloads.requested = false
		o.onReloadRequest()
	}
}

// applyConfig sets the goal of each instance by the new configuration. An instance whose launch did
// not change keeps its process; a new policy applies at once.
func (o *Orchestrator) applyConfig(cfg *config.Config) {
	if o.reloads.active == nil {
		o.reloads.active = &reload{lastApplied: o.cfg}
	}
	r := o.reloads.active
	r.rollbackReason, r.cannotRollBack, r.halted = "", false, map[string]string{}
	o.cfg = cfg
	o.revision++
	o.opt.Configure(cfg)
	removed := map[string]*instance{}
	for _, inst := range o.instances {
		if inst.current() {
			removed[inst.spec.Name] = inst
		}
	}
	after := plan.StoppedAfter(cfg)
	var instances []*instance
	for _, c := range cfg.Children {
		order := order{dependsOn: c.DependsOn, stoppedAfter: after[c.Name], revision: o.revision}
		for _, spec := range c.Instances {
			inst := removed[spec.Name]
			delete(removed, spec.Name)
			if inst == nil {
				inst = &instance{spec: spec, update: update{unconfirmed: true}}
			} else {
				o.setWanted(inst, spec)
			}
			if surge := inst.update.surge; surge != nil {
				surge.order = order
				instances = append(instances, surge)
			}
			inst.order = order
			instances = append(instances, inst)
		}
	}
	o.instances = append(instances, o.endRemoved(removed)...)
	o.regroup()
}

// endRemoved ends the instances that the new configuration does not contain. It returns them with
// those that were retired before, and their surges.
func (o *Orchestrator) endRemoved(removed map[string]*instance) (ending []*instance) {
	for _, inst := range o.instances {
		if removed[inst.spec.Name] == inst || inst.update.retired {
			inst.goal = rollout.End
			ending = append(ending, inst)
		}
		if surge := inst.update.surge; surge != nil && inst.goal == rollout.End {
			inst.dropSurge()
			ending = append(ending, surge)
		}
	}
	return ending
}

// setWanted gives an instance the specification of a new configuration. A process that was launched
// as the new specification says goes on, whatever an earlier reload had planned for it. An instance
// that failed in its update is started again.
func (o *Orchestrator) setWanted(inst *instance, spec *config.Instance) {
	inst.update.givenUp = false
	surge := inst.update.surge
	surgeSame := surge != nil && surge.launchedLike(spec)
	retry := inst.state.Final() && inst.update.unconfirmed
	change := rollout.ChangeOf(inst.state, inst.launchedLike(spec) && !retry, surgeSame)
	if change == rollout.KeepSurge {
		inst.next = spec
		o.setPolicy(surge, spec)
		o.sendReloadSignal(inst) // it serves until the surge is ready
		o.sendReloadSignal(surge)
		return
	}
	inst.dropSurge()
	if change == rollout.ReplaceProcess {
		inst.goal, inst.next = rollout.Replace, spec
		return
	}
	inst.goal, inst.next = rollout.Run, nil
	o.setPolicy(inst, spec)
	o.sendReloadSignal(inst)
}

// setPolicy applies a new policy to a process that goes on.
func (o *Orchestrator) setPolicy(inst *instance, spec *config.Instance) {
	if inst.next != nil { // its process is being stopped, by the policy that it was started with
		inst.next = spec
		return
	}
	was, now := inst.spec.Policy, spec.Policy
	if now.KillSignal != was.KillSignal {
		inst.inspect.disposition = ""
		if inst.state == lifecycle.Ready { // does the process handle the new signal?
			o.actLater(inst, inspectAfter, inspectReady)
		}
	}
	scopeChanged := now.KillScope != was.KillScope || now.Descendants != was.Descendants
	if scopeChanged && inst.state.HasProcess() {
		leave := now.Descendants == config.LeaveDescendants
		o.opt.Processes.SetScope(inst.process.id, now.KillScope, leave)
	}
	inst.spec = spec
	o.awaitMinReady(inst)
	o.restartChecks(inst, was.Checks)
}

// rollBack restores the configuration that was in force before the reload.
func (o *Orchestrator) rollBack(inst *instance, reason string) {
	o.opt.Sink.Emit(event.RollbackStarted{Child: inst.spec.Name, Reason: reason})
	o.applyConfig(o.reloads.active.lastApplied)
	o.reloads.active.rollbackReason = fmt.Sprintf(
		"%s: %s; the previous configuration is in force again", inst.spec.Name, reason)
}

// finishReload reports a reload once it is fully applied.
func (o *Orchestrator) finishReload() {
	r := o.reloads.active
	if r == nil || o.shutdown.phase != running {
		return
	}
	snapshot := o.snapshot()
	for child := range r.halted { // a restart may have completed its update
		if !rollout.StaysHalted(snapshot, child) {
			delete(r.halted, child)
		}
	}
	if len(r.halted) > 0 || !rollout.Finished(snapshot) {
		return
	}
	if r.rollbackReason != "" {
		o.opt.Sink.Emit(event.ConfigRejected{Diagnostics: r.rollbackReason})
	} else {
		o.opt.Sink.Emit(o.configReloaded())
	}
	o.reloads.active = nil
}

// configReloaded returns the report of a reload. An instance that got another process during the
// reload counts as changed, even if its specification is the old one again.
func (o *Orchestrator) configReloaded() event.ConfigReloaded {
	p := plan.Compare(o.reloads.active.lastApplied, o.cfg)
	replaced := map[string]bool{}
	for _, inst := range o.instances {
		replaced[inst.spec.Name] = replaced[inst.spec.Name] || inst.update.gotNewProcess
		inst.update.gotNewProcess = false
	}
	e := event.ConfigReloaded{Added: p.Added, Removed: p.Removed}
	for _, c := range p.Changed {
		e.Changed = append(e.Changed, c.Name)
	}
	for _, name := range p.Kept {
		if replaced[name] {
			e.Changed = append(e.Changed, name)
		} else {
			e.Kept = append(e.Kept, name)
		}
	}
	return e
}
