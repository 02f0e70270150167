package orchestrator

import (
	"time"

	"tp0/supervisor/config"
	"tp0/supervisor/event"
	"tp0/supervisor/orchestrator/rollout"
)

// budgetTimer is a point in time of the stop.
type budgetTimer uint8

const (
	killAll      budgetTimer = iota // SIGKILL to all processes that the stop sequences did not end
	cleanUpAtAll                    // orphan cleanup, even if a killed process has not ended
)

type budgetTimerFired struct{ timer budgetTimer }

// beginStop starts the stop of everything; further calls do nothing. reason is empty if a signal is
// the reason, which is reported by itself.
func (o *Orchestrator) beginStop(reason string) {
	if o.shutdown.phase != running {
		return
	}
	o.stopBegan.Store(true)
	o.totals.startStop()
	o.startBudget()
	if reason != "" {
		o.opt.Sink.Emit(event.ShutdownBegun{Reason: reason, Deadline: o.shutdown.length})
	}
	o.shutdown.phase = stopping
	if o.reloads.loading {
		o.opt.Sink.Emit(event.ReloadIgnored{Reason: "a stop began while the file was read"})
	}
	// A halt, which ReloadHalted has reported, is the other reason why it is not fully applied.
	if o.updating() && !o.reloads.active.restartOnly {
		o.opt.Sink.Emit(event.ReloadIgnored{Reason: "a stop began before it was fully applied"})
	}
	o.reloads.active = nil
	for _, inst := range o.instances {
		inst.goal = rollout.End
		inst.stopMonitoring()
		o.limitStep(inst)
		o.limitHook(inst)
		if inst.usesExecProbe() {
			inst.cancelProbe() // its command must not run during the stop
		}
	}
}

// startBudget computes the deadline and starts the timers of the budget.
func (o *Orchestrator) startBudget() {
	s := &o.shutdown
	s.beganAt = time.Now()
	if s.length == 0 {
		s.length, s.reserve = o.cfg.Shutdown.Deadline, o.cfg.Shutdown.Reserve
	}
	s.deadline = s.beganAt.Add(s.length)
	o.opt.Processes.SetDeadline(s.deadline)
	for timer, at := range map[budgetTimer]time.Time{
		killAll: s.at(1), cleanUpAtAll: s.at(2),
	} {
		fire := func() { o.mail.Put(budgetTimerFired{timer}) }
		s.timers = append(s.timers, time.AfterFunc(time.Until(at), fire))
	}
}

// setLength sets the time from the begin of the stop to its deadline, in place of that of the
// configuration.
func (s *shutdown) setLength(d time.Duration) { s.length, s.reserve = d, config.Reserve(d) }

// limitStep gives an instance that is already being stopped no more than its share of the deadline,
// like the instances that are stopped from now on.
func (o *Orchestrator) limitStep(inst *instance) {
	s, ok := inst.stopSequence().Step(inst.stop.step)
	if inst.stop.unsent { // the stop hook had a part of the time
		s.Wait *= 4
	}
	if !ok || !inst.spec.Policy.SharedTimeout || inst.timer.left == nil {
		return
	}
	if s.Wait > 0 && inst.timer.left() > s.Wait {
		o.startTimer(inst, stepTimer, s.Wait)
	}
}
