package fleet

import (
	"slices"

	"tp0/supervisor/child"
)

// group is the instances of one child, as far as order is concerned.
type group struct {
	units []*unit
	deps  []*group // what it depends on
	users []*group // what depends on it
}

// regroup draws the order anew from the instances that there are.
func (f *Fleet) regroup() {
	f.groups = map[string]*group{}
	for _, c := range f.cfg.Children { // those without instances too: they count as met
		f.groups[c.Name] = &group{}
	}
	for _, u := range f.units {
		g := f.groups[u.spec.Child]
		if g == nil { // removed from the file, and on its way out
			g = &group{}
			f.groups[u.spec.Child] = g
		}
		g.units = append(g.units, u)
	}
	for _, g := range f.groups {
		for _, u := range g.units {
			for _, name := range u.dependsOn {
				if dep := f.groups[name]; dep != nil && !slices.Contains(g.deps, dep) {
					g.deps = append(g.deps, dep)
					dep.users = append(dep.users, g)
				}
			}
		}
	}
}

// met reports whether what depends on the group may start: all its instances
// are ready or have succeeded, and none is about to end.
func (g *group) met() bool {
	for _, u := range g.units {
		if !u.state.Met() || u.goal != toRun {
			return false
		}
	}
	return true
}

// succeeded reports whether all its instances have.
func (g *group) succeeded() bool {
	return !slices.ContainsFunc(g.units, func(u *unit) bool { return u.state != child.Succeeded })
}

// leaving reports whether an instance that is to end, or to start anew, still
// has a run.
func (g *group) leaving() bool {
	return slices.ContainsFunc(g.units, func(u *unit) bool { return u.goal != toRun && u.state.HasRun() || u.state == child.Renewing })
}

func (f *Fleet) mayStart(u *unit) bool {
	if u.state != child.Waiting {
		return false
	}
	for _, dep := range f.groups[u.spec.Child].deps {
		if !dep.met() {
			return false
		}
	}
	return true
}

// mayStop reports whether an instance may be stopped: what depends on it and
// is to end too has ended. One without a run is in nobody's way.
func (f *Fleet) mayStop(u *unit) bool {
	if !u.state.HasRun() {
		return true
	}
	for _, user := range f.groups[u.spec.Child].users {
		if user.leaving() {
			return false
		}
	}
	return true
}

// dropEnded forgets the instances that were removed from the configuration and
// have ended.
func (f *Fleet) dropEnded() {
	if f.stop.phase != running {
		return
	}
	n := len(f.units)
	f.units = slices.DeleteFunc(f.units, func(u *unit) bool { return u.goal == toEnd && u.state.Final() })
	if len(f.units) != n {
		f.regroup()
	}
}
