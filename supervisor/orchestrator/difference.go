package orchestrator

import (
	"slices"
	"time"

	"tp0/supervisor/config"
	"tp0/supervisor/config/plan"
	"tp0/supervisor/lifecycle"
	"tp0/supervisor/orchestrator/rollout"
	"tp0/supervisor/process"
)

// difference is what a configuration changes about the processes that run: which of them end, which
// start, and which of those wait for which.
type difference struct {
	starting []plan.Starting
	ending   []plan.Ending
	givers   []giver // of ending
	// takes has the hand-overs of each instance that starts, by name.
	takes map[string][]takeOver
	// noSurge has the instances that give something up, so that a surge they have is ended.
	noSurge map[*instance]bool
}

// differenceTo returns the difference of a configuration and the processes that run.
func (o *Orchestrator) differenceTo(cfg *config.Config) *difference {
	d := o.compare(cfg, nil)
	if noSurge := d.giversWithSurge(); len(noSurge) > 0 {
		d = o.compare(cfg, noSurge)
	}
	return d
}

func (o *Orchestrator) compare(cfg *config.Config, noSurge map[*instance]bool) *difference {
	d := &difference{takes: map[string][]takeOver{}, noSurge: noSurge}
	wanted := map[string]*config.Instance{}
	for _, spec := range cfg.Instances() {
		wanted[spec.Name] = spec
	}
	for _, inst := range o.instances {
		switch {
		case inst.update.surgeOf != nil: // below, with its instance
		case inst.update.retired:
			d.ends(inst, nil)
		case inst.held != nil:
			d.ends(inst, nil)
			delete(wanted, inst.spec.Name)
		case wanted[inst.spec.Name] == nil:
			d.ends(inst, nil)
			d.ends(inst.update.surge, nil)
		default:
			d.compareInstance(inst, wanted[inst.spec.Name])
			delete(wanted, inst.spec.Name)
		}
	}
	for _, spec := range cfg.Instances() {
		if wanted[spec.Name] != nil {
			d.starting = append(d.starting, plan.Starting{Spec: spec})
		}
	}
	d.findHandOvers()
	return d
}

// compareInstance adds what a specification changes about an instance.
func (d *difference) compareInstance(inst *instance, spec *config.Instance) {
	surge := inst.update.surge
	switch inst.changeTo(spec, d.noSurge[inst]) {
	case rollout.KeepSurge:
		d.ends(inst, spec)
		if !surge.state.HasProcess() {
			d.starting = append(d.starting, plan.Starting{Spec: spec})
		}
	case rollout.ReplaceProcess:
		start := plan.Starting{Spec: spec}
		if inst.state == lifecycle.Ready {
			start.Before = inst.spec
		}
		d.starting = append(d.starting, start)
		d.ends(inst, spec)
		d.ends(surge, nil)
	default:
		if !inst.state.HasProcess() && !inst.state.Final() {
			d.starting = append(d.starting, plan.Starting{Spec: spec})
		}
		d.ends(surge, nil)
	}
}

// listenDelay is the age from which on a process is taken to have opened its listeners.
const listenDelay = 5 * time.Second

// ends adds the process of an instance, if there is one. next is the specification of the next
// process; nil if none follows.
func (d *difference) ends(inst *instance, next *config.Instance) {
	if inst == nil || !inst.state.HasProcess() {
		return
	}
	d.ending = append(d.ending, plan.Ending{
		Spec: inst.spec, Next: next, Listens: inst.listens(),
		New: inst.process.pid == 0 || time.Since(inst.process.spawned) < listenDelay,
	})
	d.givers = append(d.givers, giver{inst, inst.process.id, inst.spec})
}

// findHandOvers finds what the processes that start take over from those that end.
func (d *difference) findHandOvers() {
	claims := map[*plan.Claim]*claim{}
	for i, handOvers := range plan.HandOvers(d.starting, d.ending) {
		name := d.starting[i].Spec.Name
		for _, h := range handOvers {
			c := claims[h.Claim]
			if c == nil {
				c = &claim{}
				for _, giver := range h.Givers {
					c.givers = append(c.givers, d.givers[giver])
				}
				claims[h.Claim] = c
			}
			d.takes[name] = append(d.takes[name], takeOver{h, c})
		}
	}
}

// giversWithSurge returns the instances with a surge that give something up.
func (d *difference) giversWithSurge() map[*instance]bool {
	found := map[*instance]bool{}
	for _, takes := range d.takes {
		for _, t := range takes {
			for _, g := range t.claim.givers {
				if g.inst.update.surge != nil {
					found[g.inst] = true
				}
			}
		}
	}
	return found
}

// apply gives the instances their part in the hand-overs.
func (d *difference) apply(instances []*instance) {
	for _, inst := range instances {
		inst.handOver = handOver{}
		if !inst.update.retired {
			inst.handOver.takes = d.takes[inst.spec.Name]
		}
	}
	for _, takes := range d.takes {
		for _, t := range takes {
			for _, g := range t.claim.givers {
				g.inst.handOver.gives = true
			}
		}
	}
}

// deferred returns the addresses of listen blocks that cannot be opened before a process has ended.
func (d *difference) deferred() map[string]bool {
	all := map[string]bool{}
	for _, takes := range d.takes {
		for _, t := range takes {
			if t.Socket != "" {
				all[t.Socket] = true
			}
		}
	}
	return all
}

// ids returns the processes that end and have a pid.
func (d *difference) ids() (all []process.ID) {
	for _, g := range d.givers {
		if g.inst.process.pid != 0 {
			all = append(all, g.process)
		}
	}
	return all
}

// changeTo returns what a new specification means for an instance. One that failed in its update is
// started again, and so is its surge. With noSurge a surge is not kept.
func (inst *instance) changeTo(spec *config.Instance, noSurge bool) rollout.Change {
	surge := inst.update.surge
	surgeSame := surge != nil && !noSurge && !surge.state.Final() && surge.launchedLike(spec)
	retry := inst.state.Final() && inst.update.unconfirmed
	same := inst.launchedLike(spec) && !retry && !inst.update.restart
	return rollout.ChangeOf(inst.state, same, surgeSame)
}

// listens returns where the process is known to listen: by the search before a reload, and by its
// last inspection.
func (inst *instance) listens() []string {
	known := slices.Clone(inst.process.listens)
	if last := inst.inspect.last; last != nil && last.Process == inst.process.id {
		known = append(known, process.ListenersOf(last.FDs)...)
	}
	return known
}
