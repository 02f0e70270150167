package orchestrator

import (
	"tp0/supervisor/config"
	"tp0/supervisor/event"
	"tp0/supervisor/lifecycle"
	"tp0/supervisor/orchestrator/rollout"
)

// apply applies an event to the state machine of an instance and does the action that follows.
func (o *Orchestrator) apply(inst *instance, e lifecycle.Event) {
	before := inst.state
	next, action := lifecycle.Next(before, e)
	inst.state = next
	if before != next && (before == lifecycle.BackingOff || !next.HasProcess()) {
		inst.stopTimer()
	}
	if inst.next != nil && inst.goal == rollout.Run && !next.HasProcess() {
		inst.adoptNext()
	}
	if e == lifecycle.FailureHookEnded && next == lifecycle.Waiting {
		inst.forgetEnds() // a request or a reload starts it
	}
	switch action {
	case lifecycle.Spawn:
		inst.startDue = false // by a pre_start hook with descendants
		o.spawn(inst)
	case lifecycle.RunPreStart:
		o.runPreStart(inst)
	case lifecycle.RunPostStop:
		o.runHook(inst, config.PostStopHook)
	case lifecycle.NextStep:
		o.takeStep(inst, inst.stop.step+1)
	case lifecycle.LastStep:
		o.takeStep(inst, len(o.presentStopSequence(inst)))
	case lifecycle.ScheduleRestart:
		o.scheduleRestart(inst)
	case lifecycle.Complete:
		o.complete(inst)
	case lifecycle.Fail:
		o.fail(inst)
		if next == lifecycle.Failing {
			o.runHook(inst, config.OnFailureHook)
		}
	}
}

func (o *Orchestrator) scheduleRestart(inst *instance) {
	last := &inst.restarts.last
	if !inst.restarts.shortage.active() { // a shortage is reported by SpawnDelayed
		o.opt.Sink.Emit(event.Restarting{
			Child: inst.spec.Name, Attempt: last.Attempt, Delay: last.Delay, Reason: last.Reason,
		})
	}
	o.startTimer(inst, restartTimer, last.Delay)
}

func (o *Orchestrator) complete(inst *instance) {
	p := &inst.spec.Policy
	inst.complete, inst.startDue = true, false
	inst.update.unconfirmed = inst.update.unconfirmed && !p.Oneshot
	o.opt.Sink.Emit(event.Completed{Child: inst.spec.Name})
	if o.isBadUpdate(inst) {
		return
	}
	o.stopIfCritical(inst, 0)
	if p.OnSuccess == config.ShutDown && o.groups[inst.child()].allSucceeded() {
		o.beginStop(inst.spec.Child + " completed, and on_success is \"shutdown\"")
	}
}

func (o *Orchestrator) fail(inst *instance) {
	inst.failed = true
	o.opt.Sink.Emit(event.Failed{
		Child: inst.spec.Name, Attempts: inst.restarts.history.Count(),
		Reason: inst.restarts.last.Reason,
	})
	if o.isBadUpdate(inst) {
		return
	}
	o.stopIfCritical(inst, inst.exit.code)
	if inst.spec.Policy.OnFailure == config.ShutDown {
		reason := inst.spec.Name + " failed, and on_failure is \"shutdown\""
		if inst.spec.Policy.DefaultOnFailure {
			reason += ", the default"
		}
		o.beginStop(reason)
	}
}

// stopIfCritical begins the stop of everything if the instance is critical. code becomes the exit
// code of the supervisor; 0 leaves that to the verdict.
func (o *Orchestrator) stopIfCritical(inst *instance, code int) {
	if inst.spec.Policy.Critical && o.shutdown.phase == running {
		o.totals.critical = code
		o.beginStop(inst.spec.Name + " ended, and it is critical")
	}
}
