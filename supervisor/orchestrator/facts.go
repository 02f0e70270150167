package orchestrator

import (
	"cmp"
	"errors"
	"io/fs"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"tp0/supervisor/event"
	"tp0/supervisor/lifecycle"
	"tp0/supervisor/limits"
	"tp0/supervisor/orchestrator/rollout"
	"tp0/supervisor/output"
	"tp0/supervisor/process"
	"tp0/supervisor/process/spawn"
)

// onFact handles a fact of the process loop.
func (o *Orchestrator) onFact(fact process.Fact) {
	switch x := fact.(type) {
	case process.Spawned:
		o.onSpawned(x)
	case process.SpawnFailed:
		o.onSpawnFailed(x)
	case process.Signalled:
		o.onSignalled(x)
	case process.Withheld:
		o.onWithheld(x)
	case process.Exited:
		o.onExited(x)
	case process.TreeEnded:
		o.onTreeEnded(x)
	case process.MainChanged:
		o.onMainChanged(x)
	case process.NotHandedOver:
		o.onNotHandedOver(x)
	case process.Inspected:
		o.onInspected(x)
	case process.Diagnosed:
		o.onDiagnosed(x)
	case process.DescendantEnded:
		o.onDescendantEnded(x)
	case process.OrphanSignalled:
		if x.Signal == unix.SIGKILL {
			o.totals.killed++
		}
		o.opt.Sink.Emit(event.SignalSent{
			Orphan: x.Command, Pid: x.Pid, Signal: signalName(x.Signal), Step: x.Step,
		})
	case process.OrphanReaped:
		o.totals.orphans++
		o.opt.Sink.Emit(event.OrphanReaped{
			Child: x.Child, Pid: x.Pid, Command: x.Command, Exit: x.Exit,
		})
	case process.OrphanCleanupDone:
		o.onCleanupDone(x)
	}
}

func (o *Orchestrator) onSpawned(x process.Spawned) {
	inst := o.processes.byID[x.Process]
	o.processes.pending--
	o.totals.spawned++
	inst.restarts.spawned++
	inst.process.pid, inst.process.spawned = x.Pid, x.At
	inst.process.ran.spawned = o.clock.Ran()
	inst.restarts.shortage, o.totals.spawnError = shortage{}, nil
	o.opt.Sink.Emit(event.Spawned{
		Child: inst.spec.Name, Pid: x.Pid, Command: inst.spec.Launch.Command,
	})
	inst.process.output.Started()
	if inst.state == lifecycle.Starting {
		o.awaitReady(inst)
	}
	o.handleNotifications(inst, NotifySocket.Messages)
}

func (o *Orchestrator) onSpawnFailed(x process.SpawnFailed) {
	o.processes.pending--
	inst := o.processes.byID[x.Process]
	delete(o.processes.byID, x.Process)
	inst.closeNotify()
	if inst.process.output != nil {
		inst.process.output.Started()
		inst.process.output = nil
	}
	inst.process.sockets = nil // the process loop no longer has their numbers
	if errors.Is(x.Err, process.ErrRevoked) {
		o.ended(inst, outcome{reason: x.Err.Error()})
		return
	}
	o.totals.spawnError = x.Err
	if o.retrySpawn(inst, x.Err) {
		return
	}
	o.opt.Sink.Emit(event.SpawnFailed{
		Child: inst.spec.Name, Command: inst.spec.Launch.Command, Reason: x.Err.Error(),
	})
	out := &outcome{reason: "it could not be spawned: " + x.Err.Error(), at: time.Now()}
	o.afterPostStop(inst, out, func() { o.ended(inst, *out) })
}

// A spawn that fails for lack of a process, memory or a descriptor is retried until it succeeds. So
// is the spawn of a child whose log file is on a file system that does not respond. Such an error
// is no failure of the child: no restart is counted, and the dependents wait. The delay doubles
// from minSpawnDelay to maxSpawnDelay.
const (
	minSpawnDelay = 50 * time.Millisecond
	maxSpawnDelay = 2 * time.Second
)

// retrySpawn schedules another spawn if the last one failed for lack of a resource and the process
// is still wanted. It reports whether it did.
func (o *Orchestrator) retrySpawn(inst *instance, err error) bool {
	now, s := time.Now(), &inst.restarts.shortage
	timeout := o.opt.ShortageTimeout
	timedOut := timeout > 0 && s.active() && now.Sub(s.since) >= timeout
	if timedOut || !o.mayRetrySpawn(inst, err) {
		*s = shortage{}
		return false
	}
	if s.failed == 0 {
		s.since = now
	}
	delay := min(minSpawnDelay<<min(s.failed, 16), maxSpawnDelay)
	s.failed++
	lack := limits.Shortage{Resource: "log file", Limit: output.ErrOpenBlocked.Error()}
	s.logFile = ""
	var open *fs.PathError
	switch {
	case !errors.Is(err, output.ErrOpenBlocked):
		lack = limits.ShortageOf(err)
	case errors.As(err, &open):
		s.logFile = open.Path
	}
	o.opt.Sink.Emit(event.SpawnDelayed{
		Child: inst.spec.Name, Resource: lack.Resource, Limit: lack.Limit, Delay: delay,
		Reason: err.Error(),
	})
	inst.restarts.last = lifecycle.Decision{
		Event: lifecycle.EndedToRestart, Delay: delay, Reason: err.Error(),
	}
	o.apply(inst, lifecycle.EndedToRestart)
	return true
}

// mayRetrySpawn reports whether a process is still wanted, and a resource was short that can become
// available again.
func (o *Orchestrator) mayRetrySpawn(inst *instance, err error) bool {
	starting := inst.goal == rollout.Run &&
		(inst.state == lifecycle.Starting || inst.state == lifecycle.Preparing)
	temporary := limits.MeansShortage(err) || errors.Is(err, output.ErrOpenBlocked)
	if !starting || o.shutdown.phase != running || !temporary {
		return false
	}
	// The child's own limits do not change between two spawns: what they refuse the start verb is a
	// failure of the child.
	return !spawn.FromStartVerb(err) || len(inst.spec.Launch.Attributes.Limits) == 0
}

func (o *Orchestrator) onSignalled(x process.Signalled) {
	inst := o.processes.byID[x.Process]
	name, sig := inst.spec.Name, signalName(x.Signal)
	switch {
	case x.Signal == 0:
		o.runStopHook(inst, x)
	case x.Err == nil:
		if x.Descendant != "" && x.Signal == unix.SIGKILL {
			o.totals.killed++ // a main process is counted at its exit
		}
		if x.Step > inst.firstSignal() && x.Signal != unix.SIGKILL {
			o.totals.escalated++
		}
		o.opt.Sink.Emit(event.SignalSent{
			Child: name, Pid: x.Pid, Process: x.Descendant, Signal: sig, Step: x.Step,
		})
	case !errors.Is(x.Err, unix.ESRCH): // ESRCH: the process has just ended
		o.opt.Sink.Emit(event.SignalFailed{
			Child: name, Pid: x.Pid, Signal: sig, Reason: x.Err.Error(),
		})
	}
}

// onMainChanged makes the successor of a main process the main process.
func (o *Orchestrator) onMainChanged(x process.MainChanged) {
	inst := o.processes.byID[x.Process]
	inst.process.pid, inst.process.successor, inst.exit.waiting = x.Pid, 0, nil
	o.handleNotifications(inst, NotifySocket.Messages) // passes the new pid to the socket
	o.opt.Sink.Emit(event.MainChanged{
		Child: inst.spec.Name, Pid: x.Pid, From: x.From, Exit: x.Exit,
	})
	if inst.health.cancelChecks != nil { // a check belongs to the pid that it was started for
		inst.cancelChecks()
		o.startChecks(inst)
	}
	o.takeBackStop(inst) // the former main process announced it
}

func (o *Orchestrator) onDelayedAction(m delayedAction) {
	inst := m.inst
	if inst.process.id != m.process || !inst.state.HasProcess() {
		return // stale
	}
	switch m.kind {
	case inspectReady:
		inst.health.steady = inst.state == lifecycle.Ready
		o.opt.Processes.Inspect(m.process, inst.spec.Policy.KillSignal)
	case reloadSignalDue:
		o.sendDueReloadSignal(inst)
	case minReadyOver:
		o.awaitMinReady(inst)
	case diagnoseStop:
		if s, ok := inst.stopSequence().Step(inst.stop.step); ok {
			o.opt.Processes.Diagnose(m.process, cmp.Or(s.Signal, inst.spec.Policy.KillSignal))
		}
	}
}

// onInspected keeps the result of an inspection. It warns once if the process does not handle its
// kill_signal.
func (o *Orchestrator) onInspected(x process.Inspected) {
	inst := o.processes.byID[x.Process]
	x.FDs = slices.Clone(x.FDs) // it is kept, and a scan leaves room for 16: 3 KB
	inst.inspect.last = &x
	inst.countAtReady(&x)
	if x.Disposition == inst.inspect.disposition {
		return
	}
	inst.inspect.disposition = x.Disposition
	if inst.spec.Policy.Hooks.Stop.Set() {
		return // the signal does not ask it to end
	}
	if x.Disposition == "ignored" || x.Disposition == "default" {
		o.opt.Sink.Emit(event.SignalNotHandled{
			Child: inst.spec.Name, Pid: x.Pid, Signal: signalName(inst.spec.Policy.KillSignal),
			Disposition: x.Disposition,
		})
	}
}

func (o *Orchestrator) onDiagnosed(x process.Diagnosed) {
	inst := o.processes.byID[x.Process]
	step := inst.stop.step
	if s, ok := inst.stopSequence().Step(step - 1); ok && s.Signal == x.Signal {
		step-- // the next step was taken during the diagnosis
	}
	signal, disposition := signalName(x.Signal), x.Disposition
	switch {
	case inst.stop.unsent:
		signal, disposition = "the stop hook, which has succeeded", ""
	case inst.stop.hooked && step == 1:
		signal, disposition = "the stop hook", ""
	}
	o.opt.Sink.Emit(event.SlowStop{
		Child: inst.spec.Name, Pid: x.Pid, Stop: time.Since(inst.stop.beganAt), Step: step,
		Signal: signal, Disposition: disposition, CPU: x.CPU, Threads: x.Threads,
	})
}
