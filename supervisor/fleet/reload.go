package fleet

import (
	"time"

	"tp0/supervisor/child"
	"tp0/supervisor/config"
	"tp0/supervisor/event"
	"tp0/supervisor/process"
)

// reload is a new configuration that is being applied.
type reload struct{ plan config.Plan }

func (f *Fleet) startReload() {
	switch {
	case f.stop.phase != running:
		f.opt.Sink.Emit(event.ReloadIgnored{Reason: "a stop is under way"})
	case f.loading:
		f.again = true // what is being read may be older than what is there now
	default:
		f.loading = true
		f.wg.Go(func() {
			cfg, err := f.opt.Load()
			f.mail.Put(loaded{cfg, err})
		})
	}
}

// loaded applies a configuration that was read. One with a fault changes
// nothing.
func (f *Fleet) loaded(m loaded) {
	f.loading = false
	switch {
	case f.stop.phase != running:
		f.opt.Sink.Emit(event.ReloadIgnored{Reason: "a stop is under way"})
		return
	case m.err == nil:
		m.err = f.openSockets(m.cfg)
	}
	if m.err != nil {
		f.opt.Sink.Emit(event.Rejected{Diagnostics: m.err.Error()})
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
func (f *Fleet) apply(cfg *config.Config) {
	plan := config.Diff(f.cfg, cfg)
	known := map[string]*unit{}
	for _, u := range f.units {
		known[u.spec.Name] = u
	}
	renew := map[string]bool{}
	for _, c := range plan.Changed {
		renew[c.Name] = c.Restart
	}
	f.cfg = cfg
	f.edition++
	f.opt.Configure(cfg.Log)
	var units []*unit
	for _, c := range cfg.Children {
		for _, i := range c.Instances {
			u := known[i.Name]
			delete(known, i.Name)
			switch {
			case u == nil:
				u = &unit{spec: i}
			case renew[i.Name], u.goal != toRun: // one on its way out comes back
				u.goal, u.next = toRenew, i
			default:
				f.renewPolicy(u, i)
				f.tellReload(u)
			}
			u.dependsOn, u.edition = c.DependsOn, f.edition
			units = append(units, u)
		}
	}
	for _, u := range f.units {
		if known[u.spec.Name] != nil {
			u.goal = toEnd
			units = append(units, u)
		}
	}
	f.units = units
	f.regroup()
	f.reload = &reload{plan}
}

// renewPolicy gives a run that goes on its new policy. Whether it hears another
// kill_signal is found out anew.
func (f *Fleet) renewPolicy(u *unit, spec *config.Instance) {
	if u.next != nil { // its run is on its way out, by what it was started with
		u.next = spec
		return
	}
	if spec.Policy.KillSignal != u.spec.Policy.KillSignal {
		u.unheard = ""
		if u.state == child.Ready {
			f.later(u, glanceAfter, glanceMoment)
		}
	}
	if scope := spec.Policy.KillScope; scope != u.spec.Policy.KillScope && u.state.HasRun() {
		f.opt.Processes.Rescope(u.run, process.Scope(scope))
	}
	old := u.spec
	u.spec = spec
	f.recheck(u, old.Policy.Checks)
}

// tellReload sends the reload_signal to a run that goes on. One that has just
// been executed may not have its handler yet, and would die of it.
func (f *Fleet) tellReload(u *unit) {
	sig := u.spec.Policy.ReloadSignal
	if u.state != child.Ready || sig == 0 {
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
func (f *Fleet) finishReload() {
	if f.reload == nil || f.stop.phase != running {
		return
	}
	for _, u := range f.units {
		if u.goal != toRun {
			return
		}
		switch u.state {
		case child.Starting, child.Unready, child.Renewing, child.BackingOff, child.Stopping:
			return
		case child.Waiting:
			if f.mayStart(u) {
				return
			}
		}
	}
	p := f.reload.plan
	changed := make([]string, len(p.Changed))
	for i, c := range p.Changed {
		changed[i] = c.Name
	}
	f.opt.Sink.Emit(event.Reloaded{Added: p.Added, Removed: p.Removed, Changed: changed, Kept: p.Kept})
	f.reload = nil
}
