package orchestrator

import (
	"time"

	"tp0/supervisor/config"
	"tp0/supervisor/lifecycle"
	"tp0/supervisor/orchestrator/rollout"
)

// runPreStart runs the pre_start hook. A failure of it is a failed start.
func (o *Orchestrator) runPreStart(inst *instance) {
	inst.forgetProcess()
	h := o.newHook(inst, config.PreStartHook)
	h.then = func() {
		prepared := inst.state == lifecycle.Preparing || inst.state == lifecycle.Ending
		wanted := inst.goal == rollout.Run && o.shutdown.phase == running
		if h.failure == "" && prepared && wanted {
			o.apply(inst, lifecycle.Prepared)
			return
		}
		out := &outcome{
			success: h.failure == "", reason: "its pre_start hook " + h.failure, at: time.Now(),
			before: h.before, wanted: wanted,
		}
		end := func() { o.totals.handleEnd(out.before, func() { o.ended(inst, *out) }) }
		if h.id == 0 {
			end()
			return
		}
		o.afterPostStop(inst, out, end)
	}
	o.queueHook(h)
}
