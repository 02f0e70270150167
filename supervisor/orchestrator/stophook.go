package orchestrator

import (
	"tp0/supervisor/config"
	"tp0/supervisor/lifecycle"
	"tp0/supervisor/process"
)

// runStopHook runs the stop hook. The process loop has scanned the process for it.
func (o *Orchestrator) runStopHook(inst *instance, x process.Signalled) {
	due := inst.stop.step == 1 && inst.exit.outcome == nil && inst.hook == nil
	if !due || x.Err != nil || x.Descendant != "" {
		return
	}
	h := o.newHook(inst, config.StopHook)
	h.then = func() {
		sequence := o.presentStopSequence(inst)
		signal, _ := sequence.Step(2)
		switch {
		case inst.stop.step != 1:
		case h.failure != "" && inst.exit.outcome == nil:
			o.apply(inst, lifecycle.Escalate)
		case len(sequence) > 2: // the signal counts as sent
			left := inst.timeLeft() + signal.Wait
			inst.stop.step, inst.stop.unsent = 2, true
			o.startTimer(inst, stepTimer, left)
		}
		if inst.exit.tree {
			o.onTreeEnded(process.TreeEnded{Process: inst.process.id})
			return
		}
		o.signalSurvivors(inst)
	}
	if !h.command.Set() {
		o.cancelHook(h, "a reload removed it from the configuration")
		return
	}
	o.queueHook(h)
}
