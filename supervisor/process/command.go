package process

import (
	"context"
	"time"

	"golang.org/x/sys/unix"

	"tp0/supervisor/event"
	"tp0/supervisor/lifecycle"
	"tp0/supervisor/process/spawn"
)

// Spawn starts a run. [Spawned] or [SpawnFailed] follows. The descriptors of the
// spec may be closed as soon as it returns. Some dozens of spawns may be under way at a
// time, but no hundreds.
func (l *Loop) Spawn(id ID, s Spec) {
	s.Barrier = s.Barrier || s.TraceFrom == event.ProofExact
	p, err := spawn.Prepare(s.Spec, l.opt.FDs)
	if err != nil {
		l.cmds.Put(func() { l.report(SpawnFailed{Process: id, Err: err}) })
		return
	}
	defer p.CloseChildEnd()
	l.hand(p.Files(), func(own []int, err error) { l.spawn(id, s, p, own, err) })
}

// Responds reports whether the loop carries out a command before ctx ends.
func (l *Loop) Responds(ctx context.Context) bool {
	answer := make(chan struct{})
	l.cmds.Put(func() { close(answer) })
	select {
	case <-answer:
		return true
	case <-l.quit:
		return true // it is over, as it should be
	case <-ctx.Done():
		return false
	}
}

// Signal sends a signal to a run as a step of its stop sequence. It does nothing to a
// run that is over, or that could not be spawned. The first one starts the fd scan of
// the run, as proof asks. [Signalled] follows.
func (l *Loop) Signal(id ID, sig unix.Signal, rung int, proof event.Proof) {
	l.cmds.Put(func() {
		if r := l.runs[id]; r != nil {
			l.onceExecuted(r, sig, func() { l.signal(r, delivery{sig, rung}, proof) })
		}
	})
}

// Forward passes on to a run a signal that came to us, or another one in its
// place; 0: none. It is no step of the stop sequence, and no stop begins. [Signalled] follows.
func (l *Loop) Forward(id ID, came, sig unix.Signal) {
	l.cmds.Put(func() {
		if r := l.runs[id]; r != nil && !r.phase.MainEnded() {
			l.onceExecuted(r, sig, func() { l.forward(r, came, sig) })
		}
	})
}

// MarkReady tells that a run has proved that it serves. Its program handles signals then.
func (l *Loop) MarkReady(id ID) {
	l.cmds.Put(func() {
		if r := l.runs[id]; r != nil {
			r.handling.serves = true
		}
	})
}

// SetScope changes whom the signals of a run reach from now on, and whether its
// descendants may outlive it.
func (l *Loop) SetScope(id ID, scope lifecycle.Scope, leave bool) {
	l.cmds.Put(func() {
		if r := l.runs[id]; r != nil {
			r.scope = scope
			if !r.phase.MainEnded() { // else the decision is made
				r.tree.leave = leave
			}
		}
	})
}

// Diagnose finds out what the threads of a run do that was sent sig a while ago.
// [Diagnosed] follows unless the run ends first.
func (l *Loop) Diagnose(id ID, sig unix.Signal) { l.ask(id, sig, l.diagnose) }

// Inspect scans the descriptors of a run that serves, and finds out what the run does about
// sig, which is to stop it. [Inspected] follows unless the run ends or its stop begins first.
func (l *Loop) Inspect(id ID, sig unix.Signal) { l.ask(id, sig, l.glance) }

func (l *Loop) ask(id ID, sig unix.Signal, what func(*run, unix.Signal)) {
	l.cmds.Put(func() {
		if r := l.runs[id]; r != nil {
			what(r, sig)
		}
	})
}

// CleanUpOrphans ends whatever is left below us: SIGTERM now, after an fd scan as proof
// asks, SIGKILL at killAt, and at giveUp it is over. [OrphanCleanupDone] follows. Call it when no
// run is left, or none that could be ended; nothing may be spawned after it.
func (l *Loop) CleanUpOrphans(killAt, giveUp time.Time, proof event.Proof) {
	l.cmds.Put(func() { l.startSweep(killAt, giveUp, proof) })
}
