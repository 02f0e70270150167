package process

import (
	"errors"
	"time"

	"tp0/supervisor/event"
	"tp0/supervisor/lifecycle"
	"tp0/supervisor/process/phase"
	"tp0/supervisor/process/proof"
	"tp0/supervisor/process/spawn"
	"tp0/supervisor/procfs"
)

// run is one process of a child, from its fork until nothing is left of its process
// tree. The loop's thread owns it.
type run struct {
	id       ID
	name     string
	pid      int // of the main process; ours to signal until it is reaped: no other process has it
	scope    lifecycle.Scope
	watch    event.Proof // from its spawn on
	sockets  []procfs.FD // that were handed on to it
	terminal bool        // its process group is in the foreground of our terminal

	phase  phase.Phase
	exited Exited // how the main process ended; zero before
	execution
	handling handling
	tree     runTree
	// successor is the process that takes over when the main process ends; 0: none.
	successor int
	stop      stop
	watched   *watched // the main process; nil: it is not watched
	glances   int      // under way
}

// spawn forks what was prepared for a spec. own are the descriptors that were
// handed over for it; err says why they were not.
func (l *Loop) spawn(id ID, s Spec, p *spawn.Prepared, own []int, err error) {
	pid, mark := 0, uint64(0)
	switch {
	case err != nil:
	case s.Revoked != nil && s.Revoked.Load():
		err = ErrRevoked
	default:
		mark = l.trees.newMark()
		l.mark(mark)
		pid, err = p.Fork(own, l.opt.Inherit)
		l.mark(0)
	}
	if err != nil {
		if p.Barrier != nil {
			l.lookers.all.Go(p.Barrier.Close)
		}
		l.report(SpawnFailed{Process: id, Err: err})
		return
	}
	r := &run{
		id: id, name: s.Name, pid: pid, scope: s.Scope, watch: s.TraceFrom, sockets: p.Inherited,
		terminal: s.Terminal && !s.Session, tree: newRunTree(mark, s.LeaveDescendants),
		handling: handling{since: time.Now(), limit: s.KillHold, probed: s.Probed},
		phase:    phase.Running,
	}
	l.add(r)
	l.beginTree(r)
	if p.Barrier == nil {
		l.meet(s.Path, pid)
		l.spawned(r)
		return
	}
	r.phase, r.barrier = phase.AtBarrier, p.Barrier
	l.attachAtSpawn(r)
	l.giveTerminal(r)
	l.awaitExec(r)
}

// spawned tells of a run once it executed its command.
func (l *Loop) spawned(r *run) { l.report(Spawned{Process: r.id, Pid: r.pid, At: r.handling.since}) }

// release gives up what the loop holds for a run.
func (l *Loop) release(r *run) {
	if b := r.barrier; b != nil { // whoever waits for the exec need not any more
		l.lookers.all.Go(b.Cancel)
	}
}

// settle reports the end of a main process once no scan of it is under way.
func (l *Loop) settle(r *run) {
	w := r.watched
	if r.phase != phase.Listed {
		return
	}
	if !l.hurried() && r.glances > 0 || w != nil && !l.concluded(w) {
		return
	}
	if r.tree.alive == 0 || r.tree.leave {
		r.phase.Handle(phase.NothingLeft)
	} else {
		r.phase.Handle(phase.Survived)
	}
	r.exited.FDs = FDResult{Proof: event.ProofNone, Reason: "it ended by itself"}
	if w != nil {
		r.exited.FDs = w.result()
		l.feed(w, proof.Reaped, cause{})
		if len(l.watches) > 0 {
			l.soon(time.Now().Add(leaveAfter))
		}
		r.exited.Threads, r.exited.ThreadsAtEnd = w.threads, w.threadsAtEnd
		r.exited.Processes, r.exited.Forked = r.stop.processes, r.stop.forked
		r.exited.Untraced = len(w.extent.untraced)
	}
	if !r.tree.leave {
		for _, a := range l.survivors(r) {
			r.exited.Survivors = append(r.exited.Survivors, Survivor{a.stat.Pid, a.stat.Comm})
		}
	}
	if r.over() {
		l.endRun(r)
	}
	if errors.Is(r.failure, spawn.ErrNotExecuted) {
		r.failure = r.notExecuted()
	}
	if r.failure != nil { // as if the fork had failed
		l.report(SpawnFailed{Process: r.id, Err: r.failure})
		return
	}
	l.report(r.exited)
	if !r.over() {
		l.sendSurvivors(r)
	}
}
