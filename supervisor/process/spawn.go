package process

import (
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"tp0/supervisor/event"
	"tp0/supervisor/lifecycle"
	"tp0/supervisor/process/phase"
	"tp0/supervisor/process/proof"
	"tp0/supervisor/process/ptrace"
	"tp0/supervisor/process/spawn"
	"tp0/supervisor/program"
)

// Spec is a process to start, and how the loop treats it.
type Spec struct {
	spawn.Spec
	// KillHold is how long the first signal of a stop waits at most until the process
	// handles it. Probed says that MarkReady will be called once it does.
	KillHold time.Duration
	Probed   bool
	Scope    lifecycle.Scope // the processes that its signals reach
	// LeaveDescendants does not stop descendants that outlive the main process: nothing waits
	// for them.
	LeaveDescendants bool
	TraceFrom        event.Proof // Exact traces from the spawn on, else from the stop on
	// Revoked, once it is set, makes a spawn that is not forked yet fail
	// with ErrRevoked. May be nil.
	Revoked *atomic.Bool
}

// fork forks a prepared process. own are the duplicates of its descriptors; err says why there
// are none.
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
			l.report(SpawnFailed{Process: id, Err: err})
			return
		}
		l.reportNotExecuted(id, s, err)
		return
	}
	c := &childProcess{
		id: id, name: s.Name, pid: pid, scope: s.Scope, traceFrom: s.TraceFrom,
		sockets:  p.Inherited,
		terminal: s.Terminal && !s.Session, tree: newTreeState(mark, s.LeaveDescendants),
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

// reportNotExecuted reports a spawn whose fork or execve failed. Another goroutine finds out what
// the error hides, because it reads the program.
func (l *Loop) reportNotExecuted(id ID, s Spec, err error) {
	l.workers.goroutines.Go(func() {
		if why := program.Explain(err, s.Path, s.Dir, s.Env); why != "" {
			err = fmt.Errorf("%w: %s", err, strings.TrimSuffix(why, "."))
		}
		l.commands.Put(func() { l.report(SpawnFailed{Process: id, Err: err}) })
	})
}

// reportSpawned reports a child process that executed its command.
func (l *Loop) reportSpawned(c *childProcess) {
	l.report(Spawned{Process: c.id, Pid: c.pid, At: c.handling.startedAt})
}

// closeBarrier ends the wait for the execve of a child process.
func (l *Loop) closeBarrier(c *childProcess) {
	if b := c.barrier; b != nil { // the goroutine of awaitExec waits for it
		l.workers.goroutines.Go(b.Cancel)
	}
}

// awaitExec lets a process execute its command. Another goroutine waits until it has.
func (l *Loop) awaitExec(c *childProcess) {
	barrier := c.barrier
	l.workers.goroutines.Go(func() {
		failure := barrier.Release()
		l.commands.Put(func() {
			afterExec := c.afterExec
			// For ErrNotExecuted reportExit finds the reason in the exit status.
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

// afterExecve calls do once a process has executed its command. Before that the process executes
// the start verb of package spawn, which would not pass a signal on. SIGKILL does not wait.
func (l *Loop) afterExecve(c *childProcess, sig unix.Signal, do func()) {
	if c.phase.Unexecuted() && sig != unix.SIGKILL {
		c.afterExec = append(c.afterExec, do)
		return
	}
	do()
}

// attachAtSpawn traces a process from before its first instruction, so that the descriptors are
// proven even if it ends outside a stop. If the kernel refuses, the stop tries again.
func (l *Loop) attachAtSpawn(c *childProcess) {
	if c.traceFrom != event.ProofExact {
		return
	}
	if ptrace.Attach(c.pid, spawnOptions) != nil {
		return
	}
	l.observeMain(c)
	l.addTracee(c.main, c.pid)
	l.handleEvent(c.main, proof.Seized, stopCause{})
}

// setMark gives the mark with a number to the processes that the loop forks from now on. 0
// takes the mark back. The limit is that of the whole supervisor, but only the loop forks. It
// is taken back after the fork: pam_limits gives a process the limits of pid 1, which the
// supervisor may be.
func (l *Loop) setMark(number uint64) {
	m := &l.trees.marks
	if !m.usable {
		return
	}
	limit := unix.Rlimit{Cur: m.limitFor(number), Max: m.hard}
	if unix.Setrlimit(unix.RLIMIT_LOCKS, &limit) != nil {
		m.usable = false // process groups and sessions have to do
	}
}
