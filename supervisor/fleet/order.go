package fleet

import (
	"slices"

	"tp0/supervisor/child"
)

// group is the instances of one child.
type group []*unit

// regroup draws the groups anew from the instances that there are. A child
// without instances has an empty one.
func (f *Fleet) regroup() {
	f.groups = map[string]group{}
	for _, u := range f.units {
		f.groups[u.child()] = append(f.groups[u.child()], u)
	}
}

// met reports whether what depends on the group may start: all its instances
// are ready or have succeeded, and none is about to end.
func (g group) met() bool {
	return !slices.ContainsFunc(g, func(u *unit) bool { return !u.state.Met() || u.goal != toRun })
}

// succeeded reports whether all its instances have.
func (g group) succeeded() bool {
	return !slices.ContainsFunc(g, func(u *unit) bool { return u.state != child.Succeeded })
}

func (f *Fleet) mayStart(u *unit) bool {
	return u.state == child.Waiting &&
		!slices.ContainsFunc(u.dependsOn, func(name string) bool { return !f.groups[name].met() })
}

// mayStop reports whether an instance may be stopped: what depends on it and
// is to end too has ended. One without a run is in nobody's way.
//
// During reloads instances of several editions of the file are there at once,
// and what an old one says can contradict a new one: a depended on b, and now b
// depends on a. So an instance only waits for those whose edition it was still
// part of. A circle of waiting would then be one within a single edition, and a
// configuration has none.
func (f *Fleet) mayStop(u *unit) bool {
	if !u.state.HasRun() {
		return true
	}
	oldest, needed := f.needed[u.child()]
	return !needed || oldest > u.edition
}

// findNeeded finds the children that somebody who has not ended yet depends
// on, with the oldest edition of these.
func (f *Fleet) findNeeded() {
	f.needed = map[string]int{}
	for _, u := range f.units {
		if !u.leaving() {
			continue
		}
		for _, name := range u.dependsOn {
			if oldest, ok := f.needed[name]; !ok || u.edition < oldest {
				f.needed[name] = u.edition
			}
		}
	}
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
