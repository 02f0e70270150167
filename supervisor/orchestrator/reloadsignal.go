package orchestrator

import (
	"time"

	"tp0/supervisor/event"
	"tp0/supervisor/exitcode"
	"tp0/supervisor/lifecycle"
	"tp0/supervisor/process"
)

// sendReloadSignal sends the reload_signal to a process that a reload keeps. A process that is not
// ready yet may have read its files before they changed: it gets the signal once it is ready, and
// without a ready block after handlerDelay, since the signal would end it without a handler. Until
// then further reloads add no signal. A process that is spawned later reads the new files.
func (o *Orchestrator) sendReloadSignal(inst *instance) {
	p, sig := &inst.process, inst.spec.Policy.ReloadSignal
	if inst.stops() || o.shutdown.phase != running || p.reloadDue {
		return
	}
	switch inst.state {
	case lifecycle.Starting:
		p.reloadDue = true
	case lifecycle.Ready:
		if !inst.serves() {
			p.reloadDue = true
			return
		}
		wait := handlerDelay - (o.clock.Ran() - p.ran.spawned)
		switch {
		case sig == 0:
		case wait > 0 && inst.spec.Launch.Ready == nil:
			o.delayReloadSignal(inst, wait)
		case sig == inst.endedBy:
			o.opt.Sink.Emit(event.ReloadSignalWithheld{
				Child: inst.spec.Name, Pid: p.pid, Signal: signalName(sig), Ended: true,
			})
		default:
			p.reloaded = true
			o.opt.Processes.Reload(p.id, sig)
		}
	}
}

// learnFromEnd notes that the reload_signal ended a process. A runtime can catch a signal for a
// program that does not handle it, as that of Go does, so the disposition does not show it before.
// The next process of the same specification does not get the signal.
func (inst *instance) learnFromEnd() {
	sig := inst.spec.Policy.ReloadSignal
	if inst.process.reloaded && inst.stop.step == 0 && inst.exit.code == exitcode.OfSignal(sig) {
		inst.endedBy = sig
	}
}

// sendDueReloadSignal sends the reload_signal that waited until the process is ready.
func (o *Orchestrator) sendDueReloadSignal(inst *instance) {
	if inst.process.reloadDue {
		inst.process.reloadDue = false
		o.sendReloadSignal(inst)
	}
}

func (o *Orchestrator) delayReloadSignal(inst *instance, d time.Duration) {
	inst.process.reloadDue = true
	o.actLater(inst, d, reloadSignalDue)
}

// onWithheld handles a reload_signal that was not sent because it would end the process. A program
// can say that it is ready before it installs its handlers, so the signal is tried again once.
func (o *Orchestrator) onWithheld(x process.Withheld) {
	inst := o.processes.byID[x.Process]
	if inst.state != lifecycle.Ready || inst.process.reloadDue {
		return
	}
	if wait := handlerDelay - (o.clock.Ran() - inst.process.ran.ready); wait > 0 {
		o.delayReloadSignal(inst, wait)
		return
	}
	o.opt.Sink.Emit(event.ReloadSignalWithheld{
		Child: inst.spec.Name, Pid: x.Pid, Signal: signalName(x.Signal),
	})
}
