package process

import (
	"context"
	"time"

	"golang.org/x/sys/unix"

	"tp0/supervisor/event"
	"tp0/supervisor/lifecycle"
	"tp0/supervisor/procdir"
	"tp0/supervisor/process/phase"
	"tp0/supervisor/process/spawn"
)

// Spawn starts a child process. [Spawned] or [SpawnFailed] follows. The caller may close the
// descriptors of the spec when Spawn returns. Dozens of spawns may be in progress at a time,
// but not hundreds.
func (l *Loop) Spawn(id ID, s Spec) {
	if procdir.Fault() != nil {
		s.TraceFrom = event.ProofNone
	}
	s.Barrier = s.Barrier || s.TraceFrom == event.ProofExact
	p, err := spawn.Prepare(s.Spec, l.opt.FDs)
	if err != nil {
		l.commands.Put(func() { l.report(SpawnFailed{Process: id, Err: err}) })
		return
	}
	defer p.CloseChildEnd()
	l.withFDs(p.Files(), func(own []int, err error) { l.fork(id, s, p, own, err) })
}

// Responds reports whether the loop executes a command before ctx ends.
func (l *Loop) Responds(ctx context.Context) bool {
	answer := make(chan struct{})
	l.commands.Put(func() { close(answer) })
	select {
	case <-answer:
		return true
	case <-l.quit:
		return true // a closed loop is no fault
	case <-ctx.Done():
		return false
	}
}

// Signal sends a signal to a child process as a step of its stop sequence. It does nothing if
// the process is over or was not spawned. The first step starts the fd scan that proof asks
// for. [Signalled] follows. The signal 0 starts the stop and asks for nothing (kill(2)).
func (l *Loop) Signal(id ID, sig unix.Signal, step int, proof event.Proof) {
	send := func(c *childProcess) {
		l.afterExecve(c, sig, func() { l.sendStep(c, pendingSignal{sig, step}, proof) })
	}
	l.doWhileMainRuns(id, send, func() {
		if c := l.processes[id]; c != nil {
			send(c)
		}
	})
}

// Forward passes a signal on to a child process: sig in place of came, the signal that the
// supervisor got. 0 passes none on. It is not a step of the stop sequence and starts no stop.
// [Signalled] follows.
func (l *Loop) Forward(id ID, came, sig unix.Signal) {
	forward := func(c *childProcess) {
		l.afterExecve(c, sig, func() { l.forward(c, came, sig) })
	}
	l.doWhileMainRuns(id, forward, func() {
		if c := l.processes[id]; c != nil && !c.phase.MainEnded() {
			forward(c)
		}
	})
}

// doWhileMainRuns calls do beside the loop if the main process of a child process has not ended.
// Else the loop carries out the command later.
func (l *Loop) doWhileMainRuns(id ID, do func(*childProcess), later func()) {
	if !l.turnBeside(func() bool {
		c := l.processes[id]
		if c == nil || c.phase.MainEnded() {
			return false
		}
		do(c)
		return true
	}) {
		l.commands.Put(later)
	}
}

// Reload sends a main process the signal that makes it read its files again, unless the signal
// would end it. It does nothing after the start of a stop. [Signalled] or [Withheld]
// follows.
func (l *Loop) Reload(id ID, sig unix.Signal) {
	l.commands.Put(func() {
		if c := l.processes[id]; c != nil && !c.phase.MainEnded() {
			l.afterExecve(c, sig, func() { l.reload(c, sig) })
		}
	})
}

// Send sends a signal to a main process because a user asks for it. It is not a step of the stop
// sequence. [Signalled] follows.
func (l *Loop) Send(id ID, sig unix.Signal) {
	l.commands.Put(func() {
		if c := l.processes[id]; c != nil && !c.phase.MainEnded() {
			l.afterExecve(c, sig, func() { l.send(c, sig) })
		}
	})
}

// MarkReady records that a child process is ready. Its program has installed its signal handlers
// then.
func (l *Loop) MarkReady(id ID) {
	l.commands.Put(func() {
		if c := l.processes[id]; c != nil {
			c.handling.ready = true
		}
	})
}

// SetScope changes the processes that the signals of a child process reach from now on, and
// whether its descendants may outlive it.
func (l *Loop) SetScope(id ID, scope lifecycle.Scope, leave bool) {
	l.commands.Put(func() {
		if c := l.processes[id]; c != nil {
			c.scope = scope
			if !c.phase.MainEnded() { // else the decision was made at its end
				c.tree.leave = leave
			}
		}
	})
}

// SetMainProcess names the process that becomes the main process when the current one ends, as
// MAINPID of sd_notify(3). By then it must be in the process tree, and a child of the
// supervisor: its parent is the current main process, or has ended. [MainChanged] follows. Any
// other process ends as a survivor.
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

// HandOver makes a survivor the main process: the process named it as SetMainProcess does, but the
// loop had reported the end of the process before. [MainChanged] or [NotHandedOver] follows.
func (l *Loop) HandOver(id ID, pid int) {
	l.commands.Put(func() {
		if c := l.processes[id]; c != nil && c.phase == phase.Outlived {
			c.successor = pid
			if l.promoteSuccessor(c) {
				return
			}
		}
		l.report(NotHandedOver{Process: id})
	})
}

// SetDeadline sets the deadline of the final stop, which has started. From now on each fd scan
// gets a share of the time that is left; see [proof.Budget].
func (l *Loop) SetDeadline(t time.Time) {
	set := func() bool {
		now := time.Now()
		l.budget.End = t
		for _, o := range l.observations {
			o.machine.SetBudget(l.budget, now)
		}
		begun := len(l.observations) > 0
		for _, c := range l.processes { // stops in progress
			l.shortenWait(c, now)
			begun = begun || c.stop.started()
		}
		if begun {
			l.schedule(now)
		}
		return true
	}
	if !l.turnBeside(set) {
		l.commands.Put(func() { set() })
	}
}

// Diagnose determines what the threads of a child process do after it got sig. [Diagnosed]
// follows unless the process ends first.
func (l *Loop) Diagnose(id ID, sig unix.Signal) { l.query(id, sig, l.diagnose) }

// Inspect scans the descriptors of a child process that is ready, and reads the disposition of
// sig, its stop signal. [Inspected] follows unless the process ends or its stop starts first.
func (l *Loop) Inspect(id ID, sig unix.Signal) { l.query(id, sig, l.inspect) }

// query runs what on the loop's thread for a child process, if it exists.
func (l *Loop) query(id ID, sig unix.Signal, what func(*childProcess, unix.Signal)) {
	l.commands.Put(func() {
		if c := l.processes[id]; c != nil {
			what(c, sig)
		}
	})
}

// CleanUpOrphans ends all processes below the supervisor: an fd scan as proof asks and SIGTERM
// now, SIGKILL at killAt. It is over at giveUp at the latest. [OrphanCleanupDone] follows. Call
// it when no child process is left that can be stopped. Nothing may be spawned after it.
func (l *Loop) CleanUpOrphans(killAt, giveUp time.Time, proof event.Proof) {
	if !l.turnBeside(l.endCleanupAtOnce) {
		l.commands.Put(func() { l.startOrphanCleanup(killAt, giveUp, proof) })
	}
}
