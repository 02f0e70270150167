package orchestrator

import (
	"errors"
	"fmt"
	"time"

	"tp0/supervisor/event"
	"tp0/supervisor/lifecycle"
	"tp0/supervisor/orchestrator/rollout"
	"tp0/supervisor/probe"
)

// awaitReady waits for a process to become ready, by its ready block.
func (o *Orchestrator) awaitReady(inst *instance) {
	r := inst.spec.Launch.Ready
	switch {
	case r == nil:
		o.becomeReady(inst)
	case r.Notify:
		o.startTimer(inst, notifyTimer, r.Timeout)
		inst.timer.readyLimit = r.Timeout
	default:
		o.runProbe(inst, r)
	}
}

func (o *Orchestrator) becomeReady(inst *instance) {
	if inst.state == lifecycle.Starting {
		p := &inst.process
		inst.health.readyAt, p.ran.ready = time.Now(), o.clock.Ran()
		elapsed := inst.health.readyAt.Sub(p.spawned)
		if !inst.spec.Policy.Oneshot { // of a oneshot only its completion is reported
			o.opt.Sink.Emit(event.Ready{Child: inst.spec.Name, Pid: p.pid, Elapsed: elapsed})
		}
		o.actLater(inst, inspectAfter, inspectReady)
		if o.shutdown.phase == running {
			o.startMonitoring(inst)
		}
	}
	o.apply(inst, lifecycle.BecameReady)
	o.sendDueReloadSignal(inst)
	o.awaitMinReady(inst)
}

func (o *Orchestrator) onProbeDone(m probeDone) {
	inst := m.inst
	stale := inst.process.id != m.process || !inst.state.HasProcess()
	if stale || inst.health.cancelProbe == nil {
		return
	}
	inst.cancelProbe()
	if m.err == nil {
		o.opt.Processes.MarkReady(inst.process.id)
	}
	switch {
	case inst.state != lifecycle.Starting: // it is being stopped
	case m.err == nil:
		o.becomeReady(inst)
	case !o.repeatProbe(inst, m.err):
		o.readyTimedOut(inst, inst.spec.Launch.Ready.Timeout, m.err.Error())
	}
}

// repeatProbe restarts the timeout of the ready block if the probe could not be started at its end.
// It reports whether it did.
func (o *Orchestrator) repeatProbe(inst *instance, err error) bool {
	var notStarted *probe.NotStartedError
	wanted := inst.goal == rollout.Run && o.shutdown.phase == running
	if !errors.As(err, &notStarted) || !wanted {
		return false
	}
	o.opt.Sink.Emit(probeSkipped(inst, "ready", notStarted.Err))
	o.runProbe(inst, inst.spec.Launch.Ready)
	return true
}

// readyTimedOut stops a process that was not ready in time.
func (o *Orchestrator) readyTimedOut(inst *instance, timeout time.Duration, reason string) {
	o.opt.Sink.Emit(event.NotReady{
		Child: inst.spec.Name, Pid: inst.process.pid, Timeout: timeout, Reason: reason,
	})
	inst.health.failure = fmt.Sprintf("not ready within %v", timeout)
	o.applyFailure(inst, lifecycle.ReadyTimedOut, inst.health.failure)
}

func (o *Orchestrator) onCheckDone(m checkDone) {
	if m.ctx.Err() != nil {
		return // the checks were cancelled meanwhile
	}
	child, pid := m.inst.spec.Name, m.inst.process.pid
	var notStarted *probe.NotStartedError
	switch {
	case errors.As(m.err, &notStarted):
		o.opt.Sink.Emit(probeSkipped(m.inst, m.name, notStarted.Err))
	case m.err == nil:
		m.inst.noteCheck(m.name, nil)
		o.opt.Sink.Emit(event.CheckPassed{Child: child, Pid: pid, Check: m.name})
	case !m.fatal:
		if m.inst.noteCheck(m.name, m.err) == 1 {
			o.opt.Sink.Emit(event.CheckFailed{
				Child: child, Pid: pid, Check: m.name, Reason: m.err.Error(),
			})
		}
	default:
		o.becomeUnhealthy(m.inst, fmt.Sprintf("check %q %v", m.name, m.err))
	}
}

// becomeUnhealthy stops a process that was ready, or that triggered its watchdog before. Its end
// counts as a failure with every exit code.
func (o *Orchestrator) becomeUnhealthy(inst *instance, reason string) {
	wanted := !inst.stops() && o.shutdown.phase == running
	if inst.state != lifecycle.Ready && inst.state != lifecycle.Starting || !wanted {
		return
	}
	inst.health.failure = reason
	o.opt.Sink.Emit(event.Unhealthy{
		Child: inst.spec.Name, Pid: inst.process.pid, Reason: reason,
	})
	o.applyFailure(inst, lifecycle.CheckFailed, reason+inst.sinceReady(time.Now()))
}

func (o *Orchestrator) onTimer(m timerFired) {
	inst := m.inst
	switch {
	case m.generation != inst.timer.generation: // stale
	case m.kind == restartTimer:
		o.apply(inst, lifecycle.DelayElapsed)
	case m.kind == stepTimer:
		o.apply(inst, lifecycle.StepTimedOut)
	case m.kind == notifyTimer:
		timeout := inst.timer.readyLimit.Round(time.Millisecond)
		o.readyTimedOut(inst, timeout, "no READY=1 came")
	case m.kind == announcedTimer:
		o.announcedTooLate(inst)
	case m.kind == hookTimer:
		o.hookTimedOut(inst)
	case m.kind == killTimer:
		inst.stopTimer() // advance then stops its dependencies
	}
}

// announcedTooLate stops a process that has announced its stop and has not ended.
func (o *Orchestrator) announcedTooLate(inst *instance) {
	limit := inst.notified.stop.limit.Round(time.Millisecond)
	o.becomeUnhealthy(inst, fmt.Sprintf(
		"it announced its stop with STOPPING=1 and did not end within %v", limit))
}

// hookTimedOut ends the hook that runs in place of a main process: it takes too long.
func (o *Orchestrator) hookTimedOut(inst *instance) {
	h := inst.hook
	if h == nil {
		return
	}
	h.timedOut = true
	h.failure = fmt.Sprintf("did not end within %v and got SIGTERM; its timeout is %v",
		h.timeToEnd().Round(time.Millisecond), h.limit.Round(time.Millisecond))
	if inst.state == lifecycle.Preparing {
		inst.health.failure = "its pre_start hook " + h.failure
		o.applyFailure(inst, lifecycle.ReadyTimedOut, inst.health.failure)
		return
	}
	o.apply(inst, lifecycle.Escalate)
}
