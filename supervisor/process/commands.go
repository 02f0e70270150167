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
		l.commands.Put(func() { l.report(SpawnFailed{Process: id, Err: err}) })
		return
	}
	defer p.CloseChildEnd()
	l.withFDs(p.Files(), func(own []int, err error) { l.fork(id, s, p, own, err) })
}

// Responds reports whether the loop carries out a command before ctx ends.
func (l *Loop) Responds(ctx context.Context) bool {
	answer := make(chan struct{})
	l.commands.Put(func() { close(answer) })
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
	l.commands.Put(func() {
		if c := l.processes[id]; c != nil {
			l.afterExecve(c, sig, func() { l.sendStep(c, pendingSignal{sig, rung}, proof) })
		}
	})
}

// Forward passes on to a run a signal that came to us, or another one in its
// place; 0: none. It is no step of the stop sequence, and no stop begins. [Signalled] follows.
func (l *Loop) Forward(id ID, came, sig unix.Signal) {
	l.commands.Put(func() {
		if c := l.processes[id]; c != nil && !c.phase.MainEnded() {
			l.afterExecve(c, sig, func() { l.forward(c, came, sig) })
		}
	})
}

// MarkReady tells that a run has proved that it serves. Its program handles signals then.
func (l *Loop) MarkReady(id ID) {
	l.commands.Put(func() {
		if c := l.processes[id]; c != nil {
			c.handling.ready = true
		}
	})
}

// SetScope changes whom the signals of a run reach from now on, and whether its
// descendants may outlive it.
func (l *Loop) SetScope(id ID, scope lifecycle.Scope, leave bool) {
	l.commands.Put(func() {
		if c := l.processes[id]; c != nil {
			c.scope = scope
			if !c.phase.MainEnded() { // else the decision is made
				c.tree.leave = leave
			}
		}
	})
}

// SetMainProcess names the process that is the main process of a run once the present
// one has ended, as sd_notify(3) has it with MAINPID. It must be in the process tree
// of the run by then, and our child: its parent is the present main process, or has
// ended. [MainChanged] follows then; a process that is neither ends as a survivor.
func (l *Loop) SetMainProcess(id ID, pid int) {
	l.commands.Put(func() {
		if c := l.processes[id]; c != nil && !c.phase.MainEnded() {
			c.successor = pid
			if pid == c.pid {
				c.successor = 0
			}
		}
	})
}

// Bounds of what is scanned and traced in a stop. A child may have any number of descriptors and
// of descendants; to see all of them must not take the time that others need to end in.

// SetDeadline tells when the final stop that has begun has to be over. From now on each fd scan has a
// share of the time that is left; see [proof.Budget].
func (l *Loop) SetDeadline(t time.Time) {
	l.commands.Put(func() {
		now := time.Now()
		l.budget.End = t
		for _, o := range l.observed {
			o.machine.SetBudget(l.budget, now)
		}
		for _, c := range l.processes { // those that are stopped already
			l.shortenWait(c, now)
		}
		l.schedule(now)
	})
}

// Diagnose finds out what the threads of a run do that was sent sig a while ago.
// [Diagnosed] follows unless the run ends first.
func (l *Loop) Diagnose(id ID, sig unix.Signal) { l.query(id, sig, l.diagnose) }

// Inspect scans the descriptors of a run that serves, and finds out what the run does about
// sig, which is to stop it. [Inspected] follows unless the run ends or its stop begins first.
func (l *Loop) Inspect(id ID, sig unix.Signal) { l.query(id, sig, l.inspect) }

func (l *Loop) query(id ID, sig unix.Signal, what func(*childProcess, unix.Signal)) {
	l.commands.Put(func() {
		if c := l.processes[id]; c != nil {
			what(c, sig)
		}
	})
}

// CleanUpOrphans ends whatever is left below us: SIGTERM now, after an fd scan as proof
// asks, SIGKILL at killAt, and at giveUp it is over. [OrphanCleanupDone] follows. Call it when no
// run is left, or none that could be ended; nothing may be spawned after it.
func (l *Loop) CleanUpOrphans(killAt, giveUp time.Time, proof event.Proof) {
	l.commands.Put(func() { l.startOrphanCleanup(killAt, giveUp, proof) })
}
