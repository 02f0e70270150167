package orchestrator

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"tp0/supervisor/event"
	"tp0/supervisor/lifecycle"
	"tp0/supervisor/notify"
)

// rejectedInterval is the least time between two reports of rejected notifications.
const rejectedInterval = time.Second

// onNotification handles a notification if a process of an instance that notifies, or a descendant
// of one, sent it. A notification can arrive before the fact that its process was spawned: then it
// is kept until that fact comes.
func (o *Orchestrator) onNotification(n notification) {
	inst := o.sender(n.pids)
	unknownPid := func(inst *instance) bool {
		return inst.usesNotify() && inst.state.HasProcess() && inst.process.pid == 0
	}
	if inst == nil && slices.ContainsFunc(o.instances, unknownPid) {
		o.notify.early = &n
		return
	}
	defer close(n.done)
	if inst != nil {
		o.handleNotification(inst, n.message)
		return
	}
	if now := time.Now(); now.Sub(o.notify.rejected) >= rejectedInterval {
		o.notify.rejected = now
		o.opt.Sink.Emit(event.Warning{
			What:   "notification rejected",
			Reason: fmt.Sprintf("pid %d belongs to no child that notifies", n.pids[0]),
		})
	}
}

// retryEarlyNotification handles the notification that was kept, if there is one.
func (o *Orchestrator) retryEarlyNotification() {
	if n := o.notify.early; n != nil {
		o.notify.early = nil
		o.onNotification(*n)
	}
}

// sender returns the instance whose main process is the first of the pids that is one. It returns
// nil if that instance does not notify.
func (o *Orchestrator) sender(pids []int) *instance {
	for _, pid := range pids {
		for _, inst := range o.instances {
			alive := inst.state.HasProcess() && inst.exit.outcome == nil
			if pid == 0 || inst.process.pid != pid || !alive {
				continue
			}
			if inst.usesNotify() {
				return inst
			}
			return nil
		}
	}
	return nil
}

func (o *Orchestrator) handleNotification(inst *instance, m notify.Message) {
	n := &inst.notified
	if m.HasStatus && m.Status != n.status {
		n.status = m.Status
		o.reportNotified(inst, "status", m.Status)
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
		d = min(d, time.Until(inst.stop.began.Add(o.cfg.Shutdown.Deadline)))
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
	limit := inst.spec.Launch.Ready.Watchdog
	if inst.notified.watchdog.Left() > 0 {
		return // WATCHDOG=1 came before this message
	}
	o.becomeUnhealthy(inst, fmt.Sprintf("no WATCHDOG=1 came within %v", limit))
}
