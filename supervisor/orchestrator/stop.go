package orchestrator

import (
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"tp0/supervisor/event"
	"tp0/supervisor/lifecycle"
	"tp0/supervisor/process"
)

// outputDrained says that the last output is read, or that the time for it is over.
type outputDrained struct{}

// onStopRequest handles a request for the stop: the first one begins the stop, the second one
// escalates to the next step, further ones send SIGKILL.
func (o *Orchestrator) onStopRequest(m stopRequest) {
	if m.signal == 0 {
		o.beginStop("an internal fault")
		o.totals.fault = true
		return
	}
	if m.signal == unix.SIGHUP && o.shutdown.requests > 0 {
		return // the kernel and the shell both report that the terminal is closed
	}
	o.shutdown.requests++
	meaning := ""
	switch {
	case o.shutdown.requests == 1:
		if m.signal == unix.SIGHUP {
			meaning = "stop; the terminal is closed"
		}
		o.shutdown.signal, o.shutdown.signalAt = m.signal, m.at
		o.judgeAllDeferred()
		if o.opt.Terminal && m.signal == unix.SIGINT {
			meaning = "stop; press Ctrl-C again to force"
		}
		defer o.beginStop("")
	case o.shutdown.requests == 2:
		meaning = "again: next step now"
		defer o.escalate(lifecycle.Escalate)
	default:
		meaning = "again: SIGKILL now"
		defer o.escalate(lifecycle.Kill)
	}
	o.opt.Sink.Emit(event.SignalReceived{
		Signal: signalName(m.signal), Meaning: meaning, Hangup: m.signal == unix.SIGHUP,
	})
}

// escalate applies Escalate or Kill to all instances.
func (o *Orchestrator) escalate(e lifecycle.Event) {
	o.beginStop("")
	o.shutdown.forced = o.shutdown.forced || e == lifecycle.Kill
	if o.shutdown.phase == cleaningUp {
		o.cleanUpOrphans(time.Now())
	}
	for _, inst := range o.instances {
		stopped := inst.stop.step > 0 || inst.runsHook() && inst.state != lifecycle.Preparing
		if !stopped && !inst.state.Final() { // its next step is the first one
			o.apply(inst, lifecycle.Stop)
		}
		if stopped || e == lifecycle.Kill {
			o.apply(inst, e)
		}
	}
}

func (o *Orchestrator) onBudgetTimer(timer budgetTimer) {
	if o.shutdown.phase != stopping {
		return
	}
	// If the supervisor did not run for a while, both timers are due at once and can come in any
	// order. So cleanUpAtAll kills first too.
	o.escalate(lifecycle.Kill)
	if timer == cleanUpAtAll {
		o.startCleanup()
	}
}

// startCleanup starts the orphan cleanup. No process is spawned from here on.
func (o *Orchestrator) startCleanup() {
	if o.shutdown.phase == running { // the last end is the reason of the stop
		o.totals.handleEnd(o.totals.lastEnd, func() {
			o.beginStop("nothing runs and nothing is due")
		})
	}
	for _, inst := range o.instances {
		if inst.state == lifecycle.Waiting || inst.state == lifecycle.BackingOff {
			o.apply(inst, lifecycle.Stop)
		}
	}
	o.shutdown.phase = cleaningUp
	if o.opt.LeaveOrphans {
		o.onCleanupDone(process.OrphanCleanupDone{})
		return
	}
	o.cleanUpOrphans(o.shutdown.at(1))
}

func (o *Orchestrator) cleanUpOrphans(killAt time.Time) {
	giveUp := o.shutdown.at(4)
	o.opt.Processes.CleanUpOrphans(killAt, giveUp, o.cfg.Shutdown.Proof)
}

func (o *Orchestrator) onCleanupDone(x process.OrphanCleanupDone) {
	if o.shutdown.phase != cleaningUp {
		return
	}
	o.shutdown.phase = drainingOutput
	o.totals.survived = len(x.Left)
	for _, p := range x.Left {
		o.opt.Sink.Emit(event.Leftover{
			What: "process", Number: p.Pid, Detail: fmt.Sprintf("%s, state %c", p.Comm, p.State),
		})
	}
	for _, t := range o.shutdown.timers {
		t.Stop()
	}
	o.drainOutput()
}

// drainOutput waits until the output of all processes is read to its end, or the time for it is
// over: a process that survived may hold a pipe open.
func (o *Orchestrator) drainOutput() {
	outputs, until := o.outputs.open, o.shutdown.at(8)
	o.wg.Go(func() {
		defer o.mail.Put(outputDrained{})
		timeout := time.NewTimer(time.Until(until))
		defer timeout.Stop()
		for i, out := range outputs {
			select {
			case <-out.Done():
			case <-timeout.C:
				for _, out := range outputs[i:] {
					out.Close()
					<-out.Done()
				}
				return
			}
		}
	})
}
