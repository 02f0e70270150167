package orchestrator

import (
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"tp0/supervisor/cause"
	"tp0/supervisor/config"
	"tp0/supervisor/explain"
	"tp0/supervisor/lifecycle"
	"tp0/supervisor/orchestrator/rollout"
)

// explain collects the facts about the instances with the given names.
func (o *Orchestrator) explain(names []string) (e explanation) {
	instances, err := o.instancesOf(names)
	if err != nil {
		return explanation{err: err}
	}
	o.findFailed()
	for _, inst := range instances {
		e.facts = append(e.facts, o.factsAbout(inst))
	}
	return e
}

func (o *Orchestrator) factsAbout(inst *instance) explain.Facts {
	p := &inst.spec.Policy
	f := explain.Facts{
		Now: time.Now(), Instance: o.statusOf(inst), Due: o.dueOf(inst),
		Waits: o.waitsOf(inst), Ready: readyWords(inst.spec.Launch.Ready),
		Restart: explain.Restart{
			Reason: inst.restarts.last.Reason, Attempt: inst.restarts.last.Attempt,
			Attempts: p.Restart.Attempts, Interval: p.Restart.Interval,
			Shortage: inst.restarts.shortage.active(), LogFile: inst.restarts.shortage.logFile,
			OnFailure: string(p.OnFailure),
		},
		Update: o.updateOf(inst), Stop: o.stopOf(inst), StopsAfter: o.stopsAfter(inst),
		Limits: map[string]int{}, Cause: inst.restarts.cause,
		OOM: cause.NamesOOMKiller(inst.restarts.cause), Subject: o.subjectOf(inst),
	}
	if inst.hook != nil {
		f.Hook, f.HookNext = inst.hook.describe(), o.afterHook(inst)
	}
	if o.shutdown.phase != running {
		deadline := o.shutdown.deadline
		f.ShuttingTo = &deadline
	}
	inst.noteLeaks(&f)
	for _, c := range p.Checks {
		f.Limits[c.Name] = c.Limit
	}
	return f
}

// afterHook says what happens at the end of the timer of an instance whose hook runs. Empty:
// nothing follows.
func (o *Orchestrator) afterHook(inst *instance) string {
	if inst.runsHook() && inst.stop.step == 0 {
		return "the hook gets SIGTERM"
	}
	next, ok := o.presentStopSequence(inst).Step(inst.stop.step + 1)
	switch {
	case !ok || inst.stop.step == 0:
		return ""
	case inst.runsHook():
		return "the hook gets " + signalName(next.Signal)
	case inst.stop.step == 1:
		return "the hook gets SIGKILL, and the process gets " + signalName(next.Signal)
	}
	return "the process gets " + signalName(next.Signal) // the hook has SIGKILL already
}

// dueOf returns the end of what an instance waits for by the clock.
func (o *Orchestrator) dueOf(inst *instance) time.Time {
	r := inst.spec.Launch.Ready
	if inst.state == lifecycle.Starting && r != nil && !r.Notify && inst.process.pid != 0 {
		return inst.process.spawned.Add(r.Timeout) // the probe has a timer of its own
	}
	return inst.timer.due
}

// waitsOf returns what the start of an instance waits for.
func (o *Orchestrator) waitsOf(inst *instance) (all []explain.Wait) {
	if inst.state != lifecycle.Waiting {
		return nil
	}
	for _, d := range inst.dependsOn {
		g := o.groups[d.Child]
		if g.satisfy(d.Until) {
			continue
		}
		w := explain.Wait{For: d.Child, Until: untilName(d.Until)}
		i := slices.IndexFunc(g, func(other *instance) bool { return !other.satisfies(d.Until) })
		if i >= 0 {
			w.For, w.State, w.Reason = g[i].spec.Name, g[i].state.ID(), o.waitedFor(g[i])
		}
		all = append(all, w)
	}
	for _, t := range inst.handOver.takes {
		if t.claim.takenFrom(inst) {
			giver := t.claim.givers[0].inst
			all = append(all, explain.Wait{
				For: giver.spec.Name, Until: "ended", State: giver.state.ID(), Reason: t.Reason(),
			})
		}
	}
	return all
}

// waitedFor says why an instance that another one waits for is in its state.
func (o *Orchestrator) waitedFor(inst *instance) string {
	r := inst.spec.Launch.Ready
	if inst.state == lifecycle.Starting && r != nil {
		return "its ready block waits for " + readyWords(r)
	}
	return o.reasonOf(inst)
}

// readyWords says what a ready block waits for. Empty: there is none.
func readyWords(r *config.Ready) string {
	switch {
	case r == nil:
		return ""
	case r.Notify:
		return "READY=1 (sd_notify)"
	case r.Log != "":
		return "a line of output that matches " + r.Log
	case r.TCP != "":
		return "a listener on " + r.TCP
	case r.HTTP != "":
		return "an answer from its http address" // it can have a password
	}
	return "the success of its exec command" // its arguments can be secret
}

// updateOf returns the state of the replacement of an instance. It is nil if none is under way.
func (o *Orchestrator) updateOf(inst *instance) *explain.Update {
	r := o.reloads.active
	if r == nil || inst.goal != rollout.Replace && !inst.update.givenUp {
		return nil
	}
	u := &explain.Update{
		Halted: r.halted[inst.child()], HasSlot: inst.update.hasSlot,
		MaxParallel: inst.wanted().Policy.MaxParallel,
	}
	if inst.update.surge != nil {
		u.Surge = inst.update.surge.state.ID()
	}
	for _, other := range o.instances {
		if other != inst && other.child() == inst.child() && other.update.hasSlot {
			u.Holders = append(u.Holders, other.spec.Name)
		}
	}
	return u
}

// stopOf returns the progress of the stop sequence. It is nil before the first step.
func (o *Orchestrator) stopOf(inst *instance) *explain.Stop {
	if !inst.state.HasProcess() || inst.stop.step == 0 || inst.hook != nil {
		return nil
	}
	all := o.presentStopSequence(inst)
	s := &explain.Stop{
		Began: inst.stop.beganAt, Step: inst.stop.step, Steps: len(all),
		MainEnded: inst.exit.outcome != nil || inst.state == lifecycle.Ending,
	}
	if step, ok := all.Step(inst.stop.step); ok {
		s.Signal = inst.stepName(step.Signal)
	}
	if step, ok := all.Step(inst.stop.step + 1); ok {
		s.Next = signalName(step.Signal)
	}
	return s
}

// stepName returns the signal of the present step. The stop hook is a step with the signal 0, and a
// success of it takes the place of the first signal.
func (inst *instance) stepName(s unix.Signal) string {
	switch {
	case inst.stop.unsent:
		return "its stop hook, which has succeeded"
	case s == 0:
		return "its stop hook"
	}
	return signalName(s)
}

// stopsAfter returns the instances that are to end before an instance is stopped: see mayStop.
func (o *Orchestrator) stopsAfter(inst *instance) (names []string) {
	if !inst.stops() || !inst.state.HasProcess() || inst.stop.step > 0 || o.mayStop(inst) {
		return nil
	}
	for _, other := range o.instances {
		if other == inst || !o.aboutToEnd(other) {
			continue
		}
		if slices.Contains(o.neededBy(other), inst.child()) || inst.sidecar() && !other.sidecar() {
			names = append(names, other.spec.Name)
		}
	}
	return names
}

// subjectOf returns the process that is to be examined.
func (o *Orchestrator) subjectOf(inst *instance) (s explain.Subject) {
	gone := inst.process.pid == 0 || inst.exit.outcome != nil || inst.runsHook()
	if !inst.state.HasProcess() || gone {
		return s
	}
	l := &inst.spec.Launch
	s = explain.Subject{
		Pid: inst.process.pid, Started: inst.process.spawned,
		Path: l.Path, Args: l.Args, Dir: l.Dir, Threads: inst.state != lifecycle.Ready,
	}
	if step, ok := o.presentStopSequence(inst).Step(inst.stop.step); ok && !inst.stop.unsent {
		s.Signal = int(step.Signal)
	}
	return s
}
