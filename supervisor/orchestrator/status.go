package orchestrator

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"tp0/supervisor/api"
	"tp0/supervisor/config"
	"tp0/supervisor/lifecycle"
	"tp0/supervisor/orchestrator/rollout"
	"tp0/supervisor/process"
)

// currentStatus returns the state of the supervisor and of all instances.
func (o *Orchestrator) currentStatus() api.Status {
	s := api.Status{Supervisor: api.Supervisor{
		Pid: os.Getpid(), State: "running", StartedAt: o.startedAt, Reload: o.reloadState(),
	}}
	if o.shutdown.phase != running {
		deadline := o.shutdown.deadline
		s.Supervisor.State, s.Supervisor.Deadline = "stopping", &deadline
	}
	o.findFailed()
	for _, inst := range o.instances {
		if inst.current() || inst.state.HasProcess() {
			s.Instances = append(s.Instances, o.statusOf(inst))
		}
	}
	return s
}

func (o *Orchestrator) reloadState() *api.ReloadState {
	r := o.reloads.active
	s := &api.ReloadState{Kind: "reload", State: "applying"}
	if r != nil && r.restartOnly && !o.reloads.loading {
		s.Kind, s.State, s.Names = "restart", "restarting", slices.Clone(r.restarts)
	}
	switch {
	case o.reloads.loading:
		s.State = "loading"
	case r == nil:
		return nil
	case len(r.halted) > 0:
		s.State, s.Reason = "halted", o.haltedReload()
	case r.rollbackReason != "":
		s.State, s.Reason = "rolling_back", r.rollbackReason
	}
	return s
}

func (o *Orchestrator) statusOf(inst *instance) api.Instance {
	s := api.Instance{
		Name: inst.spec.Name, Child: inst.child(), Command: inst.spec.Launch.Command,
		State: inst.state.ID(), Reason: o.reasonOf(inst), Ready: inst.serves(),
		Restarts: max(0, inst.restarts.spawned-1), Status: inst.notified.status,
		StoppedBy: inst.held, LastExit: inst.restarts.lastExit,
		Surge: inst.update.surgeOf != nil, FDsAtReady: inst.inspect.atReady,
	}
	if inst.state.HasProcess() {
		if s.Pid = inst.process.pid; inst.runsHook() {
			s.Pid = 0
		}
		if s.Pid != 0 {
			started := inst.process.spawned
			s.StartedAt = &started
		}
	}
	for _, name := range slices.Sorted(maps.Keys(inst.health.checks)) {
		s.Checks = append(s.Checks, *inst.health.checks[name])
	}
	return s
}

// reasonOf says why an instance is in its state. Empty: there is nothing to add.
func (o *Orchestrator) reasonOf(inst *instance) string {
	if inst.hook != nil {
		return inst.hook.describe()
	}
	switch inst.state {
	case lifecycle.Waiting:
		return o.waitReason(inst)
	case lifecycle.BackingOff, lifecycle.Failed:
		return inst.restarts.last.Reason
	case lifecycle.Unready:
		return inst.health.failure
	case lifecycle.Stopping, lifecycle.Stopped:
		if inst.held != nil {
			return "stopped by " + inst.held.String() + inst.endBefore()
		}
	case lifecycle.Ready:
		switch {
		case !inst.serves():
			return "it stops by itself: it sent STOPPING=1"
		case inst.goal == rollout.Hold:
			return "it is stopped once its dependents have ended"
		case inst.goal == rollout.Replace:
			return "it is about to be replaced"
		}
	}
	return ""
}

// endBefore says how an instance ended before a request stopped it. Empty: it had not ended.
func (inst *instance) endBefore() string {
	switch {
	case inst.failed:
		return "; it failed: " + inst.restarts.last.Reason
	case inst.complete:
		return "; it had completed"
	}
	return ""
}

// waitReason says what an instance waits for before its start.
func (o *Orchestrator) waitReason(inst *instance) string {
	if reason := o.stoppedDependency(inst); reason != "" {
		return reason
	}
	var waits []string
	for _, d := range inst.dependsOn {
		if !o.groups[d.Child].satisfy(d.Until) {
			waits = append(waits, d.Child+" to be "+untilName(d.Until))
		}
	}
	for _, t := range inst.handOver.takes {
		if t.claim.takenFrom(inst) {
			waits = append(waits, "the end of "+t.claim.givers[0].inst.spec.Name)
		}
	}
	if len(waits) == 0 {
		return ""
	}
	return "it waits for " + strings.Join(waits, ", ")
}

func untilName(u config.Until) string {
	switch u {
	case config.UntilCompleted:
		return "completed"
	case config.UntilStarted:
		return "started"
	}
	return "ready"
}

// countAtReady counts the descriptors that the first inspection of a process found. So the growth
// since then costs no scan of its own.
func (inst *instance) countAtReady(x *process.Inspected) {
	if inst.inspect.atReady != nil || len(x.FDs) == 0 {
		return
	}
	c := &api.FDCount{Pid: x.Pid, At: x.At.UTC(), Kinds: map[string]int{}}
	for _, f := range x.FDs {
		c.Kinds[f.Kind]++
	}
	inst.inspect.atReady = c
}

// noteExit notes the end of a main process for the status. The instance that took the place of a
// retired one has the end of that one too.
func (o *Orchestrator) noteExit(inst *instance, x process.Exited) {
	e := &api.Exit{
		Pid: x.Pid, Code: inst.exit.code, Signal: x.Exit.Signal, At: x.At,
		Reason: exitReason(x),
	}
	inst.restarts.lastExit, inst.restarts.cause = e, ""
	if inst.update.retired {
		if successor := o.currentNamed(inst.spec.Name); successor != nil {
			successor.restarts.lastExit = e
		}
	}
}

// exitReason returns how a main process ended, as a sentence without a subject.
func exitReason(x process.Exited) string {
	if x.Exit.Signal != "" {
		return "ended by " + x.Exit.Signal
	}
	return fmt.Sprintf("exited with code %d", x.Exit.Code)
}

// noteCheck notes the result of a check, and returns the number of its failures in a row. A nil
// error is a success.
func (inst *instance) noteCheck(name string, err error) (failures int) {
	if inst.health.checks == nil {
		inst.health.checks = map[string]*api.Check{}
	}
	c := inst.health.checks[name]
	if c == nil {
		c = &api.Check{Name: name}
		inst.health.checks[name] = c
	}
	if err == nil {
		*c = api.Check{Name: name}
		return 0
	}
	c.Failures, c.Reason = c.Failures+1, err.Error()
	return c.Failures
}
