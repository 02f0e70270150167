package orchestrator

import (
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"tp0/supervisor/config"
	"tp0/supervisor/lifecycle"
)

// stopSequence returns the stop sequence of the final stop.
func (inst *instance) stopSequence() lifecycle.StopSequence {
	return inst.sequenceWithin(inst.spec.Policy.KillTimeout)
}

// sequenceWithin returns the stop sequence with a kill_timeout, of the hook that runs in place of
// a main process, or of the main process.
func (inst *instance) sequenceWithin(timeout time.Duration) lifecycle.StopSequence {
	p := &inst.spec.Policy
	if inst.runsHook() {
		return inst.hook.sequence(timeout)
	}
	s := lifecycle.NewStopSequence(p.KillSignal, timeout, p.DiagnoseSignal)
	if p.KillSequence != nil {
		s = lifecycle.CustomStopSequence(p.KillSequence)
	}
	if inst.stop.hooked || inst.stop.step == 0 && p.Hooks.Stop.Set() {
		s = s.WithHook(timeout)
	}
	return s
}

// signalHold returns how long the process loop may hold back the first signal: the next step must
// not come before the first signal was sent.
func (inst *instance) signalHold() time.Duration {
	p := &inst.spec.Policy
	if p.KillSequence != nil {
		return min(p.KillHold, p.KillSequence[0].Wait/2)
	}
	return min(p.KillHold, p.KillTimeout/2)
}

// runsHook reports whether a hook runs in place of the main process.
func (inst *instance) runsHook() bool {
	return inst.hook != nil && inst.hook.name != config.StopHook
}

// firstSignal returns the step of the first signal of the stop sequence.
func (inst *instance) firstSignal() int {
	if inst.stop.hooked {
		return 2
	}
	return 1
}

// sequence returns the stop sequence of a hook: SIGTERM, then SIGKILL. Between
// the two lies HookGrace for a hook that takes too long, and timeout for a hook that a stop ends.
func (h *hook) sequence(timeout time.Duration) lifecycle.StopSequence {
	if h.timedOut {
		timeout = lifecycle.HookGrace(h.limit)
	}
	return lifecycle.NewStopSequence(unix.SIGTERM, timeout, 0)
}

// startEvent returns the event that starts the instance.
func (inst *instance) startEvent() lifecycle.Event {
	if inst.spec.Policy.Hooks.PreStart.Set() {
		return lifecycle.Prepare
	}
	return lifecycle.Start
}

// describe returns a part of a sentence, such as "its pre_start hook runs (pid 12)".
func (h *hook) describe() string {
	if h.pid == 0 {
		return "its " + h.name + " hook is being started"
	}
	return fmt.Sprintf("its %s hook runs (pid %d)", h.name, h.pid)
}

// started closes the supervisor's copies of the descriptors of a hook.
func (h *hook) started() {
	if h.output != nil {
		h.output.Started()
		h.output = nil
	}
}
