package orchestrator

import (
	"time"

	"tp0/supervisor/event"
	"tp0/supervisor/lifecycle"
)

// restartTimeout is the kill_timeout of a restart or a reload where the file gives none: the share
// of the deadline is for the final stop.
const restartTimeout = 5 * time.Second

// killedTimeout bounds how long a stop waits for the end of an instance after its SIGKILL. A
// process that got SIGKILL runs no more code, so it needs none of its dependencies. Its tree can
// still exist: a tracer stops it at its exit, it sleeps in the kernel, or the supervisor has no
// permission to signal it.
const killedTimeout = 100 * time.Millisecond

// presentStopSequence returns the stop sequence of the present phase.
func (o *Orchestrator) presentStopSequence(inst *instance) lifecycle.StopSequence {
	p := &inst.spec.Policy
	if p.SharedTimeout && o.shutdown.phase == running {
		return inst.sequenceWithin(restartTimeout)
	}
	return inst.stopSequence()
}

// takeStep sends the signal of a step and starts its timer. After SIGKILL it does nothing.
func (o *Orchestrator) takeStep(inst *instance, n int) {
	sequence := o.presentStopSequence(inst)
	s, ok := sequence.Step(n)
	if ok && s.Signal == 0 && inst.exit.outcome != nil { // the stop hook is for a main process
		n++
		s, ok = sequence.Step(n)
	}
	if !ok || n == inst.stop.step {
		return
	}
	if inst.stop.step == 0 {
		inst.stop.beganAt, inst.stop.hooked = time.Now(), sequence[0].Signal == 0
	}
	if inst.runsHook() {
		o.takeHookStep(inst, s, n)
		return
	}
	if n == 2 && inst.stop.hooked && inst.stop.step == 1 {
		s.Wait += inst.timeLeft() // that the stop hook did not use
	}
	// The process loop may hold the first signal back until the probe reports that the process is
	// ready. A probe that runs a command does not release the signal.
	young := o.clock.Ran()-inst.process.ran.spawned <= handlerDelay
	if inst.stop.step > 0 || !young || inst.usesExecProbe() {
		inst.cancelProbe()
	}
	inst.stopMonitoring()
	inst.stop.step, inst.stop.unsent = n, false
	if n > 1 {
		o.killHook(inst, sequence[0].Wait)
	}
	proof := o.cfg.Shutdown.Proof
	o.opt.Processes.Signal(inst.process.id, s.Signal, n, proof)
	if s.Wait > 0 {
		o.startTimer(inst, stepTimer, s.Wait)
		o.diagnoseSlowStop(inst, s.Wait)
		return
	}
	o.noteKilled(inst)
}

// noteKilled notes that SIGKILL was requested.
func (o *Orchestrator) noteKilled(inst *instance) {
	inst.stop.killedAt = time.Now()
	o.startTimer(inst, killTimer, killedTimeout) // its dependencies may be stopped then
}

// diagnoseSlowStop schedules the diagnosis of a stop that takes long.
func (o *Orchestrator) diagnoseSlowStop(inst *instance, wait time.Duration) {
	if inst.stop.step == 1 && wait > diagnoseAt+diagnoseBefore {
		o.actLater(inst, diagnoseAt, diagnoseStop)
	}
	o.actLater(inst, max(wait-diagnoseBefore, wait/2), diagnoseStop)
}

// killOverdue reports whether an instance got SIGKILL so long ago that the stop continues without
// its end.
func (o *Orchestrator) killOverdue(inst *instance) bool {
	killed := inst.stop.killedAt
	return o.shutdown.phase == stopping && !killed.IsZero() && time.Since(killed) >= killedTimeout
}

// takeHookStep takes a step of the stop sequence of a hook that runs in place of a main process.
func (o *Orchestrator) takeHookStep(inst *instance, s lifecycle.Step, n int) {
	h := inst.hook
	inst.stop.step = n
	if h.id == 0 {
		o.cancelHook(h, "a stop began before it could be started")
		return
	}
	o.opt.Processes.Signal(h.id, s.Signal, n, event.ProofNone)
	if s.Wait > 0 {
		o.startTimer(inst, stepTimer, s.Wait)
		return
	}
	o.noteKilled(inst)
}

// signalSurvivors sends the descendants that outlive a main process the first signal of the stop
// sequence, if the stop hook ran in place of it.
func (o *Orchestrator) signalSurvivors(inst *instance) {
	if inst.hook != nil || inst.exit.outcome == nil || !inst.stop.hooked {
		return
	}
	switch s, _ := o.presentStopSequence(inst).Step(2); {
	case inst.stop.step == 1:
		o.apply(inst, lifecycle.Escalate)
	case inst.stop.unsent:
		inst.stop.unsent = false
		o.opt.Processes.Signal(inst.process.id, s.Signal, 2, o.cfg.Shutdown.Proof)
	}
}
