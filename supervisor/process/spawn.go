package process

import (
	"errors"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"tp0/supervisor/event"
	"tp0/supervisor/lifecycle"
	"tp0/supervisor/process/phase"
	"tp0/supervisor/process/proof"
	"tp0/supervisor/process/spawn"
)

// Spec is a process to start: what it begins with, and how the loop treats it.
type Spec struct {
	spawn.Spec
	// KillHold is how long the first signal of a stop waits at most until the process
	// handles it. Probed says that Serves will be called once it does.
	KillHold time.Duration
	Probed   bool
	Scope    lifecycle.Scope // which processes its signals reach
	// LeaveDescendants lets descendants that outlive the main process run on: nothing waits
	// for them.
	LeaveDescendants bool
	TraceFrom        event.Proof // Exact: traced from its first instruction on; else from its stop on
	// Revoked, once it is set, makes a spawn that still waits for its turn fail
	// with ErrRevoked. May be nil.
	Revoked *atomic.Bool
}

// ErrRevoked is the error of a spawn that was revoked before its fork.
var ErrRevoked = errors.New("a stop began")

// fork forks what was prepared for a spec. own are the descriptors that were
// handed over for it; err says why they were not.
func (l *Loop) fork(id ID, s Spec, p *spawn.Prepared, own []int, err error) {
	pid, mark := 0, uint64(0)
	switch {
	case err != nil:
	case s.Revoked != nil && s.Revoked.Load():
		err = ErrRevoked
	default:
		mark = l.trees.newMark()
		l.setMark(mark)
		pid, err = p.Fork(own, l.opt.Inherit)
		l.setMark(0)
	}
	if err != nil {
		if p.Barrier != nil {
			l.workers.goroutines.Go(p.Barrier.Close)
		}
		l.report(SpawnFailed{Process: id, Err: err})
		return
	}
	c := &childProcess{
		id: id, name: s.Name, pid: pid, scope: s.Scope, traceFrom: s.TraceFrom, sockets: p.Inherited,
		terminal: s.Terminal && !s.Session, tree: newProcessTree(mark, s.LeaveDescendants),
		handling: handling{startedAt: time.Now(), limit: s.KillHold, probed: s.Probed},
		phase:    phase.Running,
	}
	l.add(c)
	l.registerTree(c)
	if p.Barrier == nil {
		l.scanNewProgram(s.Path, pid)
		l.reportSpawned(c)
		return
	}
	c.phase, c.barrier = phase.AtBarrier, p.Barrier
	l.attachAtSpawn(c)
	l.giveTerminal(c)
	l.awaitExec(c)
}

// reportSpawned tells of a run once it executed its command.
func (l *Loop) reportSpawned(c *childProcess) {
	l.report(Spawned{Process: c.id, Pid: c.pid, At: c.handling.startedAt})
}

// closeBarrier gives up what the loop holds for a run.
func (l *Loop) closeBarrier(c *childProcess) {
	if b := c.barrier; b != nil { // whoever waits for the exec need not any more
		l.workers.goroutines.Go(b.Cancel)
	}
}

// awaitExec lets a process execute its command, and waits beside the loop until
// it has.
func (l *Loop) awaitExec(c *childProcess) {
	barrier := c.barrier
	l.workers.goroutines.Go(func() {
		failure := barrier.Release()
		l.commands.Put(func() {
			afterExec := c.afterExec
			// A failure ErrNotExecuted is looked into once it is known how it ended: settle.
			c.execution = execution{failure: failure}
			c.phase.Handle(phase.Executed)
			if failure == nil {
				l.reportSpawned(c)
				for _, do := range afterExec {
					if !c.phase.MainEnded() {
						do()
					}
				}
			}
			l.reportExit(c)
		})
	})
}

// afterExecve does something to a process when it has executed its command: a
// signal to the start verb would not reach the command. SIGKILL does not wait.
func (l *Loop) afterExecve(c *childProcess, sig unix.Signal, do func()) {
	if c.phase.Unexecuted() && sig != unix.SIGKILL {
		c.afterExec = append(c.afterExec, do)
		return
	}
	do()
}

// attachAtSpawn traces a process from before its first instruction, so that an
// end by itself is judged too. Where the kernel refuses, the stop tries again.
func (l *Loop) attachAtSpawn(c *childProcess) {
	if c.traceFrom != event.ProofExact {
		return
	}
	if ptraceSeize(c.pid, spawnOptions) != nil {
		return
	}
	l.observeMain(c)
	l.addTracee(c.observed, c.pid)
	l.handleEvent(c.observed, proof.Seized, stopCause{})
}

// setMark gives the processes that this thread forks from now on the mark of a
// tree; 0 stands for none. The limit is that of our whole process, but nobody
// else forks. It is taken back after the fork: pam_limits gives a process the
// limits of pid 1, which we may be.
func (l *Loop) setMark(number uint64) {
	m := &l.trees.marks
	if !m.usable {
		return
	}
	limit := unix.Rlimit{Cur: m.limitFor(number), Max: m.hard}
	if unix.Setrlimit(unix.RLIMIT_LOCKS, &limit) != nil {
		m.usable = false // groups and sessions tell what they can
	}
}
