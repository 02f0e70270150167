package orchestrator

import (
	"slices"
	"time"

	"tp0/supervisor/config"
	"tp0/supervisor/event"
	"tp0/supervisor/lifecycle"
)

// group is the instances of one child.
type group []*unit

// regroup draws the groups anew from the instances that there are. A child
// without instances has an empty one.
func (f *Orchestrator) regroup() {
	f.groups = map[string]group{}
	for _, u := range f.units {
		if u.stands() {
			f.groups[u.child()] = append(f.groups[u.child()], u)
		}
	}
}

// met reports whether all its instances have come as far as that, and none is
// about to end.
func (g group) met(until config.Until) bool {
	return !slices.ContainsFunc(g, func(u *unit) bool { return !u.meets(until) })
}

// succeeded reports whether all its instances have.
func (g group) succeeded() bool {
	return !slices.ContainsFunc(g, func(u *unit) bool { return u.state != lifecycle.Succeeded })
}

func (f *Orchestrator) mayStart(u *unit) bool {
	return u.state == lifecycle.Waiting && f.hasDependencies(u)
}

func (f *Orchestrator) hasDependencies(u *unit) bool {
	return !slices.ContainsFunc(u.dependsOn, func(d config.Dependency) bool { return !f.groups[d.Child].met(d.Until) })
}

// findLost finds, by their children, instances that have failed for good: no
// group with one of them is ever what somebody waits for.
func (f *Orchestrator) findLost() {
	f.lost = map[string]string{}
	for _, u := range f.units {
		if u.state == lifecycle.Failed && u.goal == toRun && u.stands() {
			f.lost[u.child()] = u.spec.Name
		}
	}
}

// inVain says for whom a waiting instance waits and will not get it before
// another configuration comes. Empty: nobody.
func (f *Orchestrator) inVain(u *unit) string {
	if u.state != lifecycle.Waiting || u.goal != toRun {
		return ""
	}
	return f.lostDependency(u)
}

// lostDependency finds an instance that another one needs and that has failed
// for good. Empty: there is none.
func (f *Orchestrator) lostDependency(u *unit) string {
	for _, d := range u.dependsOn {
		if name := f.lost[d.Child]; name != "" {
			return name
		}
	}
	return ""
}

// hasCompleted reports whether what has to run to success before an instance
// has.
func (f *Orchestrator) hasCompleted(u *unit) bool {
	return !slices.ContainsFunc(u.dependsOn, func(d config.Dependency) bool { return !d.StopsAfterDependent() && !f.groups[d.Child].met(d.Until) })
}

// tellVain tells once that an instance waits in vain.
func (f *Orchestrator) tellVain(u *unit) {
	vain := f.inVain(u)
	if vain != "" && vain != u.vain && f.stop.phase == running {
		f.opt.Sink.Emit(event.DependencyFailed{Child: u.spec.Name, For: vain})
	}
	u.vain = vain
}

// mayStop reports whether an instance may be stopped: what depends on it and
// is to end too has ended, and for a sidecar whatever is none and is to end. One
// without a run is in nobody's way.
//
// During reloads instances of several editions of the file are there at once,
// and what an old one says can contradict a new one: a depended on b, and now b
// depends on a. So an instance only waits for those whose edition it was still
// part of. A circle of waiting would then be one within a single edition, and a
// configuration has none. What is no sidecar never waits for one, so there is no
// circle through both either.
func (f *Orchestrator) mayStop(u *unit) bool {
	if !u.state.HasProcess() {
		return true
	}
	if u.sidecar() && (f.needed.apps || f.needed.bySidecars.by(u)) {
		return false
	}
	return !f.needed.byApps.by(u)
}

// needed is what those wait for that are to end and have not ended yet.
type needed struct {
	apps       bool // there is one among them that is no sidecar
	byApps     dependents
	bySidecars dependents
}

// dependents are, by the child that they depend on, the oldest edition of
// them.
type dependents map[string]int

func (d dependents) by(u *unit) bool {
	oldest, needed := d[u.child()]
	return needed && oldest <= u.edition
}

// killPatience is how long what an instance depends on waits, in a stop, after the SIGKILL of the
// instance. A process that got SIGKILL runs no more code, so it needs nothing. Its tree may still be
// there: a tracer holds it in its exit, it sleeps in the kernel, or it may not be signalled.
const killPatience = 100 * time.Millisecond

// doomed reports whether an instance got SIGKILL so long ago that a stop goes on without its end.
func (f *Orchestrator) doomed(u *unit) bool {
	return f.stop.phase == stopping && !u.killed.IsZero() && time.Since(u.killed) >= killPatience
}

func (f *Orchestrator) findNeeded() {
	f.needed = needed{byApps: dependents{}, bySidecars: dependents{}}
	for _, u := range f.units {
		if !f.leaving(u) || f.doomed(u) {
			continue
		}
		by := f.needed.bySidecars
		if !u.sidecar() {
			by, f.needed.apps = f.needed.byApps, true
		}
		for _, name := range f.needs(u) {
			if oldest, ok := by[name]; !ok || u.edition < oldest {
				by[name] = u.edition
			}
		}
	}
}

// needs are the children that an instance needs for as long as it runs. What a
// child needs that runs no more, since it failed, is still in use by those that
// depend on it. All this is of one edition; see mayStop.
func (f *Orchestrator) needs(u *unit) []string {
	all := u.outlivedBy
	for i := 0; i < len(all); i++ {
		g := f.groups[all[i]]
		if slices.ContainsFunc(g, func(dep *unit) bool { return dep.state.HasProcess() }) {
			continue
		}
		for _, dep := range g {
			for _, name := range dep.outlivedBy {
				if dep.edition == u.edition && !slices.Contains(all, name) {
					all = append(slices.Clip(all), name)
				}
			}
			break // they all need the same
		}
	}
	return all
}

// busy reports whether something runs or is due. Sidecars count only beside
// others, unless there never were any: with --only one can be run alone.
func (f *Orchestrator) busy() bool {
	if f.loading && f.stop.phase == running {
		return true
	}
	alone := f.stop.phase != running || !slices.ContainsFunc(f.units, func(u *unit) bool { return !u.sidecar() })
	if slices.ContainsFunc(f.units, func(u *unit) bool { return u.active() && (alone || !u.sidecar()) }) {
		return true
	}
	return !alone && f.sidecarsAwaited()
}

// sidecarsAwaited reports whether something that is no sidecar waits for what a
// sidecar can still come to.
func (f *Orchestrator) sidecarsAwaited() bool {
	seen := map[*unit]bool{}
	var due func(u *unit) bool // it can still become what somebody waits for
	due = func(u *unit) bool {
		if is, ok := seen[u]; ok || u.state != lifecycle.Waiting {
			return is || u.active()
		}
		is := !slices.ContainsFunc(u.dependsOn, func(d config.Dependency) bool {
			return slices.ContainsFunc(f.groups[d.Child], func(dep *unit) bool { return !dep.meets(d.Until) && !due(dep) })
		})
		seen[u] = is
		return is
	}
	return slices.ContainsFunc(f.units, func(u *unit) bool { return !u.sidecar() && u.state == lifecycle.Waiting && due(u) })
}

// dropEnded forgets the instances that were removed from the configuration and
// have ended.
func (f *Orchestrator) dropEnded() {
	if f.stop.phase != running {
		return
	}
	n := len(f.units)
	f.units = slices.DeleteFunc(f.units, func(u *unit) bool { return u.goal == toEnd && u.state.Final() })
	if len(f.units) != n {
		f.regroup()
	}
}
