package orchestrator

import (
	"time"

	"tp0/supervisor/process"
)

// timerKind says what happens when the timer of an instance fires.
type timerKind uint8

const (
	restartTimer   timerKind = iota
	stepTimer                // the timeout of a step of the stop sequence
	notifyTimer              // the timeout of a ready block with notify
	killTimer                // see killedTimeout
	hookTimer                // the timeout of a hook, without its last part
	announcedTimer           // the time that a process has to end after STOPPING=1
)

// delayedKind says what is done with a process after a delay.
type delayedKind uint8

const (
	inspectReady    delayedKind = iota // inspect descriptors and signal dispositions, for a crash
	diagnoseStop                       // find out why a stop is slow
	reloadSignalDue                    // send the reload_signal
	minReadyOver                       // the process may have been ready for min_ready
)

const (
	// inspectAfter is the time from ready to the inspection: a program without a ready block has
	// no signal handlers yet at its execve.
	inspectAfter = time.Second
	diagnoseAt   = time.Second // after the first signal
	// diagnoseBefore is the time from the second diagnosis to the end of a step. After SIGKILL
	// there may be nothing to diagnose.
	diagnoseBefore = 20 * time.Millisecond
	// handlerDelay is the time after its execve within which a process may not have installed its
	// signal handlers.
	handlerDelay = time.Second
)

type (
	timerFired struct {
		inst       *instance
		generation uint64
		kind       timerKind
	}
	delayedAction struct {
		inst    *instance
		process process.ID
		kind    delayedKind
	}
)

// startTimer starts the timer of an instance. It replaces the one that runs. A step of the stop
// sequence, an announced stop and a ready block are limits for the child: they do not count pauses.
func (o *Orchestrator) startTimer(inst *instance, kind timerKind, d time.Duration) {
	inst.stopTimer()
	m := timerFired{inst, inst.timer.generation, kind}
	inst.timer.due = time.Now().Add(d)
	fire := func() { o.mail.Put(m) }
	switch kind {
	case stepTimer, notifyTimer, announcedTimer, hookTimer:
		t := o.clock.AfterFunc(d, fire)
		inst.timer.stop, inst.timer.left = t.Stop, t.Left
	default:
		t := time.AfterFunc(d, fire)
		inst.timer.stop = func() { t.Stop() }
	}
}

// timeLeft returns how long the timer of a timeout still runs; 0 if none does.
func (inst *instance) timeLeft() time.Duration {
	if inst.timer.left == nil {
		return 0
	}
	return max(inst.timer.left(), 0)
}

func (inst *instance) stopTimer() {
	inst.timer.generation++
	inst.timer.due = time.Time{}
	if inst.timer.stop != nil {
		inst.timer.stop()
		inst.timer.stop, inst.timer.left = nil, nil
	}
}

// actLater schedules an action on the process. The end of the process cancels it.
func (o *Orchestrator) actLater(inst *instance, d time.Duration, kind delayedKind) {
	m := delayedAction{inst, inst.process.id, kind}
	t := o.clock.AfterFunc(d, func() { o.mail.Put(m) })
	inst.inspect.timers = append(inst.inspect.timers, t)
}

// cancelDelayedActions cancels the scheduled actions, and drops the result of the last inspection.
func (inst *instance) cancelDelayedActions() {
	for _, t := range inst.inspect.timers {
		t.Stop()
	}
	inst.inspect.timers, inst.inspect.last, inst.inspect.atReady = nil, nil, nil
}
