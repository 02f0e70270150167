package orchestrator

import (
	"context"
	"fmt"
	"time"

	"tp0/supervisor/api"
	"tp0/supervisor/config"
	"tp0/supervisor/config/plan"
	"tp0/supervisor/event"
	"tp0/supervisor/lifecycle"
	"tp0/supervisor/orchestrator/rollout"
	"tp0/supervisor/process"
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
		o.reloads.loads++
		go func() { // no goroutine waits for it: a file system may never answer
			cfg, err := o.opt.Load()
			o.mail.Put(configLoaded{cfg, err})
		}()
	}
}

// onConfigLoaded handles a configuration that was read. One with a fault changes nothing.
func (o *Orchestrator) onConfigLoaded(m configLoaded) {
	if m.err == nil && o.shutdown.phase == running {
		d := o.differenceTo(m.cfg)
		if ids := d.ids(); len(ids) > 0 && len(d.starting) > 0 {
			o.findListeners(m.cfg, ids)
			return
		}
	}
	o.finishLoad(m)
}

// listenersTimeout bounds the search for the listeners of the processes that a reload ends.
const listenersTimeout = 500 * time.Millisecond

// listenersFound is the result of that search.
type listenersFound struct {
	cfg       *config.Config
	addresses map[process.ID][]string
	err       error
}

// findListeners finds out where the processes that a reload ends listen: a process that the reload
// starts may need the same addresses. The reload continues with onListenersFound.
func (o *Orchestrator) findListeners(cfg *config.Config, ids []process.ID) {
	ctx, cancel := context.WithTimeout(o.ctx, listenersTimeout)
	go func() {
		defer cancel()
		addresses, err := o.opt.Processes.Listeners(ctx, ids)
		o.mail.Put(listenersFound{cfg, addresses, err})
	}()
}

func (o *Orchestrator) onListenersFound(m listenersFound) {
	for _, inst := range o.instances {
		if addresses, ok := m.addresses[inst.process.id]; ok {
			inst.process.listens = addresses
		}
	}
	if m.err != nil && o.shutdown.phase == running {
		o.opt.Sink.Emit(event.Warning{What: "listeners unknown", Reason: fmt.Sprintf(
			"the search for the listeners of the processes that the reload ends: %v", m.err)})
	}
	o.finishLoad(configLoaded{cfg: m.cfg})
}

// finishLoad applies a configuration that was read, or reports its fault.
func (o *Orchestrator) finishLoad(m configLoaded) {
	o.reloads.loading = false
	switch {
	case o.shutdown.phase != running:
		return // beginStop has reported it
	case m.err == nil:
		m.err = o.openSockets(m.cfg, o.differenceTo(m.cfg))
	}
	if m.err != nil {
		o.opt.Sink.Emit(event.ConfigRejected{Diagnostics: m.err.Error()})
	} else {
		o.applyConfig(m.cfg)
	}
	o.operations.onLoaded(o.reloads.loads, m.err)
	if o.reloads.requested {
		o.reloads.requested = false
		o.onReloadRequest()
	}
}

// applyConfig sets the goal of each instance by the new configuration. An instance whose launch did
// not change keeps its process; a new policy applies at once.
func (o *Orchestrator) applyConfig(cfg *config.Config) {
	if o.reloads.active == nil {
		o.reloads.active = &reload{lastApplied: o.cfg, held: map[string]*api.Requester{}}
	}
	r := o.reloads.active
	r.rollbackReason, r.cannotRollBack, r.halted = "", false, map[string]string{}
	r.restartOnly = false
	d := o.differenceTo(cfg)
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
				inst = o.newInstance(spec)
			} else {
				o.setWanted(inst, spec, d.noSurge[inst])
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
	d.apply(o.instances)
	o.regroup()
}

// newInstance returns an instance that the configuration adds. One that a request stopped and this
// reload removed before is still stopped: a rollback restores that too.
func (o *Orchestrator) newInstance(spec *config.Instance) *instance {
	inst := &instance{spec: spec, update: update{unconfirmed: true}}
	if inst.held = o.reloads.active.held[spec.Name]; inst.held != nil {
		inst.goal = rollout.Hold
	}
	return inst
}

// endRemoved ends the instances that the new configuration does not contain. It returns them with
// those that were retired before, and their surges.
func (o *Orchestrator) endRemoved(removed map[string]*instance) (ending []*instance) {
	for _, inst := range o.instances {
		if removed[inst.spec.Name] == inst || inst.update.retired {
			inst.goal = rollout.End
			if inst.held != nil {
				o.reloads.active.held[inst.spec.Name] = inst.held
			}
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
// as the new specification says is kept, even if an earlier reload was about to replace it. An
// instance that failed in its update is started again. With noSurge a surge of the instance is
// ended.
func (o *Orchestrator) setWanted(inst *instance, spec *config.Instance, noSurge bool) {
	if inst.held != nil {
		inst.goal = rollout.Hold // a reload may have removed it, and its process not have ended yet
		o.setHeldWanted(inst, spec)
		return
	}
	change := inst.changeTo(spec, noSurge)
	inst.update.givenUp = false
	if change == rollout.KeepSurge {
		inst.next = spec
		surge := inst.update.surge
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

// setHeldWanted gives an instance that a request stopped the specification of a new configuration.
// It stays stopped.
func (o *Orchestrator) setHeldWanted(inst *instance, spec *config.Instance) {
	inst.update.givenUp = false
	if inst.next == nil && inst.launchedLike(spec) {
		o.setPolicy(inst, spec)
		return
	}
	inst.next = spec
	if !inst.state.HasProcess() {
		inst.adoptNext()
	}
}

// setPolicy applies a new policy to a process that is kept.
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
	o.restartFDWatch(inst, was.WatchFDs)
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
	o.reloads.last = o.reloadResult()
	o.reloads.active = nil
}

// reloadResult reports the end of a reload, and returns it as the result of an operation. The end
// of a restart is reported by each instance.
func (o *Orchestrator) reloadResult() api.Result {
	r, e := o.reloads.active, o.configReloaded()
	switch {
	case r.restartOnly:
		return api.Result{OK: true}
	case r.rollbackReason != "":
		o.opt.Sink.Emit(event.ConfigRejected{Diagnostics: r.rollbackReason})
		return api.Result{Message: "the configuration was rejected: " + r.rollbackReason}
	}
	o.opt.Sink.Emit(e)
	difference := &api.Difference{
		Added: e.Added, Removed: e.Removed, Changed: e.Changed, Kept: e.Kept,
	}
	return api.Result{
		OK: true, Message: "the configuration is in force", Difference: difference,
	}
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
