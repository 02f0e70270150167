package orchestrator

import (
	"fmt"
	"time"

	"tp0/supervisor/config"
	"tp0/supervisor/event"
	"tp0/supervisor/lifecycle"
)

// reload is a new configuration that is being applied.
type reload struct {
	from   *config.Config    // the one that was fully applied last
	back   string            // why from is being brought back; empty: it is not
	halted map[string]string // by child: why it does not go on
	noBack bool              // it cannot be taken back
}

func (f *Orchestrator) startReload() {
	switch {
	case f.stop.phase != running:
		f.opt.Sink.Emit(event.ReloadIgnored{Reason: "a stop is under way"})
	case f.loading:
		f.again = true // what is being read may be older than what is there now
	default:
		f.loading = true
		go func() { // it may never end: a file system need not answer
			cfg, err := f.opt.Load()
			f.mail.Put(loaded{cfg, err})
		}()
	}
}

// loaded applies a configuration that was read. One with a fault changes
// nothing.
func (f *Orchestrator) loaded(m loaded) {
	f.loading = false
	switch {
	case f.stop.phase != running:
		return // it was told when the stop began
	case m.err == nil:
		m.err = f.openSockets(m.cfg)
	}
	if m.err != nil {
		f.opt.Sink.Emit(event.ConfigRejected{Diagnostics: m.err.Error()})
	} else {
		f.apply(m.cfg)
	}
	if f.again {
		f.again = false
		f.startReload()
	}
}

// apply sets each instance's goal by the difference. What did not change keeps
// its run; what changed only in its policy does so too, and has the new one at
// once.
func (f *Orchestrator) apply(cfg *config.Config) {
	if f.reload == nil {
		f.reload = &reload{from: f.cfg}
	}
	f.reload.back, f.reload.noBack, f.reload.halted = "", false, map[string]string{}
	f.cfg = cfg
	f.edition++
	f.opt.Configure(cfg)
	after := cfg.StoppedAfter()
	known := map[string]*unit{}
	for _, u := range f.units {
		if u.stands() {
			known[u.spec.Name] = u
		}
	}
	var units []*unit
	for _, c := range cfg.Children {
		for _, i := range c.Instances {
			u := known[i.Name]
			delete(known, i.Name)
			if u == nil {
				u = &unit{spec: i, replacement: replacement{trial: true}}
			} else {
				f.want(u, i)
			}
			for _, u := range []*unit{u.heir, u} {
				if u != nil {
					u.dependsOn, u.outlivedBy, u.edition = c.DependsOn, after[c.Name], f.edition
					units = append(units, u)
				}
			}
		}
	}
	for _, u := range f.units {
		if known[u.spec.Name] == u || u.replaced {
			u.goal = toEnd
			units = append(units, u)
		}
		if n := u.heir; n != nil && u.goal == toEnd {
			u.disinherit()
			units = append(units, n)
		}
	}
	f.units = units
	f.regroup()
}

// mayRollBack reports whether the end of a run, or its being late, means that
// the reload that began it is taken back.
func (f *Orchestrator) mayRollBack(u *unit) bool {
	r := f.reload
	if !u.trial || u.goal != toRun || r == nil || r.back != "" || r.noBack || !f.cfg.Reload.Rollback || f.stop.phase != running {
		return false
	}
	if err := f.openSockets(r.from); err != nil {
		r.noBack = true
		f.opt.Sink.Emit(event.Warning{What: "cannot roll back", Reason: err.Error()})
		return false
	}
	return true
}

// rollBack brings the configuration back that was in force before the reload.
func (f *Orchestrator) rollBack(u *unit, reason string) {
	f.opt.Sink.Emit(event.RollbackStarted{Child: u.spec.Name, Reason: reason})
	f.apply(f.reload.from)
	f.reload.back = fmt.Sprintf("%s: %s. All is as it was before this configuration.", u.spec.Name, reason)
}

// renewPolicy gives a run that goes on its new policy. Whether it hears another
// kill_signal is found out anew.
func (f *Orchestrator) renewPolicy(u *unit, spec *config.Instance) {
	if u.next != nil { // its run is on its way out, by what it was started with
		u.next = spec
		return
	}
	if spec.Policy.KillSignal != u.spec.Policy.KillSignal {
		u.unheard = ""
		if u.state == lifecycle.Ready {
			f.later(u, glanceAfter, glanceMoment)
		}
	}
	if old := u.spec.Policy; (spec.Policy.KillScope != old.KillScope || spec.Policy.Descendants != old.Descendants) && u.state.HasProcess() {
		f.opt.Processes.SetScope(u.run, spec.Policy.KillScope, spec.Policy.Descendants == config.LeaveDescendants)
	}
	old := u.spec
	u.spec = spec
	f.recheck(u, old.Policy.Checks)
}

// tellReload sends the reload_signal to a run that goes on. One that has just
// been executed may not have its handler yet, and would die of it.
func (f *Orchestrator) tellReload(u *unit) {
	sig := u.spec.Policy.ReloadSignal
	if u.state != lifecycle.Ready || sig == 0 {
		return
	}
	if wait := young - time.Since(u.spawned); wait > 0 && u.spec.Launch.Ready == nil {
		f.later(u, wait, reloadMoment)
		return
	}
	f.opt.Processes.Forward(u.run, 0, sig)
}

// finishReload tells of a reload once it is fully applied: what was removed is
// gone, what was added or changed serves or is over.
func (f *Orchestrator) finishReload() {
	if f.reload == nil || f.stop.phase != running || len(f.reload.halted) > 0 {
		return
	}
	for _, u := range f.units {
		if u.goal != toRun {
			return
		}
		switch u.state {
		case lifecycle.Starting, lifecycle.Unready, lifecycle.Ending, lifecycle.Replacing, lifecycle.BackingOff, lifecycle.Stopping:
			return
		case lifecycle.Waiting:
			if f.mayStart(u) {
				return
			}
		case lifecycle.Ready:
			if u.trial && u.spec.Policy.Oneshot { // it has not completed yet
				return
			}
		}
	}
	if f.reload.back != "" {
		f.opt.Sink.Emit(event.ConfigRejected{Diagnostics: f.reload.back})
		f.reload = nil
		return
	}
	f.opt.Sink.Emit(f.reloaded())
	f.reload = nil
}

// reloaded says what became of a reload. An instance whose run was replaced
// on the way is no kept one, though it is made of the same again.
func (f *Orchestrator) reloaded() event.ConfigReloaded {
	p := config.PlanChange(f.reload.from, f.cfg)
	anew := map[string]bool{}
	for _, u := range f.units {
		anew[u.spec.Name] = anew[u.spec.Name] || u.anew
		u.anew = false
	}
	e := event.ConfigReloaded{Added: p.Added, Removed: p.Removed}
	for _, c := range p.Changed {
		e.Changed = append(e.Changed, c.Name)
	}
	for _, name := range p.Kept {
		if anew[name] {
			e.Changed = append(e.Changed, name)
		} else {
			e.Kept = append(e.Kept, name)
		}
	}
	return e
}
