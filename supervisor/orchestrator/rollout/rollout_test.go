package rollout

import (
	"maps"
	"slices"
	"testing"

	"tp0/supervisor/lifecycle"
)

type change func(*Instance)

// ready returns a ready instance "a1" of child "a" that is to be replaced.
func ready(changes ...change) Instance {
	i := Instance{
		Name: "a1", Child: "a", State: lifecycle.Ready, Goal: Replace, MaxParallel: 1,
	}
	for _, change := range changes {
		change(&i)
	}
	return i
}

func named(name string) change       { return func(i *Instance) { i.Name = name } }
func goal(g Goal) change             { return func(i *Instance) { i.Goal = g } }
func role(r Role) change             { return func(i *Instance) { i.Role = r } }
func surge(s SurgeState) change      { return func(i *Instance) { i.Surge = s } }
func parallel(n int) change          { return func(i *Instance) { i.MaxParallel = n } }
func state(s lifecycle.State) change { return func(i *Instance) { i.State = s } }
func slot(i *Instance)               { i.HasSlot = true }
func allowSurge(i *Instance)         { i.AllowSurge = true }
func unconfirmed(i *Instance)        { i.Unconfirmed = true }
func givenUp(i *Instance)            { i.GivenUp = true }

func gives(i *Instance)   { i.Gives = true }
func awaited(i *Instance) { i.Gives, i.Awaited = true, true }
func takes(i *Instance)   { i.Takes = true }
func blocks(i *Instance)  { i.Blocks = true }

func notGiven(by string) change { return func(i *Instance) { i.NotGiven = by } }

func ofChild(name string) change {
	return func(i *Instance) { i.Name, i.Child = name, name }
}

func after(child string) change {
	return func(i *Instance) { i.Needs = []string{child} }
}

func failedDependency(name string) change {
	return func(i *Instance) { i.FailedDependency = name }
}

func TestPlan(t *testing.T) {
	const bad = "the new a1 has failed"
	halted := map[string]string{"a": bad}
	for _, tt := range []struct {
		name      string
		instances []Instance
		halted    map[string]string
		want      []Decision
	}{
		{"one slot: the first instance gets it", []Instance{ready(), ready(named("a2"))},
			nil, []Decision{{Index: 0, Action: GrantSlot}}},
		{"two slots", []Instance{ready(parallel(2)), ready(parallel(2)), ready(parallel(2))},
			nil, []Decision{{Index: 0, Action: GrantSlot}, {Index: 1, Action: GrantSlot}}},
		{"each child has slots of its own", []Instance{ready(), ready(ofChild("b"))},
			nil, []Decision{{Index: 0, Action: GrantSlot}, {Index: 1, Action: GrantSlot}}},
		{"the slot is in use", []Instance{ready(slot), ready()}, nil, nil},
		{"the slot of an instance that is removed is free",
			[]Instance{ready(slot, goal(End)), ready()},
			nil, []Decision{{Index: 1, Action: GrantSlot}}},
		{"an updated instance returns its slot, and the next one gets it",
			[]Instance{ready(slot, goal(Run)), ready()},
			nil, []Decision{{Index: 0, Action: ReturnSlot}, {Index: 1, Action: GrantSlot}}},
		{"an instance that is starting keeps its slot",
			[]Instance{
				ready(slot, goal(Run), unconfirmed, state(lifecycle.Starting)), ready(),
			}, nil, nil},
		{"an instance that was not ready for min_ready keeps its slot",
			[]Instance{ready(slot, goal(Run), unconfirmed), ready()}, nil, nil},
		{"an instance that is not ready needs no free slot",
			[]Instance{ready(slot), ready(state(lifecycle.BackingOff))},
			nil, []Decision{{Index: 1, Action: GrantSlot}}},
		{"the goal run gets no slot", []Instance{ready(goal(Run))}, nil, nil},
		{"halted: instances that are ready keep their process",
			[]Instance{
				ready(goal(Run), state(lifecycle.Failed), unconfirmed, slot), ready(), ready(),
			}, halted, []Decision{
				{Index: 1, Action: Halt, Reason: bad}, {Index: 2, Action: Halt, Reason: bad},
			}},
		{"halted: another child is updated", []Instance{ready(ofChild("b"))}, halted,
			[]Decision{{Index: 0, Action: GrantSlot}}},
		{"halted: an instance that is not ready is still replaced",
			[]Instance{ready(state(lifecycle.BackingOff))}, halted,
			[]Decision{{Index: 0, Action: GrantSlot}}},
		{"halted: surges that are not confirmed are dropped",
			[]Instance{
				ready(slot, surge(SurgeStarting)), ready(slot, surge(SurgeFailed)),
				ready(slot, surge(SurgeUpdated)),
			}, halted, []Decision{
				{Index: 0, Action: Halt, Reason: bad}, {Index: 1, Action: Halt, Reason: bad},
			}},
		{"a failed dependency halts", []Instance{ready(failedDependency("db"))},
			nil, []Decision{{Index: 0, Action: Halt, Reason: "it needs db, which has failed"}}},
	} {
		got := Plan(tt.instances, Down(tt.instances), tt.halted)
		if !slices.Equal(got, tt.want) {
			t.Errorf("%s:\n got %+v\nwant %+v", tt.name, got, tt.want)
		}
	}
}

func TestHalt(t *testing.T) {
	for _, tt := range []struct {
		name  string
		i     Instance
		stays bool // the child stays halted
		kept  bool // the instance keeps its process
	}{
		{"updated", ready(goal(Run)), false, false},
		{"to be replaced", ready(), true, true},
		{"to be replaced, and not ready", ready(state(lifecycle.Starting)), true, false},
		{"its surge is confirmed", ready(slot, surge(SurgeUpdated)), true, false},
		{"given up", ready(goal(Run), givenUp), true, false},
		{"not ready for min_ready", ready(goal(Run), unconfirmed), true, false},
		{"in its restart delay", ready(goal(Run), state(lifecycle.BackingOff), unconfirmed),
			true, false},
		{"failed", ready(goal(Run), state(lifecycle.Failed), unconfirmed), true, false},
		{"removed", ready(goal(End), unconfirmed), false, false},
		{"retired", ready(goal(End), role(Retired), unconfirmed), false, false},
		{"another child", ready(ofChild("b")), false, false},
	} {
		all := []Instance{ready(goal(Run), named("a2")), tt.i}
		if got := StaysHalted(all, "a"); got != tt.stays {
			t.Errorf("%s: the child stays halted: got %v, want %v", tt.name, got, tt.stays)
		}
		if got := KeptAtHalt(all, "a"); slices.Contains(got, "a1") != tt.kept || len(got) > 1 {
			t.Errorf("%s: got the kept instances %v", tt.name, got)
		}
	}
}

func TestPlanOfHandOvers(t *testing.T) {
	for _, tt := range []struct {
		name      string
		instances []Instance
		want      []Decision
	}{
		{"an awaited instance needs no free slot",
			[]Instance{ready(slot), ready(awaited)}, []Decision{{Index: 1, Action: GrantSlot}}},
		{"an instance that gives an address up later waits for a slot",
			[]Instance{ready(slot), ready(gives)}, nil},
		{"the first slot is for an instance that takes no address over",
			[]Instance{ready(takes), ready(takes, gives), ready(gives)},
			[]Decision{{Index: 2, Action: GrantSlot}}},
		{"all take an address over", []Instance{ready(takes), ready(takes)},
			[]Decision{{Index: 0, Action: GrantSlot}}},
		{"an address that is not given up halts", []Instance{ready(notGiven("b"), takes)},
			[]Decision{{
				Index: 0, Action: Halt,
				Reason: "it needs an address of b, whose update is halted",
			}}},
	} {
		if got := Plan(tt.instances, Down(tt.instances), nil); !slices.Equal(got, tt.want) {
			t.Errorf("%s:\n got %+v\nwant %+v", tt.name, got, tt.want)
		}
	}
}

func TestPlanUsesNoSlotIfADependencyGoesDown(t *testing.T) {
	instances := []Instance{
		ready(ofChild("db")), ready(after("db")), ready(after("db")), ready(after("db")),
	}
	got := Plan(instances, Down(instances), nil)
	other := func(d Decision) bool { return d.Action != GrantSlot }
	if len(got) != 4 || slices.ContainsFunc(got, other) {
		t.Errorf("got %+v, want a slot for each of 4 instances", got)
	}
}

func TestDown(t *testing.T) {
	for _, tt := range []struct {
		name      string
		instances []Instance
		want      []string
	}{
		{"a replaced child", []Instance{ready(), ready(goal(Run), ofChild("b"))}, []string{"a"}},
		{"a removed child", []Instance{ready(goal(End))}, []string{"a"}},
		{"a child with a surge does not", []Instance{ready(allowSurge)}, nil},
		{"a surge needs a ready instance",
			[]Instance{ready(allowSurge, state(lifecycle.Starting))}, []string{"a"}},
		{"a surge is not possible if a dependency goes down",
			[]Instance{ready(allowSurge, after("b")), ready(ofChild("b"))}, []string{"a", "b"}},
		{"a surge exists, though a dependency goes down",
			[]Instance{ready(surge(SurgeStarting), after("b")), ready(ofChild("b"))},
			[]string{"b"}},
		{"a dependency that is not replaced", []Instance{ready(allowSurge, after("b"))}, nil},
		{"an instance without a process", []Instance{ready(state(lifecycle.BackingOff))}, nil},
		{"a retired instance", []Instance{ready(role(Retired), goal(End))}, nil},
		{"no surge for an instance that gives an address up", []Instance{ready(allowSurge, gives)},
			[]string{"a"}},
		{"no surge for an instance that takes an address over",
			[]Instance{ready(allowSurge, takes)}, []string{"a"}},
		{"a surge exists, though an address is given up",
			[]Instance{ready(surge(SurgeStarting), gives)}, nil},
		{"a circle of old and new dependencies", []Instance{
			ready(allowSurge, after("b")), ready(ofChild("b"), allowSurge, after("a")),
		}, nil},
	} {
		down := Down(tt.instances)
		maps.DeleteFunc(down, func(_ string, down bool) bool { return !down })
		if got := slices.Sorted(maps.Keys(down)); !slices.Equal(got, tt.want) {
			t.Errorf("%s: got %v, want %v", tt.name, got, tt.want)
		}
	}
}

func TestNextStep(t *testing.T) {
	all := Conditions{MayStop: true, DependenciesReady: true, DependenciesCompleted: true}
	for _, tt := range []struct {
		name string
		i    Instance
		down []string
		c    Conditions
		want Step
	}{
		{"no slot", ready(), nil, all, Wait},
		{"another goal", ready(slot, goal(Run)), nil, all, Wait},
		{"restart", ready(slot), nil, all, StopForReplacement},
		{"a dependent must be stopped first", ready(slot), nil,
			Conditions{DependenciesReady: true, DependenciesCompleted: true}, Wait},
		{"a oneshot must complete first", ready(slot), nil, Conditions{MayStop: true}, Wait},
		{"a dependency goes down, so no oneshot has to complete", ready(slot, after("db")),
			[]string{"db"}, Conditions{MayStop: true}, StopForReplacement},
		{"an awaited instance waits for no oneshot", ready(slot, awaited), nil,
			Conditions{MayStop: true}, StopForReplacement},
		{"nor does one that blocks an awaited one", ready(slot, blocks), nil,
			Conditions{MayStop: true}, StopForReplacement},
		{"an awaited instance waits for dependents", ready(slot, awaited), nil, Conditions{}, Wait},
		{"no surge to take an address over", ready(slot, allowSurge, takes), nil, all,
			StopForReplacement},
		{"an instance without a process", ready(slot, state(lifecycle.BackingOff)), nil,
			Conditions{MayStop: true}, StopForReplacement},
		{"start a surge", ready(slot, allowSurge), nil, all, StartSurge},
		{"a surge waits for dependencies", ready(slot, allowSurge), nil, Conditions{}, Wait},
		{"no surge if a dependency goes down", ready(slot, allowSurge, after("db")),
			[]string{"db"}, all, StopForReplacement},
		{"the surge is not ready", ready(slot, surge(SurgeStarting)), nil, all, Wait},
		{"the surge is ready", ready(slot, surge(SurgeUpdated)), nil, Conditions{}, PromoteSurge},
		{"the instance ended before its surge was ready",
			ready(slot, surge(SurgeStarting), state(lifecycle.BackingOff)), nil, all, PromoteSurge},
	} {
		down := map[string]bool{}
		for _, child := range tt.down {
			down[child] = true
		}
		if got := NextStep(tt.i, down, tt.c); got != tt.want {
			t.Errorf("%s: got %v, want %v", tt.name, got, tt.want)
		}
	}
}

func TestChangeOf(t *testing.T) {
	for _, tt := range []struct {
		state           lifecycle.State
		same, surgeSame bool
		want            Change
	}{
		{lifecycle.Ready, true, false, Keep},
		{lifecycle.Ready, false, false, ReplaceProcess},
		{lifecycle.Ready, false, true, KeepSurge},
		{lifecycle.Ready, true, true, KeepSurge},
		{lifecycle.Stopping, true, false, ReplaceProcess}, // it was removed, and is wanted again
		{lifecycle.Replacing, true, false, ReplaceProcess},
		{lifecycle.Stopped, true, false, ReplaceProcess},
		{lifecycle.Failed, true, false, Keep},
		{lifecycle.Failed, false, false, ReplaceProcess},
	} {
		if got := ChangeOf(tt.state, tt.same, tt.surgeSame); got != tt.want {
			t.Errorf("%v, same %v, surge same %v: got %v, want %v",
				tt.state, tt.same, tt.surgeSame, got, tt.want)
		}
	}
}

func TestJudge(t *testing.T) {
	off, on, back := Reload{}, Reload{Enabled: true}, Reload{RollingBack: true}
	bad := Failure{Goal: Run, Unconfirmed: true}
	restarted := Failure{Goal: Run, Unconfirmed: true, Restarts: true}
	for _, tt := range []struct {
		name    string
		reload  Reload
		failure Failure
		want    Verdict
	}{
		{"a new specification", on, bad, RollBack},
		{"a restart does not help the update", on, restarted, RollBack},
		{"an old specification", on, Failure{Goal: Run}, Unaffected},
		{"an instance that is to be replaced again", on,
			Failure{Goal: Replace, Unconfirmed: true}, Unaffected},
		{"a removed instance", on, Failure{Goal: End, Unconfirmed: true}, Unaffected},
		{"rollbacks are off", off, bad, HaltUpdate},
		{"rollbacks are off, and a restart follows", off, restarted, HaltUpdate},
		{"rollbacks are off, and an old specification", off, Failure{Goal: Run}, Unaffected},
		{"the sockets are gone", Reload{Enabled: true, Impossible: true}, restarted, HaltUpdate},
		{"a restored process is restarted", back, restarted, Unaffected},
		{"a restored process failed for good", back, bad, HaltUpdate},
		{"no second rollback", Reload{Enabled: true, RollingBack: true}, bad, HaltUpdate},
		{"a oneshot", on,
			Failure{Goal: Run, Unconfirmed: true, Oneshot: true, Restarts: true}, RollBack},
		{"a oneshot is restarted, and rollbacks are off", off,
			Failure{Goal: Run, Unconfirmed: true, Oneshot: true, Restarts: true}, Unaffected},
		{"a oneshot failed for good", off,
			Failure{Goal: Run, Unconfirmed: true, Oneshot: true}, HaltUpdate},
	} {
		if got := Judge(tt.reload, tt.failure); got != tt.want {
			t.Errorf("%s: got %v, want %v", tt.name, got, tt.want)
		}
	}
}

func TestFinished(t *testing.T) {
	done := ready(goal(Run))
	waiting := ready(goal(Run), state(lifecycle.Waiting), unconfirmed)
	mayStart := func(i *Instance) { i.MayStart = true }
	for _, tt := range []struct {
		name string
		i    Instance
		want bool
	}{
		{"updated", done, true},
		{"to be replaced", ready(), false},
		{"to be removed", ready(goal(End), state(lifecycle.Stopping)), false},
		{"starting", ready(goal(Run), state(lifecycle.Starting), unconfirmed), false},
		{"backing off", ready(goal(Run), state(lifecycle.BackingOff), unconfirmed), false},
		{"a oneshot that is ready has not completed", ready(goal(Run), unconfirmed), false},
		{"failed", ready(goal(Run), state(lifecycle.Failed), unconfirmed), true},
		{"waiting for a dependency", waiting, true},
		{"about to start", ready(goal(Run), state(lifecycle.Waiting), mayStart), false},
	} {
		if got := Finished([]Instance{done, tt.i}); got != tt.want {
			t.Errorf("%s: got %v, want %v", tt.name, got, tt.want)
		}
	}
}
