package orchestrator

import (
	"fmt"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"tp0/supervisor/config"
	"tp0/supervisor/event"
	"tp0/supervisor/lifecycle"
	"tp0/supervisor/process"
)

// minHookTime is the shortest time in which a hook is started at all.
const minHookTime = 10 * time.Millisecond

func (o *Orchestrator) newHook(inst *instance, name string) *hook {
	h := &hook{
		name: name, command: *inst.spec.Policy.Hooks.Named(name), inst: inst,
		before: o.totals.counts,
	}
	h.limit = o.hookLimit(inst, name)
	inst.hook = h
	return h
}

// hookLimit returns the time that a hook has from now on.
func (o *Orchestrator) hookLimit(inst *instance, name string) time.Duration {
	hooks := &inst.spec.Policy.Hooks
	if o.shutdown.phase == running {
		return hooks.Timeout
	}
	limit := hooks.Timeout
	if name == config.PostStopHook {
		limit = hooks.StopTimeout
	}
	return min(limit, time.Until(o.shutdown.at(1)))
}

// limitHook gives a hook that runs when the final stop begins no more time than the stop has.
func (o *Orchestrator) limitHook(inst *instance) {
	h := inst.hook
	if h == nil || !inst.runsHook() || h.timedOut || inst.timer.left == nil {
		return
	}
	limit := o.hookLimit(inst, h.name)
	if wait := limit - lifecycle.HookGrace(limit); inst.timer.left() > wait {
		h.limit = limit
		o.startTimer(inst, hookTimer, max(wait, 0))
	}
}

// queueHook starts a hook as soon as few other processes are being spawned.
func (o *Orchestrator) queueHook(h *hook) {
	o.hooks.queued = append(o.hooks.queued, h)
	o.startQueuedHooks()
}

func (o *Orchestrator) startQueuedHooks() {
	for len(o.hooks.queued) > 0 && o.processes.pending < config.MaxStarting {
		h := o.hooks.queued[0]
		o.hooks.queued = o.hooks.queued[1:]
		o.startHook(h)
	}
}

func (o *Orchestrator) startHook(h *hook) {
	h.id = o.nextID()
	o.hooks.byID[h.id] = h
	o.processes.pending++
	if h.name == config.PreStartHook {
		o.startTimer(h.inst, hookTimer, h.timeToEnd())
	}
	s, err := o.hookSpec(h)
	if err != nil {
		o.mail.Put(process.SpawnFailed{Process: h.id, Err: err})
		return
	}
	o.opt.Processes.Spawn(h.id, s)
}

// signalHook sends the stop hook, which has no stop sequence, a signal.
func (o *Orchestrator) signalHook(h *hook, sig unix.Signal) {
	h.step++
	o.opt.Processes.Signal(h.id, sig, h.step, event.ProofNone)
}

// killHook ends the stop hook of an instance, because limit, its part of kill_timeout, has ended,
// or because the stop was escalated before. The limit of the hook becomes the time that it had.
func (o *Orchestrator) killHook(inst *instance, limit time.Duration) {
	h := inst.hook
	if h == nil || h.timedOut {
		return
	}
	h.limit = min(limit, time.Since(inst.stop.beganAt))
	switch h.id {
	case 0:
		o.cancelHook(h, h.tooLate())
	default:
		h.timedOut = true
		h.failure = fmt.Sprintf("did not end within %v", h.limit.Round(time.Millisecond))
		o.signalHook(h, unix.SIGKILL)
	}
}

// timeToEnd returns the time after which the hook is ended. A stop hook gets SIGKILL then. The
// others get SIGTERM then, and SIGKILL at their limit.
func (h *hook) timeToEnd() time.Duration {
	if h.name == config.StopHook {
		return h.limit
	}
	return h.limit - lifecycle.HookGrace(h.limit)
}

// tooLate says that a hook was not started before its time was over.
func (h *hook) tooLate() string {
	return fmt.Sprintf("it was not started within %v", h.timeToEnd().Round(time.Millisecond))
}

// cancelHook ends a hook that was not started.
func (o *Orchestrator) cancelHook(h *hook, reason string) {
	o.hooks.queued = slices.DeleteFunc(o.hooks.queued, func(q *hook) bool { return q == h })
	o.hookNotStarted(h, reason)
}

func (o *Orchestrator) hookNotStarted(h *hook, reason string) {
	h.failure = "was not started: " + reason
	o.opt.Sink.Emit(event.HookNotStarted{
		Child: h.inst.spec.Name, Hook: h.name, Command: h.command.Name(), Reason: reason,
	})
	o.hookOver(h)
}

// hookOver continues after the end of a hook.
func (o *Orchestrator) hookOver(h *hook) {
	delete(o.hooks.byID, h.id)
	h.inst.hook = nil
	if h.name != config.StopHook {
		h.inst.stopTimer()
	}
	h.then()
}

// afterPostStop calls then once the post_stop hook of an instance has ended. The process tree of
// the instance has ended. Without such a hook it calls then at once.
func (o *Orchestrator) afterPostStop(inst *instance, out *outcome, then func()) {
	if !inst.spec.Policy.Hooks.PostStop.Set() {
		then()
		return
	}
	out.after = then
	inst.exit.postStop = out
	o.apply(inst, lifecycle.PostStopDue)
}

// runHook runs a hook after the end of a process.
func (o *Orchestrator) runHook(inst *instance, name string) {
	inst.stopTimer()
	h := o.newHook(inst, name)
	switch out := inst.exit.postStop; name {
	case config.PostStopHook:
		h.then = out.after
	default:
		h.then = func() { o.apply(inst, lifecycle.FailureHookEnded) }
	}
	inst.stop = stopProgress{}
	switch {
	case o.shutdown.forced:
		o.cancelHook(h, "SIGKILL was sent to all processes")
	case h.limit < minHookTime:
		o.cancelHook(h, "less than 10 ms are left for it")
	default:
		o.startTimer(inst, hookTimer, h.timeToEnd())
		o.queueHook(h)
	}
}
