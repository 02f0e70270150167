package orchestrator

import (
	"errors"

	"golang.org/x/sys/unix"

	"tp0/supervisor/config"
	"tp0/supervisor/event"
	"tp0/supervisor/lifecycle"
	"tp0/supervisor/process"
)

// passFact passes a fact on to the hook or to the instance that it is about.
func (o *Orchestrator) passFact(fact process.Fact) {
	if !o.onHookFact(fact) {
		o.onFact(fact)
	}
}

// onHookFact handles a fact about a hook. It reports whether it is one.
func (o *Orchestrator) onHookFact(fact process.Fact) bool {
	switch x := fact.(type) {
	case process.Spawned:
		return o.handleHook(x.Process, func(h *hook) { o.hookSpawned(h, x) })
	case process.SpawnFailed:
		return o.handleHook(x.Process, func(h *hook) { o.hookSpawnFailed(h, x.Err) })
	case process.Signalled:
		return o.handleHook(x.Process, func(h *hook) { o.hookSignalled(h, x) })
	case process.Exited:
		return o.handleHook(x.Process, func(h *hook) { o.hookExited(h, x) })
	case process.TreeEnded:
		return o.handleHook(x.Process, o.hookOver)
	}
	return false
}

func (o *Orchestrator) handleHook(id process.ID, handle func(*hook)) bool {
	h := o.hooks.byID[id]
	if h != nil {
		handle(h)
	}
	return h != nil
}

func (o *Orchestrator) hookSpawned(h *hook, x process.Spawned) {
	o.processes.pending--
	h.pid, h.spawned = x.Pid, x.At
	o.opt.Sink.Emit(event.HookStarted{
		Child: h.inst.spec.Name, Hook: h.name, Pid: x.Pid, Command: h.command.Name(),
	})
	h.started() // after the event: from here on its output is relayed
}

func (o *Orchestrator) hookSpawnFailed(h *hook, err error) {
	o.processes.pending--
	h.started()
	inst := h.inst
	if h.name == config.PreStartHook && inst.state == lifecycle.Preparing {
		delete(o.hooks.byID, h.id)
		inst.hook = nil
		inst.stopTimer()
		if o.retrySpawn(inst, err) {
			return
		}
		inst.hook = h
	}
	reason := err.Error()
	if h.timedOut && errors.Is(err, process.ErrRevoked) { // SIGKILL ended it before its execve(2)
		reason = h.tooLate()
	}
	o.hookNotStarted(h, reason)
}

func (o *Orchestrator) hookSignalled(h *hook, x process.Signalled) {
	if x.Err != nil {
		return // it has just ended
	}
	if x.Descendant != "" && x.Signal == unix.SIGKILL {
		o.totals.killed++
	}
	o.opt.Sink.Emit(event.SignalSent{
		Child: h.inst.spec.Name, Pid: x.Pid, Hook: h.name, Process: x.Descendant,
		Signal: signalName(x.Signal), Step: x.Step,
	})
}

// hookExited handles the exit of the command of a hook. Descendants that outlive it are ended.
func (o *Orchestrator) hookExited(h *hook, x process.Exited) {
	inst := h.inst
	h.before = o.totals.counts
	if x.Killed {
		o.totals.killed++
	}
	if h.failure == "" && (x.Exit.Signal != "" || x.Exit.Code != 0) {
		h.failure = exitReason(x)
	}
	o.opt.Sink.Emit(event.HookEnded{
		Child: inst.spec.Name, Hook: h.name, Pid: x.Pid, Exit: x.Exit,
		Elapsed: x.At.Sub(h.spawned), Failure: h.failure,
	})
	if len(x.Survivors) == 0 {
		o.hookOver(h)
		return
	}
	e := event.DescendantsOutlive{Child: inst.spec.Name, Pid: x.Pid, Exit: x.Exit, Hook: h.name}
	for _, s := range x.Survivors {
		e.Descendants = append(e.Descendants, s.String())
	}
	o.opt.Sink.Emit(e)
	switch {
	case h.name == config.StopHook:
		if h.step == 0 { // SIGKILL follows when its time is over
			o.signalHook(h, unix.SIGTERM)
		}
	case inst.stop.step > 0: // they get the step that they missed
	case inst.state == lifecycle.Preparing:
		o.apply(inst, lifecycle.MainEnded)
	default:
		o.apply(inst, lifecycle.Escalate)
	}
}
