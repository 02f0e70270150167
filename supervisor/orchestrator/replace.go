package orchestrator

import (
	"fmt"
	"maps"
	"slices"

	"tp0/supervisor/config"
	"tp0/supervisor/event"
	"tp0/supervisor/lifecycle"
)

// A reload replaces the runs that are made of something that it changed. Of one
// child a few instances have their turn at a time, so that the others serve
// meanwhile. One whose strategy is overlap gets an heir: a second unit of the
// same name, which takes its place once it is ready.
//
// Nobody waits for himself in this, if each waits as long as the others let him:
// who is to end waits for dependents that are to end, and these for theirs; who
// is to start waits for dependencies, and these for theirs; who has no turn yet
// waits for those of his own child that have, which wait for one of the two. So
// who has no turn is not about to end (nobody waits for that), and a child
// whose dependencies go down has no turns: it goes with them.

// replacement is where an instance stands in the replacement of its run.
type replacement struct {
	turn     bool  // it may be replaced, and is not ready again yet
	trial    bool  // what its runs are made of is new, and has not served yet
	anew     bool  // it got another run, or is to get one, since the last reload was told of
	heir     *unit // nil: none
	replaces *unit // whose heir it is; nil: nobody's
	replaced bool  // its heir took its place, or it was one and is not wanted any more: it is to end
}

// stands reports whether it is its instance, and not what follows or went
// before.
func (r *replacement) stands() bool { return r.replaces == nil && !r.replaced }

// findDown finds the children that go down in a reload before they come back:
// an instance of theirs is stopped before its next run is there.
func (f *Orchestrator) findDown() {
	clear(f.down)
	if f.reload == nil {
		return
	}
	for _, u := range f.units {
		f.findDownOf(u.child())
	}
}

func (f *Orchestrator) findDownOf(name string) bool {
	if down, seen := f.down[name]; seen {
		return down
	}
	f.down[name] = false
	down := slices.ContainsFunc(f.groups[name], func(u *unit) bool {
		return u.state.HasProcess() && (u.goal == toEnd || u.state == lifecycle.Replacing || u.goal == toRenew && !f.overlaps(u))
	})
	f.down[name] = down
	return down
}

// dependsOnDown reports whether something that an instance needs goes down.
func (f *Orchestrator) dependsOnDown(u *unit) bool {
	return slices.ContainsFunc(u.dependsOn, func(d config.Dependency) bool { return d.StopsAfterDependent() && f.findDownOf(d.Child) })
}

// overlaps reports whether the next run of one that is to be replaced is ready
// before its present one is stopped.
func (f *Orchestrator) overlaps(u *unit) bool {
	return u.heir != nil || u.state == lifecycle.Ready && u.next.Policy.OverlapUpdate && !f.dependsOnDown(u)
}

// through reports whether its replacement is over: it serves, or has completed.
func (u *unit) through() bool {
	return u.state == lifecycle.Ready && !u.spec.Policy.Oneshot || u.state.Satisfied() && !u.trial
}

// fruitless reports whether an instance has ended for good and its replacement
// is not over.
func (u *unit) fruitless() bool { return u.goal == toRun && u.state.Final() && !u.through() }

// giveTurns says who may be replaced now. One that does not serve takes no turn
// from others.
func (f *Orchestrator) giveTurns() {
	if f.reload == nil || f.stop.phase != running {
		return
	}
	busy, stuck := map[string]int{}, map[string]string{}
	for _, u := range f.units {
		if u.turn && u.goal == toRun && u.through() {
			u.turn = false
		}
		if u.turn && u.goal != toEnd {
			busy[u.child()]++
		}
		if u.fruitless() && (u.turn || u.replaces != nil) {
			stuck[u.child()] = "the new " + u.spec.Name + " has failed"
		}
	}
	for _, u := range f.units {
		if u.goal != toRenew {
			continue
		}
		c := u.child()
		why := stuck[c]
		if name := f.lostDependency(u); why == "" && name != "" {
			why = "it needs " + name + ", which has failed"
		}
		switch {
		case why != "" && u.state.Satisfied() && (!u.turn || u.heir == nil || u.heir.fruitless()):
			f.halt(u, why)
		case !u.turn && (!u.state.Satisfied() || f.dependsOnDown(u) || busy[c] < u.next.Policy.MaxParallel):
			u.turn = true
			busy[c]++
		}
	}
}

// halt leaves an instance what it is: what was to follow cannot be had.
func (f *Orchestrator) halt(u *unit, why string) {
	c := u.child()
	u.disinherit()
	u.goal, u.next, u.turn = toRun, nil, false
	if f.reload.halted[c] == "" {
		f.reload.halted[c] = why
		f.opt.Sink.Emit(event.ReloadHalted{Child: c, Reason: why})
	}
}

// isHalted says why a reload halted; empty: it does.
func (f *Orchestrator) isHalted() string {
	if f.reload == nil {
		return ""
	}
	for _, c := range slices.Sorted(maps.Keys(f.reload.halted)) {
		return fmt.Sprintf("the reload of %s is halted: %s", c, f.reload.halted[c])
	}
	return ""
}

// overlap brings the replacement of a run that serves further, and reports
// whether it did.
func (f *Orchestrator) overlap(u *unit) bool {
	switch n := u.heir; {
	case n == nil && !f.hasDependencies(u):
		return false
	case n == nil:
		n = &unit{spec: u.next, dependsOn: u.dependsOn, outlivedBy: u.outlivedBy, edition: u.edition, replacement: replacement{trial: true, anew: true, replaces: u}}
		u.heir = n
		f.units = slices.Insert(slices.Clone(f.units), slices.Index(f.units, u), n)
	case n.through() || !u.state.HasProcess():
		n.replaces, n.turn = nil, !n.through()
		u.heir, u.next = nil, nil
		u.dismiss()
		f.regroup()
	default:
		return false
	}
	return true
}

// dismiss is for a unit that another one stands for.
func (u *unit) dismiss() { u.goal, u.turn, u.replaces, u.replaced = toEnd, false, nil, true }

// disinherit ends the heir of one that is to have none, or another.
func (u *unit) disinherit() {
	if u.heir != nil {
		u.heir.dismiss()
		u.heir = nil
	}
}

// want gives an instance the specification of a new configuration. One whose
// run is made of just that keeps it, whatever was planned in between.
func (f *Orchestrator) want(u *unit, spec *config.Instance) {
	if n := u.heir; n != nil && n.madeOf(spec) {
		u.next = spec
		f.renewPolicy(n, spec)
		return
	}
	u.disinherit()
	switch {
	case u.state == lifecycle.Replacing, u.state == lifecycle.Stopping, u.state == lifecycle.Stopped, !u.madeOf(spec):
		u.goal, u.next = toRenew, spec
	default:
		u.goal, u.next = toRun, nil
		f.renewPolicy(u, spec)
		f.tellReload(u)
	}
}
