package process

import (
	"os"
	"time"

	"golang.org/x/sys/unix"

	"tp0/supervisor/event"
	"tp0/supervisor/lifecycle"
	"tp0/supervisor/procdir"
	"tp0/supervisor/process/phase"
	"tp0/supervisor/process/proof"
	"tp0/supervisor/procfs"
)

// The stop of thousands of children is paced: a process gets its signal once few fd scans are
// due. If all processes got it at once, they would all wait in their exit stops, and most scans
// would come too late. Only scans count: a process that takes long to end delays no other one.
const (
	maxScanBacklog = 256             // number of fd scans that wait or run
	queueLimit     = 5 * time.Second // longest wait in the queue
)

// sendStep sends a step of the stop sequence to a child process. The first step starts its
// stop.
func (l *Loop) sendStep(c *childProcess, d pendingSignal, asked event.Proof) {
	first := !c.stop.started()
	if first {
		l.startStop(c, asked)
	}
	if c.phase.MainEnded() {
		l.handleDelivery(c, phase.MainGone)
		l.recordStep(c, d, kernelTime{})
		return
	}
	if c.stop.delivery.State == phase.Direct {
		l.sendNow(c, d)
		return
	}
	c.stop.pending = append(c.stop.pending, d)
	switch {
	case first && !l.handles(c, d.signal, c.stop.requestedAt):
		l.handleDelivery(c, phase.NoHandler)
	case first || c.stop.delivery.State == phase.Unhandled: // the next step ends that wait
		l.requestScan(c)
	default:
		l.handleDelivery(c, phase.Escalated)
	}
}

// startStop starts the stop of a child process.
func (l *Loop) startStop(c *childProcess, asked event.Proof) {
	if procdir.Fault() != nil { // no proof without /proc
		asked = event.ProofNone
	}
	s := &c.stop
	s.requestedAt, s.proof = time.Now(), asked
	l.proofAsked = l.proofAsked || asked == event.ProofExact
	l.schedule(s.requestedAt.Add(reapPoll))
	s.requestedTick, _ = procfs.Uptime()
	if c.phase.MainEnded() {
		return // the stop is that of the survivors
	}
	if c.main == nil {
		l.observeMain(c)
	}
	if asked == event.ProofExact {
		l.prepareHelper(c)
	}
}

// observeMain starts to observe a main process.
func (l *Loop) observeMain(c *childProcess) {
	c.main = l.observe(&observed{owner: c, pid: c.pid, comm: c.name})
}

// handleDelivery passes an event to the delivery state machine of a stop, and performs its
// action.
func (l *Loop) handleDelivery(c *childProcess, e phase.Event) {
	s := &c.stop
	before := s.delivery.State
	now := time.Now()
	limits := l.deliveryLimits(now)
	do := s.delivery.Handle(e, now, limits)
	if s.delivery.State != before {
		l.schedule(s.delivery.Until)
	}
	switch do {
	case phase.Enqueue:
		l.scanQueue = append(l.scanQueue, c)
	case phase.Scan:
		c.main.signalDelay = limits.Scanning
		l.scanBeforeStop(c, s.proof)
	case phase.DeliverLate:
		s.scanSkipped = lateReason(c.main.signalDelay)
		l.attach(c.main, s.proof)
		l.sendPending(c)
	case phase.Deliver:
		l.sendPending(c)
	case phase.Discard:
		s.pending = nil
	}
}

// requestScan continues with signals that the program handles, or that no longer wait for a
// handler. The fd scan comes before them.
func (l *Loop) requestScan(c *childProcess) {
	switch {
	case c.stop.proof == event.ProofNone:
		l.handleDelivery(c, phase.NoScan)
	case len(l.scanQueue) == 0 && l.hasScanCapacity():
		l.handleDelivery(c, phase.QueueFree)
	default:
		l.handleDelivery(c, phase.QueueFull)
	}
}

// hasScanCapacity reports whether the next process may get its signals.
func (l *Loop) hasScanCapacity() bool {
	return !l.moreStatuses && l.workers.backlog() < maxScanBacklog
}

// dequeueScans continues with the processes whose fd scan is next, or that have waited for too
// long.
func (l *Loop) dequeueScans(now time.Time) {
	for len(l.scanQueue) > 0 {
		c := l.scanQueue[0]
		d := c.stop.delivery
		queued := d.State == phase.Queued
		if queued && now.Before(d.Until) && !l.hasScanCapacity() {
			return
		}
		l.scanQueue = l.scanQueue[1:]
		switch {
		case !queued: // after an escalation or the deadline
		case c.phase.MainEnded():
			l.handleDelivery(c, phase.MainGone)
		default:
			l.handleDelivery(c, phase.Dequeued)
		}
	}
}

// tickDelivery does what is due for the pending signals, and returns the time of the next tick.
// The zero time needs none.
func (l *Loop) tickDelivery(c *childProcess, now time.Time) time.Time {
	s := &c.stop
	switch s.delivery.State {
	case phase.Unhandled:
		if l.handles(c, s.pending[0].signal, now) {
			l.requestScan(c)
		} else {
			s.delivery.Until = earlier(now.Add(handlerPoll), s.requestedAt.Add(c.handling.limit))
		}
	case phase.Scanning:
		if !now.Before(s.delivery.Until) {
			l.handleDelivery(c, phase.ScanLate)
		}
	}
	if !s.delayedKillDue.IsZero() && !now.Before(s.delayedKillDue) {
		s.delayedKillDue = time.Time{}
		l.sendNow(c, s.delayedKill)
	}
	if at := s.delayedKillDue; !at.IsZero() &&
		(s.delivery.Until.IsZero() || at.Before(s.delivery.Until)) {
		return at
	}
	return s.delivery.Until
}

// sendPending sends the pending signals.
func (l *Loop) sendPending(c *childProcess) {
	pending := c.stop.pending
	c.stop.pending = nil
	for _, d := range pending {
		l.sendNow(c, d)
	}
}

// sendNow sends a signal to a child process. SIGKILL can be delayed.
//
// SIGKILL after another step says that the time of the whole tree is over, so it goes to the
// descendants at once. One of them may hold the main process in a ptrace stop. SIGKILL as the only
// step goes to the scope, and to the survivors once the main process has ended.
func (l *Loop) sendNow(c *childProcess, d pendingSignal) {
	if c.phase.MainEnded() { // it ended during the scan
		if d.step > 0 {
			l.recordStep(c, d, kernelTime{})
		}
		return
	}
	if d.signal == unix.SIGKILL {
		if now := time.Now(); l.killDelayed(c, now) {
			c.stop.delayedKillDue, c.stop.delayedKill = c.stop.firstSentAt.Add(minKillDelay), d
			l.schedule(c.stop.delayedKillDue)
			return
		}
		c.stop.killed = true
	}
	var at kernelTime
	if d.step > 0 && c.scope != lifecycle.ScopeProcess {
		at = currentKernelTime()
	}
	err := l.signalScope(c, d)
	l.report(Signalled{Process: c.id, Pid: c.pid, Signal: d.signal, Step: d.step, Err: err})
	if d.step == 0 {
		return
	}
	l.recordStep(c, d, at)
	l.pingHelpers()
	if d.signal == unix.SIGKILL && len(c.tree.steps) > 1 && !c.tree.leave {
		l.killDescendants(c)
	}
	if d.signal != unix.SIGKILL {
		if c.stop.firstSentAt.IsZero() {
			c.stop.firstSentAt = time.Now()
		}
		c.stop.signalled()
		l.continueDue(c)
	}
}

// sendFirstStep sends the first step of the stop to a child process, and SIGKILL after
// minKillDelay.
func (l *Loop) sendFirstStep(c *childProcess) {
	first, last := pendingSignal{signal: unix.SIGTERM, step: 1}, c.pendingKill()
	if len(c.stop.pending) > 0 {
		first = c.stop.pending[0]
	}
	if !c.stop.started() { // the orchestrator sent no step
		l.startStop(c, event.ProofNone)
		l.handleDelivery(c, phase.NoScan)
	}
	l.handleDelivery(c, phase.DeadlinePassed)
	c.stop.scanSkipped = "the deadline passed before the first fd scan"
	l.sendNow(c, first)
	l.sendNow(c, last)
}

// sendKill sends SIGKILL in place of the pending signals: the orphan cleanup has no time for
// them.
func (l *Loop) sendKill(c *childProcess) {
	last := c.pendingKill()
	l.handleDelivery(c, phase.DeadlinePassed)
	c.stop.scanSkipped = "the deadline passed before the first fd scan"
	l.sendNow(c, last)
}

// killInCleanup ends a child process that is left when the orphan cleanup kills. If it got no
// signal yet and there is time, it gets its first step before. A delayed SIGKILL is the only one.
func (l *Loop) killInCleanup(c *childProcess) {
	pending := c.stop.pending
	switch {
	case !c.stop.delayedKillDue.IsZero():
		c.stop.delayedKillDue = time.Time{}
		l.sendNow(c, c.stop.delayedKill) // it is delayed again if it is not due
	case c.stop.firstSentAt.IsZero() && l.hasTimeForKillDelay(time.Now()) &&
		(len(pending) == 0 || pending[0].signal != unix.SIGKILL):
		l.sendFirstStep(c)
	case c.stop.delivery.State.Waits():
		l.sendKill(c)
	default:
		l.sendNow(c, pendingSignal{signal: unix.SIGKILL})
	}
}

// forward passes on a signal that is not a step. Before SIGCONT a child process in the
// background gets the terminal back. A signal of the terminal that stops the child process
// stops the supervisor too, since the shell waits for that.
func (l *Loop) forward(c *childProcess, came, sig unix.Signal) {
	if came == unix.SIGCONT {
		l.giveTerminal(c)
	}
	switch {
	case sig == 0: // the signal is not passed on
	case c.stop.delivery.State.Waits(): // after the pending signals
		c.stop.pending = append(c.stop.pending, pendingSignal{signal: sig})
	default:
		l.sendNow(c, pendingSignal{signal: sig})
	}
	if (came == unix.SIGTSTP || came == unix.SIGTTIN || came == unix.SIGTTOU) && os.Getpid() != 1 {
		_ = unix.Kill(os.Getpid(), unix.SIGSTOP)
	}
}

// reload sends the signal of [Loop.Reload] to the main process alone, whatever the scope of a stop
// is: the signal would end a worker in the group that has no handler. The disposition is read at
// the last moment, since a program can install its handlers at any time. If it cannot be read, the
// signal is sent.
func (l *Loop) reload(c *childProcess, sig unix.Signal) {
	switch {
	case c.stop.started():
	case defaultIsHarmful(sig) && l.disposition(c.pid, sig) == "default":
		l.report(Withheld{Process: c.id, Pid: c.pid, Signal: sig})
	default:
		l.send(c, sig)
	}
}

// send sends a signal to a main process that has not ended.
func (l *Loop) send(c *childProcess, sig unix.Signal) {
	if !c.phase.MainEnded() {
		err := unix.Kill(c.pid, sig)
		l.report(Signalled{Process: c.id, Pid: c.pid, Signal: sig, Err: err})
	}
}

// deliveryLimits returns how long the signals of a child process wait for the fd scan before
// them.
func (l *Loop) deliveryLimits(now time.Time) phase.Limits {
	limits := phase.Limits{Queued: queueLimit, Scanning: l.budget.SignalDelay(now)}
	if !l.budget.End.IsZero() {
		limits.Queued = min(queueLimit, max(l.budget.End.Sub(now)/2, limits.Scanning))
	}
	return limits
}

// shortenWait shortens the wait of pending signals to what the final stop allows.
func (l *Loop) shortenWait(c *childProcess, now time.Time) {
	d, limits := &c.stop.delivery, l.deliveryLimits(now)
	switch d.State {
	case phase.Queued:
		d.Until = earlier(d.Until, now.Add(limits.Queued))
	case phase.Scanning:
		until := now.Add(limits.Scanning)
		if o := c.main; until.Before(d.Until) {
			o.signalDelay -= d.Until.Sub(until)
			d.Until = until
			if o.firstScanLimit != nil {
				o.firstScanLimit.shorten(until)
			}
		}
	}
}

// scanBeforeStop scans a main process and its descendants at the start of a stop, attaches to
// them, and then sends the pending signals.
func (l *Loop) scanBeforeStop(c *childProcess, asked event.Proof) {
	o, most := c.main, l.maxTracedNow()
	limit := newScanLimit(c.stop.delivery.Until, minScannedFDs)
	o.firstScanLimit = limit
	o.firstScans++
	l.scan(o, func() func() {
		cpu, _ := procfs.CPUTime(o.pid)
		tree, rest := l.scanTree(o.pid, most, limit)
		return func() {
			o.firstScanLimit = nil
			o.firstScans--
			o.traceSet.addUntraced(rest...)
			o.cpuAtStop = cpu
			if o.neverAttached() {
				o.evidence.Reason = reasonEnded
			}
			if len(tree) > 0 && tree[0].stat.Pid == o.pid {
				o.recordFirstScan(tree[0])
				l.attach(o, asked)
				tree = tree[1:]
			}
			c.stop.processes = len(tree) + len(rest)
			if asked != event.ProofExact {
				l.handleDelivery(c, phase.Scanned)
				return
			}
			l.observeTree(o, tree, func() {
				l.afterSeizes(func() {
					l.observeNewChildren(o)
					l.afterSeizes(func() { l.handleDelivery(c, phase.Scanned) })
				})
			})
		}
	})
}

// neverAttached reports whether the loop never tried to trace or sample the process.
func (o *observed) neverAttached() bool {
	v, over := o.machine.Data.(*proof.EndData)
	return o.inState(proof.Found) || over && v.From == proof.Found
}

// attach traces a main process, or samples it, as asked for and as far as the kernel permits
// it.
func (l *Loop) attach(o *observed, asked event.Proof) {
	switch {
	case o.machine.State.IsTraced() && o.owner.traceFrom == event.ProofExact:
		l.handleEvent(o, proof.StopStarted, stopCause{}) // its threads get the options of a stop
	case !o.inState(proof.Found):
	case asked == event.ProofExact:
		l.handleEvent(o, proof.Attach, stopCause{})
		l.sampleIfRefused(o)
	case asked == event.ProofSampled:
		o.evidence.Reason = ""
		l.handleEvent(o, proof.SampleOnly, stopCause{})
	}
}
