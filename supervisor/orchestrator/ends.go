package orchestrator

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"tp0/supervisor/event"
	"tp0/supervisor/exitcode"
	"tp0/supervisor/lifecycle"
	"tp0/supervisor/orchestrator/rollout"
	"tp0/supervisor/process"
)

// deferWindow is how long the judgement of an end is deferred. A service manager may send SIGTERM
// to all processes of a control group at once (systemd.kill(5), KillMode=control-group): to the
// supervisor, to each child, and to the descendants. The end of a child can then be reported before
// the signal to the supervisor. So an end by such a signal, if no restart follows, is judged
// deferWindow later. If the supervisor got the same signal meanwhile, the end is no failure.
const deferWindow = 500 * time.Millisecond

// deferOver is the end of a deferWindow.
type deferOver struct {
	inst    *instance
	process process.ID
}

// stopSignal returns the stop signal (SIGTERM, SIGINT or SIGQUIT) that ended a process, by its exit
// code. It returns 0 if none did.
func stopSignal(code int) unix.Signal {
	switch sig := unix.Signal(code - 128); sig {
	case unix.SIGTERM, unix.SIGINT, unix.SIGQUIT:
		return sig
	}
	return 0
}

// isStopSignal reports whether the signal that ended a process at a time, and the stop signal of
// the supervisor, are one request.
func (s *shutdown) isStopSignal(sig unix.Signal, at time.Time) bool {
	return sig != 0 && sig == s.signal && s.signalAt.Sub(at).Abs() < deferWindow
}

// deferEnd returns the end of a process if its judgement is to be deferred, else nil.
func (o *Orchestrator) deferEnd(inst *instance, at time.Time, e event.UnexpectedEnd) *deferredEnd {
	sig := stopSignal(inst.exit.code)
	wanted := inst.goal == rollout.Run && o.shutdown.phase == running
	if sig == 0 || !wanted || inst.state == lifecycle.Unready {
		return nil
	}
	policy := lifecycle.RestartPolicy(inst.spec.Policy.Restart)
	if !inst.restarts.history.Exhausted(policy, at) {
		return nil // a restart follows, unless a stop comes first
	}
	p := &inst.process
	return &deferredEnd{process: p.id, signal: sig, at: at, report: e, output: p.output}
}

// deferredTreeEnded handles the end of the process tree of an instance with a deferred end.
func (o *Orchestrator) deferredTreeEnded(inst *instance) {
	d := inst.exit.deferred
	d.treeEnded = true
	wait := time.Until(d.at.Add(deferWindow))
	if o.shutdown.requests > 0 || wait <= 0 {
		o.judgeDeferred(inst)
		return
	}
	m := deferOver{inst, d.process}
	d.timer = time.AfterFunc(wait, func() { o.mail.Put(m) })
}

func (o *Orchestrator) onDeferOver(m deferOver) {
	if d := m.inst.exit.deferred; d != nil && d.process == m.process {
		o.judgeDeferred(m.inst)
	}
}

// judgeAllDeferred judges all deferred ends: a signal asks for the stop.
func (o *Orchestrator) judgeAllDeferred() {
	for _, inst := range o.instances {
		if d := inst.exit.deferred; d != nil && d.treeEnded {
			o.judgeDeferred(inst)
		}
	}
}

func (o *Orchestrator) judgeDeferred(inst *instance) {
	d, out := inst.exit.deferred, inst.exit.outcome
	inst.exit.deferred, inst.exit.outcome = nil, nil
	if d.timer != nil {
		d.timer.Stop()
	}
	unwanted := func() { o.apply(inst, lifecycle.EndedUnwanted) }
	if o.shutdown.isStopSignal(d.signal, d.at) {
		o.afterPostStop(inst, out, unwanted)
		return
	}
	o.emitUnexpectedEnd(&endReport{event: d.report, output: d.output})
	if inst.goal == rollout.Run {
		o.afterPostStop(inst, out, func() {
			o.totals.handleEnd(out.before, func() { o.ended(inst, *out) })
		})
		return
	}
	// Another reason began a stop, or a reload replaces the process. The failure came first.
	if o.shutdown.phase != running {
		o.failedBeforeStop(inst, out.reason)
	}
	o.afterPostStop(inst, out, unwanted)
}

// handleOutcome handles the end of a process that is reported.
func (o *Orchestrator) handleOutcome(inst *instance) {
	out := inst.exit.outcome
	inst.exit.outcome = nil
	o.afterPostStop(inst, out, func() {
		o.totals.handleEnd(out.before, func() { o.ended(inst, *out) })
	})
}

// succeeded reports whether a wait status is a success by success_codes. Signal n counts as code
// 128+n, as in shells.
func (inst *instance) succeeded(status unix.WaitStatus) bool {
	return slices.Contains(inst.spec.Policy.SuccessCodes, exitCode(status))
}

func exitCode(status unix.WaitStatus) int {
	if status.Signaled() {
		return exitcode.OfSignal(status.Signal())
	}
	return status.ExitStatus()
}

// ended decides by the restart policy what follows a process, and applies the event.
func (o *Orchestrator) ended(inst *instance, out outcome) {
	if inst.goal == rollout.Run && inst.update.givenUp && inst.next != nil {
		inst.goal = rollout.Replace // no process of a rejected configuration follows
	}
	if inst.goal != rollout.Run {
		o.judgeOlderFailure(inst, out)
		o.apply(inst, lifecycle.EndedUnwanted)
		return
	}
	switch inst.state {
	case lifecycle.Preparing, lifecycle.Starting, lifecycle.Ready, lifecycle.Unready,
		lifecycle.Ending:
		d := inst.decideRestart(out)
		inst.restarts.last = d
		if d.Event == lifecycle.EndedWell && inst.spec.Policy.Oneshot {
			o.apply(inst, d.Event)
			return
		}
		if d.Event == lifecycle.EndedBadly && inst.spec.Policy.Hooks.OnFailure.Set() {
			d.Event = lifecycle.FailureHookDue
		}
		o.applyFailure(inst, d.Event, out.reason+inst.sinceReady(out.at)+out.cause)
	default:
		// Not by the restart policy: a reload or a request replaces the process, or stops it.
		inst.restarts.last = lifecycle.Decision{}
		o.apply(inst, lifecycle.EndedWell)
	}
}

func (inst *instance) decideRestart(out outcome) lifecycle.Decision {
	policy := lifecycle.RestartPolicy(inst.spec.Policy.Restart)
	reason := out.reason + out.cause
	return inst.restarts.history.Decide(policy, time.Now(), out.success, reason, random())
}

// judgeOlderFailure judges a main process that failed before the stop began, while its descendants
// ended in the stop.
func (o *Orchestrator) judgeOlderFailure(inst *instance, out outcome) {
	if o.shutdown.phase == running || !out.wanted || out.success || inst.failed {
		return
	}
	d := inst.decideRestart(out)
	if d.Event != lifecycle.EndedBadly {
		return // it would have been restarted
	}
	o.failedBeforeStop(inst, d.Reason)
	if inst.spec.Policy.Critical && o.totals.critical == 0 {
		o.totals.critical = inst.exit.code
	}
}

func (o *Orchestrator) failedBeforeStop(inst *instance, reason string) {
	inst.failed = true
	o.opt.Sink.Emit(event.Failed{
		Child: inst.spec.Name, Attempts: inst.restarts.history.Count(), Reason: reason,
	})
}

// lastOutputRead says that the last output of a process is read, or that the time for it is over.
type lastOutputRead struct {
	inst    *instance
	process process.ID
	cause   string // see outcome
}

// lastOutputTimeout bounds the wait for the last lines of a process that crashed: its output can be
// read after its exit is seen, and a descendant can keep the pipe open without limit.
const lastOutputTimeout = 200 * time.Millisecond

// reportUnexpectedEnd reports an unexpected end once the output of the process is read. What
// follows the end, such as a restart, waits for the report: a reader of the log learns first why
// the process ended.
func (o *Orchestrator) reportUnexpectedEnd(
	inst *instance, e event.UnexpectedEnd, x process.Exited,
) {
	out := inst.process.output
	inst.exit.report = &endReport{event: e, output: out}
	m := lastOutputRead{inst: inst, process: inst.process.id}
	end := o.endOf(inst, x)
	o.wg.Go(func() {
		o.awaitOutput(out, lastOutputTimeout)
		m.cause = o.findCause(end, out)
		o.mail.Put(m)
	})
}

func (o *Orchestrator) onLastOutputRead(m lastOutputRead) {
	r := m.inst.exit.report
	if r == nil || m.inst.process.id != m.process {
		return
	}
	m.inst.exit.report = nil
	r.event.Reason += m.cause
	m.inst.restarts.cause = m.cause
	if last := m.inst.restarts.lastExit; last != nil && m.cause != "" {
		withCause := *last // an answer can refer to the old value
		withCause.Reason += m.cause
		m.inst.restarts.lastExit = &withCause
	}
	if out := m.inst.exit.outcome; out != nil {
		out.cause = m.cause
	}
	o.emitUnexpectedEnd(r)
	if r.treeEnded {
		o.handleOutcome(m.inst)
	}
}

func (o *Orchestrator) emitUnexpectedEnd(r *endReport) {
	r.event.Output = r.output.Tail()
	o.opt.Sink.Emit(r.event)
}

// reportLateEnds reports the unexpected ends that still wait for output: the stop is over.
func (o *Orchestrator) reportLateEnds() {
	for _, inst := range o.instances {
		if r := inst.exit.report; r != nil {
			o.emitUnexpectedEnd(r)
		}
	}
}

// maxKnownFDs bounds how many descriptors the report of a crash names.
const maxKnownFDs = 8

// knownFDs returns a sentence about the descriptors that the last inspection of a process found.
// Empty: there was no inspection, or it found none.
func (inst *instance) knownFDs() string {
	known := inst.inspect.last
	if known == nil {
		return ""
	}
	var fds []string
	n := 0
	for _, fd := range known.FDs {
		if fd.IsStandard() {
			continue
		}
		if n++; n <= maxKnownFDs {
			fds = append(fds, fmt.Sprintf("%d %s", fd.Num, fd.Target))
		}
	}
	if n > maxKnownFDs {
		fds = append(fds, fmt.Sprintf("and %d more", n-maxKnownFDs))
	}
	if n == 0 {
		return ""
	}
	noun := "descriptors"
	if n == 1 {
		noun = "descriptor"
	}
	age := time.Since(known.At).Round(time.Millisecond)
	return fmt.Sprintf("%v before its end it had %d %s open: %s.", age, n, noun,
		strings.Join(fds, ", "))
}

func random() float64 { return rand.Float64() }
