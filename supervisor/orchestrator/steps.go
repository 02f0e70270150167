package orchestrator

import (
	"time"

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
		return lifecycle.NewStopSequence(p.KillSignal, restartTimeout, p.DiagnoseSignal)
	}
	return inst.stopSequence()
}

// takeStep sends the signal of a step and starts its timer. After SIGKILL it does nothing.
func (o *Orchestrator) takeStep(inst *instance, n int) {
	s, ok := o.presentStopSequence(inst).Step(n)
	if !ok || n == inst.stop.step {
		return
	}
	if inst.stop.step == 0 {
		inst.stop.beganAt = time.Now()
	}
	// The process loop may hold the first signal back until the probe reports that the process is
	// ready. A probe that runs a command does not release the signal.
	young := o.clock.Ran()-inst.process.ran.spawned <= handlerDelay
	if inst.stop.step > 0 || !young || inst.usesExecProbe() {
		inst.cancelProbe()
	}
	inst.stopMonitoring()
	inst.stop.step = n
	proof := o.cfg.Shutdown.Proof
	o.opt.Processes.Signal(inst.process.id, s.Signal, n, proof)
	if s.Wait > 0 {
		o.startTimer(inst, stepTimer, s.Wait)
		o.diagnoseSlowStop(inst, s.Wait)
		return
	}
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
