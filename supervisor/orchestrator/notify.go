package orchestrator

import (
	"fmt"
	"strings"
	"time"

	"tp0/supervisor/event"
	"tp0/supervisor/lifecycle"
	"tp0/supervisor/notify"
)

// rejectedInterval is the least time between two reports of rejected notifications.
const rejectedInterval = time.Second

func (o *Orchestrator) onNotification(m notification) {
	// Before the fact Spawned the pid is not known: onSpawned takes the messages then.
	if inst := o.processes.byID[m.process]; inst != nil && inst.process.pid != 0 {
		o.handleNotifications(inst, NotifySocket.Messages)
	}
}

// handleNotifications handles the messages that wait for an instance. take is how they are taken.
func (o *Orchestrator) handleNotifications(
	inst *instance, take func(NotifySocket, int) ([]notify.Message, string),
) {
	if inst.process.notify == nil {
		return
	}
	messages, rejected := take(inst.process.notify, inst.process.pid)
	for _, m := range messages {
		if inst.exit.outcome == nil { // the main process has not ended
			o.handleNotification(inst, m)
		}
	}
	if now := time.Now(); rejected != "" && now.Sub(o.rejected) >= rejectedInterval {
		o.rejected = now
		o.opt.Sink.Emit(event.Warning{
			What: "notification rejected", Reason: inst.spec.Name + ": " + rejected,
		})
	}
}

// closeNotify closes the notification socket of a process.
func (inst *instance) closeNotify() {
	if inst.process.notify != nil {
		inst.process.notify.Close()
		inst.process.notify = nil
	}
}

func (o *Orchestrator) handleNotification(inst *instance, m notify.Message) {
	n := &inst.notified
	if m.HasStatus {
		n.status = m.Status
		o.opt.Sink.Emit(event.Notified{
			Child: inst.spec.Name, Pid: inst.process.pid, What: "status", Detail: m.Status,
			Count: m.Statuses,
		})
	}
	if len(m.Unsupported) > 0 && !n.ignoredReported {
		n.ignoredReported = true
		o.reportNotified(inst, "ignored", strings.Join(m.Unsupported, ", "))
	}
	if m.Reloading && !n.reloading {
		n.reloading = true
		o.reportNotified(inst, "reloading", "")
	}
	if m.Stopping {
		o.announceStop(inst)
	}
	if m.ExtendTimeout > 0 {
		o.extendTimeout(inst, m.ExtendTimeout)
	}
	if m.MainPID > 0 {
		o.setSuccessor(inst, m.MainPID)
	}
	if m.HasWatchdog {
		o.setWatchdog(inst, m.Watchdog)
	}
	if m.KeepAlive && n.watchdog != nil {
		n.watchdog.Restart()
	}
	if m.Ready {
		o.notifiedReady(inst, m.Reloading)
	}
	if m.WatchdogTrigger {
		o.becomeUnhealthy(inst, "it triggered its watchdog")
	}
}

// setWatchdog handles WATCHDOG_USEC: the process changes the interval of its watchdog. The message
// counts as WATCHDOG=1.
func (o *Orchestrator) setWatchdog(inst *instance, interval time.Duration) {
	if interval != inst.watchdogInterval() {
		detail := fmt.Sprintf("the child has set its interval to %v", interval)
		if interval == 0 {
			detail = "the child has disabled it"
		}
		o.reportNotified(inst, "watchdog", detail)
	}
	inst.notified.interval = &interval
	if inst.serves() && o.shutdown.phase == running {
		inst.stopWatchdog()
		o.startWatchdog(inst)
	}
}

// setSuccessor notes that pid becomes the main process once the present one has ended.
func (o *Orchestrator) setSuccessor(inst *instance, pid int) {
	p := &inst.process
	if pid == p.pid || pid == p.successor {
		return
	}
	p.successor = pid
	o.opt.Processes.SetMainProcess(p.id, pid)
	o.reportNotified(inst, "main process", fmt.Sprintf(
		"pid %d is to take over once pid %d has ended", pid, p.pid))
}

// notifiedReady handles READY=1: the process is ready, or its own reload is done.
func (o *Orchestrator) notifiedReady(inst *instance, reloading bool) {
	o.opt.Processes.MarkReady(inst.process.id)
	if inst.notified.reloading && !reloading {
		inst.notified.reloading = false
		o.reportNotified(inst, "reloaded", "")
	}
	o.takeBackStop(inst)
	if inst.state == lifecycle.Starting {
		inst.stopTimer()
		o.becomeReady(inst)
	}
}

// extendTimeout gives a process the time d from now on, to become ready or for the present step of
// its stop sequence. The deadline of the stop is not extended.
func (o *Orchestrator) extendTimeout(inst *instance, d time.Duration) {
	kind := notifyTimer
	switch {
	case inst.timer.left == nil:
		return
	case inst.stop.step > 0:
		kind = stepTimer
		d = min(d, time.Until(inst.stop.beganAt.Add(o.cfg.Shutdown.Deadline)))
	case inst.state == lifecycle.Ready:
		o.extendAnnounced(inst, d)
		return
	case inst.state != lifecycle.Starting:
		return
	}
	if d > inst.timer.left() {
		o.startTimer(inst, kind, d)
		inst.timer.readyLimit = time.Since(inst.process.spawned) + d
	}
}

func (o *Orchestrator) onWatchdog(m watchdogFired) {
	inst := m.inst
	if inst.process.id != m.process || inst.notified.watchdog == nil {
		return // stale
	}
	if inst.notified.watchdog.Left() > 0 {
		return // WATCHDOG=1 came before this message
	}
	o.becomeUnhealthy(inst, fmt.Sprintf("no WATCHDOG=1 came within %v", inst.watchdogInterval()))
}
