package process

import (
	"os"
	"time"

	"golang.org/x/sys/unix"

	"tp0/supervisor/event"
	"tp0/supervisor/lifecycle"
	"tp0/supervisor/process/phase"
)

// delivery is a signal on its way to a run.
type delivery struct {
	signal unix.Signal
	rung   int // the step of the stop sequence; 0: none
}

// The stop of thousands of children is paced: a run gets its signal once few fd scans
// are due. If all got it at once, they would wait in their exit stops, and most of the
// scans would come too late. Only scans count: a run that takes long to end delays no
// other one.
const (
	mostDue    = 256             // fd scans
	queueLimit = 5 * time.Second // a run waits no longer in the queue
)

// signal sends a run a step of its stop sequence. Its stop begins with the first one.
func (l *Loop) signal(r *run, d delivery, asked event.Proof) {
	first := !r.stop.begun()
	if first {
		l.beginStop(r, asked)
	}
	if r.phase.MainEnded() {
		l.advance(r, phase.MainGone)
		l.sendStep(r, d, moment{})
		return
	}
	if r.stop.delivery.State == phase.Direct {
		l.deliver(r, d)
		return
	}
	r.stop.waiting = append(r.stop.waiting, d)
	switch {
	case first && !l.handles(r, d.signal, r.stop.at):
		l.advance(r, phase.NoHandler)
	case first || r.stop.delivery.State == phase.Unhandled:
		l.scanFirst(r)
	default:
		l.advance(r, phase.Escalated)
	}
}

// advance takes an event of a delivery in, and does what is to be done.
func (l *Loop) advance(r *run, e phase.Event) {
	s := &r.stop
	before := s.delivery.State
	now := time.Now()
	limits := l.deliveryLimits(now)
	do := s.delivery.Handle(e, now, limits)
	if s.delivery.State != before {
		l.soon(s.delivery.Until)
	}
	switch do {
	case phase.Enqueue:
		l.queue = append(l.queue, r)
	case phase.Scan:
		r.watched.limit = limits.Scanning
		l.scanBefore(r, s.proof)
	case phase.DeliverLate:
		s.late = tooLate(r.watched.limit)
		l.attach(r.watched, s.proof)
		l.deliverWaiting(r)
	case phase.Deliver:
		l.deliverWaiting(r)
	case phase.Discard:
		s.waiting = nil
	}
}

// scanFirst goes on with signals that the program handles, or that do not wait for that
// any longer: the fd scan comes before them.
func (l *Loop) scanFirst(r *run) {
	switch {
	case r.stop.proof == event.ProofNone:
		l.advance(r, phase.NoScan)
	case len(l.queue) == 0 && l.fewScansDue():
		l.advance(r, phase.QueueFree)
	default:
		l.advance(r, phase.QueueFull)
	}
}

// fewScansDue reports whether the next run may get its signals.
func (l *Loop) fewScansDue() bool { return !l.more && l.lookers.backlog() < mostDue }

// dequeue goes on with the runs whose fd scan is next, or that have waited for too long.
func (l *Loop) dequeue(now time.Time) {
	for len(l.queue) > 0 {
		r := l.queue[0]
		d := r.stop.delivery
		queued := d.State == phase.Queued
		if queued && now.Before(d.Until) && !l.fewScansDue() {
			return
		}
		l.queue = l.queue[1:]
		switch {
		case !queued: // an escalation or the deadline came before
		case r.phase.MainEnded():
			l.advance(r, phase.MainGone)
		default:
			l.advance(r, phase.Dequeued)
		}
	}
}

// tendDelivery goes on with a delivery by the time alone. It says when it wants to be
// called again; zero: never.
func (l *Loop) tendDelivery(r *run, now time.Time) time.Time {
	s := &r.stop
	switch s.delivery.State {
	case phase.Unhandled:
		if l.handles(r, s.waiting[0].signal, now) {
			l.scanFirst(r)
		} else {
			s.delivery.Until = earlier(now.Add(handlesEvery), s.at.Add(r.handling.limit))
		}
	case phase.Scanning:
		if !now.Before(s.delivery.Until) {
			l.advance(r, phase.ScanLate)
		}
	}
	if !s.postponed.IsZero() && !now.Before(s.postponed) {
		s.postponed = time.Time{}
		l.deliver(r, s.last)
	}
	if at := s.postponed; !at.IsZero() && (s.delivery.Until.IsZero() || at.Before(s.delivery.Until)) {
		return at
	}
	return s.delivery.Until
}

// deliverWaiting sends the signals that waited.
func (l *Loop) deliverWaiting(r *run) {
	waiting := r.stop.waiting
	r.stop.waiting = nil
	for _, d := range waiting {
		l.deliver(r, d)
	}
}

// deliver sends a signal to a run.
func (l *Loop) deliver(r *run, d delivery) {
	if r.phase.MainEnded() { // it ended while it was scanned
		if d.rung > 0 {
			l.sendStep(r, d, moment{})
		}
		return
	}
	if d.signal == unix.SIGKILL {
		if now := time.Now(); l.inFirstMoment(r, now) {
			r.stop.postponed, r.stop.last = r.stop.toldAt.Add(firstMoment), d
			l.soon(r.stop.postponed)
			return
		}
		r.stop.killed = true
	}
	var at moment
	if d.rung > 0 && r.scope != lifecycle.ScopeProcess {
		at = thisMoment()
	}
	err := l.kill(r, d)
	l.report(Signalled{Process: r.id, Pid: r.pid, Signal: d.signal, Step: d.rung, Err: err})
	if d.rung == 0 {
		return
	}
	l.sendStep(r, d, at)
	if d.signal == unix.SIGKILL && len(r.tree.steps) > 1 && !r.tree.leave {
		l.killBelow(r) // a descendant may hold the main process in a ptrace stop of its own
	}
	if d.signal != unix.SIGKILL {
		if r.stop.toldAt.IsZero() {
			r.stop.toldAt = time.Now()
		}
		r.stop.signalled()
		l.continueDue(r)
	}
}

// forward passes on a signal that is no step. Before SIGCONT a run in the background gets
// the terminal back. A signal of the terminal that stops a run stops us too: the shell
// waits for that.
func (l *Loop) forward(r *run, came, sig unix.Signal) {
	if came == unix.SIGCONT {
		l.giveTerminal(r)
	}
	switch {
	case sig == 0: // swallowed
	case r.stop.delivery.State.Waits(): // not before what came earlier
		r.stop.waiting = append(r.stop.waiting, delivery{signal: sig})
	default:
		l.deliver(r, delivery{signal: sig})
	}
	if (came == unix.SIGTSTP || came == unix.SIGTTIN || came == unix.SIGTTOU) && os.Getpid() != 1 {
		_ = unix.Kill(os.Getpid(), unix.SIGSTOP)
	}
}
