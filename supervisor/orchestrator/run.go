package orchestrator

import (
	"fmt"
	"slices"

	"tp0/supervisor/config"
	"tp0/supervisor/event"
	"tp0/supervisor/lifecycle"
	"tp0/supervisor/orchestrator/rollout"
	"tp0/supervisor/process"
)

// Supervise starts the children. It returns when nothing runs and nothing is due, or when a stop is
// over. It must be called once.
func (o *Orchestrator) Supervise() error {
	defer o.wg.Wait()
	defer func() {
		if o.opt.Notify != nil {
			o.opt.Notify.Close()
		}
	}()
	defer o.cancel()
	o.advance()
	for o.shutdown.phase != finished {
		<-o.mail.Wake()
		for _, m := range o.mail.Take() {
			o.handle(m)
		}
		o.advance()
		o.answerOperations()
	}
	o.reportLateEnds()
	o.answerOperations()
	o.closeSockets()
	return nil
}

func (o *Orchestrator) handle(m any) {
	switch m := m.(type) {
	case process.Fact:
		o.passFact(m)
	case timerFired:
		o.onTimer(m)
	case notification:
		o.onNotification(m)
	case watchdogFired:
		o.onWatchdog(m)
	case probeDone:
		o.onProbeDone(m)
	case checkDone:
		o.onCheckDone(m)
	case fdCountDue:
		o.onFDCountDue(m)
	case fdsCounted:
		o.onFDsCounted(m)
	case fdLeakFound:
		o.onFDLeakFound(m)
	case pauseOver:
		o.onPauseOver(m)
	case delayedAction:
		o.onDelayedAction(m)
	case stopRequest:
		o.handleStopRequest(m)
	case readyOutputRead:
		o.onReadyOutputRead(m)
	case lastOutputRead:
		o.onLastOutputRead(m)
	case deferOver:
		o.onDeferOver(m)
	case forwardRequest:
		o.onForwardRequest(m)
	case reloadRequest:
		o.onReloadRequest()
	case configLoaded:
		o.onConfigLoaded(m)
	case listenersFound:
		o.onListenersFound(m)
	case budgetTimerFired:
		o.onBudgetTimer(m.timer)
	case outputDrained:
		o.shutdown.phase = finished
	case operationRequest:
		o.onOperation(m.operation)
	case operationAbandoned:
		o.operations.remove(m.operation)
	case statusRequest:
		m.answer <- o.currentStatus()
	case explainRequest:
		m.answer <- o.explain(m.names)
	case healthRequest:
		m.answer <- o.currentHealth()
	default:
		reason := fmt.Sprintf("unknown message %T", m)
		o.opt.Sink.Emit(event.Fault{What: "orchestrator", Reason: reason})
		o.totals.fault = true
	}
}

// handleStopRequest handles a request for the stop. The step of the request before comes first: the
// two can have arrived together.
func (o *Orchestrator) handleStopRequest(m stopRequest) {
	if o.shutdown.requests > 0 {
		o.advance()
	}
	o.onStopRequest(m)
}

// onForwardRequest forwards a signal to every process.
func (o *Orchestrator) onForwardRequest(m forwardRequest) {
	o.advance() // a stop that was requested before sends its first signals first
	meaning := "forwarded"
	switch m.sent {
	case m.received:
	case 0:
		meaning = "swallowed"
	default:
		meaning = "forwarded as " + signalName(m.sent)
	}
	o.opt.Sink.Emit(event.SignalReceived{
		Signal: signalName(m.received), Meaning: meaning, Forwarded: true,
	})
	for _, inst := range o.instances {
		if inst.state.HasProcess() {
			o.opt.Processes.Forward(inst.process.id, m.received, m.sent)
		}
	}
}

// advance does what the last messages have made possible. It considers every instance, which costs
// little beside the fork of each start. The start or the end of one instance can allow that of
// another one, so advance repeats until no state changes.
func (o *Orchestrator) advance() {
	for changed := true; changed; {
		if o.shutdown.phase > stopping {
			return
		}
		o.removeEnded()
		o.startQueuedHooks()
		if o.reloads.active != nil {
			o.closeSockets() // an instance may need an address that another one gave up
		}
		o.findFailed()
		o.planUpdates()
		o.findBlockers()
		changed = false
		for _, inst := range o.instances {
			changed = o.advanceInstance(inst) || changed
		}
	}
	o.finishReload()
	o.closeSockets()
	o.reportAllReady()
	switch {
	case o.busy():
	case slices.ContainsFunc(o.instances, (*instance).active):
		o.totals.handleEnd(o.totals.lastEnd, func() {
			o.beginStop("only sidecars run and nothing else is due")
		})
		o.advance()
	default:
		o.startCleanup()
	}
}

// advanceInstance brings an instance closer to its goal if that is possible now. It reports whether
// its state changed.
func (o *Orchestrator) advanceInstance(inst *instance) bool {
	before := inst.state
	switch inst.goal {
	case rollout.Run:
		if before != lifecycle.Waiting {
			inst.failedDependency = ""
			o.startEnded(inst)
			o.reportWait(inst)
			break
		}
		free := o.processes.pending < config.MaxStarting
		if free && o.shutdown.phase == running && o.mayStart(inst) {
			o.apply(inst, inst.startEvent())
		}
		o.reportBlocked(inst)
		o.reportWait(inst)
	case rollout.Hold, rollout.End:
		ended := before.Final() && inst.goal == rollout.End
		if before != lifecycle.Stopping && !ended && o.mayStop(inst) {
			o.apply(inst, lifecycle.Stop)
		}
	case rollout.Replace:
		if o.shutdown.phase == running {
			return o.advanceUpdate(inst)
		}
	}
	return inst.state != before
}
