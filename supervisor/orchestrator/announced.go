package orchestrator

import (
	"fmt"
	"time"

	"tp0/supervisor/event"
	"tp0/supervisor/lifecycle"
)

// announceStop handles STOPPING=1. A process that is stopping may not answer checks, so they and
// the watchdog are off. The process has its kill_timeout to end by itself: then it is stopped.
func (o *Orchestrator) announceStop(inst *instance) {
	a := &inst.notified.stop
	if !a.at.IsZero() {
		return
	}
	a.at = time.Now()
	inst.stopMonitoring()
	ready := inst.state == lifecycle.Ready && o.shutdown.phase == running
	if !ready || inst.stops() { // a limit runs, or the stop sequence is about to begin
		o.reportNotified(inst, "stopping", "")
		return
	}
	a.limit = inst.spec.Policy.KillTimeout
	if inst.spec.Policy.SharedTimeout {
		a.limit = restartTimeout
	}
	o.startTimer(inst, announcedTimer, a.limit)
	o.reportNotified(inst, "stopping", fmt.Sprintf(
		"it stops by itself and has %v to end; its checks and its watchdog are off", a.limit))
}

// extendAnnounced gives a process that has announced its stop the time d from now on.
func (o *Orchestrator) extendAnnounced(inst *instance, d time.Duration) {
	a := &inst.notified.stop
	d = min(d, time.Until(a.at.Add(o.cfg.Shutdown.Deadline)))
	if d > inst.timer.left() {
		o.startTimer(inst, announcedTimer, d)
		a.limit = time.Since(a.at) + d
	}
}

// takeBackStop handles READY=1 of a process that has announced its stop: it does not stop.
func (o *Orchestrator) takeBackStop(inst *instance) {
	if inst.notified.stop.at.IsZero() {
		return
	}
	inst.notified.stop = announcedStop{}
	if inst.state != lifecycle.Ready {
		return
	}
	inst.stopTimer()
	o.reportNotified(inst, "running",
		"READY=1 came after STOPPING=1: its checks and its watchdog are on again")
	if o.shutdown.phase == running {
		o.startMonitoring(inst)
	}
	inst.health.readyAt, inst.process.ran.ready = time.Now(), o.clock.Ran()
	o.awaitMinReady(inst)
	o.sendDueReloadSignal(inst)
}

func (o *Orchestrator) reportNotified(inst *instance, what, detail string) {
	o.opt.Sink.Emit(event.Notified{
		Child: inst.spec.Name, Pid: inst.process.pid, What: what, Detail: detail,
	})
}
