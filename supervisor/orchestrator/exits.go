package orchestrator

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"tp0/supervisor/event"
	"tp0/supervisor/fdledger"
	"tp0/supervisor/findings"
	"tp0/supervisor/lifecycle"
	"tp0/supervisor/orchestrator/rollout"
	"tp0/supervisor/process"
)

// onExited handles the exit of a main process. Notifications and output from before the exit count,
// so the exit of a process that is not ready waits until they are read.
func (o *Orchestrator) onExited(x process.Exited) {
	inst := o.processes.byID[x.Process]
	o.handleNotifications(inst, NotifySocket.Drain) // what it sent before its end counts
	if inst.hasLateSuccessor(x) {
		inst.exit.waiting = &waitingExit{exited: x}
		o.opt.Processes.HandOver(x.Process, inst.process.successor)
		return
	}
	if inst.state == lifecycle.Starting && o.awaitReadyOutput(inst, x.Process) {
		inst.exit.waiting = &waitingExit{exited: x}
		return
	}
	o.handleExit(inst, x)
}

// hasLateSuccessor reports whether a process named one of its survivors as its successor (MAINPID
// of sd_notify(3)) so shortly before its end that the process loop did not know of it.
func (inst *instance) hasLateSuccessor(x process.Exited) bool {
	return inst.stop.step == 0 && slices.ContainsFunc(x.Survivors, func(s process.Survivor) bool {
		return s.Pid == inst.process.successor
	})
}

// onNotHandedOver handles an exit that waited for the hand-over to a successor.
func (o *Orchestrator) onNotHandedOver(x process.NotHandedOver) {
	if inst := o.processes.byID[x.Process]; inst != nil && inst.exit.waiting != nil {
		o.handleWaitingExit(inst)
	}
}

// onReadyOutputRead handles the exit that waited for the output of its process.
func (o *Orchestrator) onReadyOutputRead(m readyOutputRead) {
	inst := m.inst
	if inst.exit.waiting == nil || inst.process.id != m.process {
		return
	}
	if inst.state == lifecycle.Starting && inst.health.line.Matched() {
		inst.cancelProbe()
		o.becomeReady(inst)
	}
	o.handleWaitingExit(inst)
}

// handleWaitingExit handles the exit that waited.
func (o *Orchestrator) handleWaitingExit(inst *instance) {
	waiting := inst.exit.waiting
	inst.exit.waiting = nil
	o.handleExit(inst, waiting.exited)
	if waiting.treeEnded {
		o.onTreeEnded(process.TreeEnded{Process: waiting.exited.Process})
	}
}

func (o *Orchestrator) handleExit(inst *instance, x process.Exited) {
	before := o.totals.counts
	o.totals.reaped++
	o.totals.status = x.Status
	if x.Killed {
		o.totals.killed++
	}
	inst.exit.code = exitCode(x.Status)
	o.noteExit(inst, x)
	inst.learnFromEnd()
	inst.cancelProbe()
	inst.stopMonitoring()
	if inst.state == lifecycle.Ready {
		inst.stopTimer() // of an announced stop
	}
	defer inst.cancelDelayedActions()
	o.reportReaped(inst, x)
	inst.exit.outcome = o.judgeExit(inst, x)
	inst.exit.outcome.before = before
	inst.process.output = nil
	if len(x.Survivors) == 0 {
		o.onTreeEnded(process.TreeEnded{Process: x.Process})
		return
	}
	o.reportSurvivors(inst, x)
	o.apply(inst, lifecycle.MainEnded)
	o.signalSurvivors(inst)
}

// judgeExit returns the outcome of a main process. It reports an unexpected end, or defers that.
func (o *Orchestrator) judgeExit(inst *instance, x process.Exited) *outcome {
	out := &outcome{
		success: inst.succeeded(x.Status), reason: exitReason(x),
		at:     x.At,
		wanted: inst.goal == rollout.Run && inst.state != lifecycle.Replacing,
	}
	if out.wanted && inst.failsItsStart() {
		out.success, out.reason = false, out.reason+" before it was ready"
	}
	if inst.stop.step == 0 && !out.success {
		e := event.UnexpectedEnd{
			Child: inst.spec.Name, Pid: x.Pid, Reason: out.reason, Core: x.Exit.Core,
			Known: inst.knownFDs(),
		}
		inst.exit.deferred = o.deferEnd(inst, x.At, e)
		stopped := o.shutdown.isStopSignal(stopSignal(inst.exit.code), x.At)
		if inst.exit.deferred == nil && !stopped {
			o.reportUnexpectedEnd(inst, e, x)
		}
	}
	if inst.state == lifecycle.Unready {
		out.success, out.reason = false, inst.health.failure
	}
	return out
}

// failsItsStart reports whether an end of the process now is a failure with every exit code: the
// process is not ready yet. Only a oneshot may end before it is ready, since it completes by
// its exit code.
func (inst *instance) failsItsStart() bool {
	return inst.state == lifecycle.Starting && !inst.spec.Policy.Oneshot
}

// onTreeEnded handles the end of a process tree: only now may anything follow the process.
func (o *Orchestrator) onTreeEnded(x process.TreeEnded) {
	inst := o.processes.byID[x.Process]
	if inst.exit.waiting != nil {
		inst.exit.waiting.treeEnded = true
		return
	}
	if inst.hook != nil { // the stop hook
		inst.exit.tree = true
		return
	}
	delete(o.processes.byID, x.Process)
	inst.closeNotify()
	if inst.exit.deferred != nil {
		o.deferredTreeEnded(inst)
		return
	}
	if inst.exit.report != nil {
		inst.exit.report.treeEnded = true
		return
	}
	o.handleOutcome(inst)
}

// reportSurvivors reports the descendants that outlive a main process.
func (o *Orchestrator) reportSurvivors(inst *instance, x process.Exited) {
	e := event.DescendantsOutlive{
		Child: inst.spec.Name, Pid: x.Pid, Exit: x.Exit, InStop: inst.stop.step > 0,
	}
	for _, s := range x.Survivors {
		e.Descendants = append(e.Descendants, s.String())
	}
	o.opt.Sink.Emit(e)
}

// reportReaped reports how a main process ended, and what became of its descriptors.
func (o *Orchestrator) reportReaped(inst *instance, x process.Exited) {
	name, stopped := inst.spec.Name, inst.stop.step > 0
	o.totals.unproven += x.Untraced
	if stopped && x.Untraced > 0 {
		o.opt.Sink.Emit(event.ProofUnavailable{
			Child: name, Pid: x.Pid, Proof: event.ProofNone, Reason: fmt.Sprintf(
				"%d descendants were not traced: the time of the stop did not suffice", x.Untraced),
		})
	}
	if stopped && x.FDs.Reason != "" {
		o.opt.Sink.Emit(event.ProofUnavailable{
			Child: name, Pid: x.Pid, Proof: x.FDs.Proof, Reason: x.FDs.Reason,
		})
	}
	fds := o.reportFDs(o.policyOf(inst), event.FDClosed{Owner: name, Pid: x.Pid}, x.FDs)
	e := event.Reaped{
		Child: name, Pid: x.Pid, Exit: x.Exit, Success: inst.succeeded(x.Status),
		Elapsed: x.At.Sub(inst.process.spawned), Stopped: stopped,
		User:   time.Duration(x.Rusage.Utime.Nano()),
		System: time.Duration(x.Rusage.Stime.Nano()),
		MaxRSS: x.Rusage.Maxrss,
		Closed: fds.closed, Left: fds.left, Findings: fds.findings, Proof: x.FDs.Proof,
		FDsOmitted: fds.omitted,
	}
	if stopped {
		e.Timeout = o.presentStopSequence(inst).Length()
		e.Stop = max(x.At.Sub(inst.stop.beganAt), 0) // the exit can be handled after the first step
		e.Tree = event.TreeCounts{
			Known: x.Threads > 0, Threads: x.Threads, ThreadsAtEnd: x.ThreadsAtEnd,
			Processes: x.Processes, Forked: x.Forked,
		}
	}
	o.opt.Sink.Emit(e)
	o.reportCut(inst, x)
}

// reportCut reports that a process without a handler for its stop signal had connections open when
// the signal ended it.
func (o *Orchestrator) reportCut(inst *instance, x process.Exited) {
	e := event.SignalNotHandled{
		Child: inst.spec.Name, Pid: x.Pid, Signal: signalName(inst.spec.Policy.KillSignal),
		Disposition: inst.inspect.disposition,
	}
	byStop := inst.stop.step > 0 && x.Exit.Signal == e.Signal
	if !byStop || e.Disposition != "default" || x.FDs.Proof != event.ProofExact {
		return
	}
	if e.Cut = cutConnections(x.FDs); e.Cut > 0 {
		o.opt.Sink.Emit(e)
	}
}

// cutConnections counts the TCP connections that ended with a process: those that it had open at
// its exit and that no other process holds.
func cutConnections(fds process.FDResult) (n int) {
	for _, fd := range fds.After {
		connected := strings.HasPrefix(fd.Target, "tcp ") && fd.Detail.State == "established"
		if connected && fds.Holders[fd.Num] == "" {
			n++
		}
	}
	return n
}

// onDescendantEnded reports the end of a descendant.
func (o *Orchestrator) onDescendantEnded(x process.DescendantEnded) {
	e := event.DescendantEnded{
		Child: x.Child, Pid: x.Pid, Parent: x.Parent, Command: x.Command, Exit: x.Exit,
		ExitUnknown: !x.Seen, InStop: x.InStop, Threads: x.Threads, Lifetime: x.Lifetime,
		Proof: x.FDs.Proof, Reason: x.FDs.Reason,
	}
	owner := x.Child
	if owner == "" {
		owner = x.Command
	}
	closed := event.FDClosed{Owner: owner, Pid: x.Pid, Process: x.Command}
	fds := o.reportFDs(o.policyOf(o.named(x.Child)), closed, x.FDs)
	e.Closed, e.Left, e.Findings = fds.closed, fds.left, fds.findings
	e.FDsOmitted = fds.omitted
	o.opt.Sink.Emit(e)
}

// fdCounts counts the descriptors of a process that ended.
type fdCounts struct {
	closed, left, findings int
	omitted                int // those without an event
}

// maxFDEvents is the number of descriptors of a process that have an event of their own; findings
// are counted apart. An event takes 320 bytes until all sinks have it, which are 32 MB for 100,000
// descriptors. The counts in the event on the end of the process have all.
const maxFDEvents = 4096

// reportFDs reports the descriptors of a process that ended, and counts those that it left open. e
// has the fields that all the events have in common.
func (o *Orchestrator) reportFDs(
	p findings.Policy, e event.FDClosed, fds process.FDResult,
) fdCounts {
	o.countUnproven(e, fds.Proof)
	if fds.Proof == event.ProofNone {
		return fdCounts{}
	}
	var n fdCounts
	var emitted, emittedFindings int
	e.Proof = fds.Proof
	report := func(l fdledger.Line) {
		e := e
		e.FD, e.Kind, e.Target, e.NotCounted = l.Num, l.Kind, l.Target, l.Uncounted
		e.Detail = event.FDDetail(l.Detail)
		e.By, e.HeldBy = event.ByKernel, fds.Holders[l.Num]
		if l.ByChild {
			e.By, e.HeldBy = event.ByChild, ""
		}
		judgeLeak(&e, l, fds, p)
		count := &emitted
		if e.Finding != "" {
			n.findings++
			count = &emittedFindings
		}
		if *count++; *count > maxFDEvents {
			n.omitted++
			return
		}
		o.opt.Sink.Emit(e)
	}
	n.closed, n.left = fdledger.Compare(
		fds.Before, fds.After, fds.Inherited, fds.Runtime, report)
	o.totals.left += n.left
	o.totals.findings += n.findings
	return n
}

// countUnproven counts a process that ended without an exact proof.
func (o *Orchestrator) countUnproven(e event.FDClosed, p event.Proof) {
	if p == event.ProofExact {
		return
	}
	name := e.Owner
	if e.Process != "" && e.Process != e.Owner {
		name += ": " + e.Process
	}
	o.totals.addUnproven(fmt.Sprintf("%s (pid %d)", name, e.Pid))
}
