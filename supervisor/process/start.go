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

// hand has the loop do something with duplicates of descriptors, which it closes
// afterwards. The caller's own may be closed as soon as hand returns. It does not
// wait; do gets an error where the handover is full.
func (l *Loop) hand(files []int, do func(own []int, err error)) {
	l.handover.Give(files, func(t spawn.Transfer) {
		l.cmds.Put(func() {
			own, err := l.handover.Take(t)
			do(own, err)
			for _, fd := range own {
				_ = unix.Close(fd)
			}
		})
	})
}

// execution is what belongs to the phases at the barrier, and the result.
type execution struct {
	barrier   *spawn.Barrier // nil: there is none, or the result is known
	afterExec []func()       // what waits for the result
	failure   error          // why the command could not be executed
}

// awaitExec lets a process execute its command, and waits beside the loop until
// it has.
func (l *Loop) awaitExec(r *run) {
	barrier := r.barrier
	l.lookers.all.Go(func() {
		failure := barrier.Release()
		l.cmds.Put(func() {
			afterExec := r.afterExec
			// A failure ErrNotExecuted is looked into once it is known how it ended: settle.
			r.execution = execution{failure: failure}
			r.phase.Handle(phase.Executed)
			if failure == nil {
				l.spawned(r)
				for _, do := range afterExec {
					if !r.phase.MainEnded() {
						do()
					}
				}
			}
			l.settle(r)
		})
	})
}

// onceExecuted does something to a process when it has executed its command: a
// signal to the start verb would not reach the command. SIGKILL does not wait.
func (l *Loop) onceExecuted(r *run, sig unix.Signal, do func()) {
	if r.phase.Unexecuted() && sig != unix.SIGKILL {
		r.afterExec = append(r.afterExec, do)
		return
	}
	do()
}

// spawnOptions are for a process that is traced from its spawn on: its threads
// are traced, but what it forks is not before its stop.
const spawnOptions = unix.PTRACE_O_TRACEEXIT | unix.PTRACE_O_TRACEEXEC | unix.PTRACE_O_TRACECLONE

// attachAtSpawn traces a process from before its first instruction, so that an
// end by itself is judged too. Where the kernel refuses, the stop tries again.
func (l *Loop) attachAtSpawn(r *run) {
	if r.watch != event.ProofExact {
		return
	}
	if ptraceSeize(r.pid, spawnOptions) != nil {
		return
	}
	l.watchRun(r)
	l.traces(r.watched, r.pid)
	l.feed(r.watched, proof.Seized, cause{})
}

// watchRun begins to watch a run's own process.
func (l *Loop) watchRun(r *run) {
	r.watched = l.watch(&watched{run: r, pid: r.pid, comm: r.name})
}
