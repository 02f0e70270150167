package process

import (
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"tp0/supervisor/event"
	"tp0/supervisor/procdir"
	"tp0/supervisor/process/phase"
	"tp0/supervisor/process/proof"
	"tp0/supervisor/process/spawn"
)

// reportExit reports the end of a main process, once no scan of it is running.
func (l *Loop) reportExit(c *childProcess) {
	o := c.main
	if c.phase != phase.Listed {
		return
	}
	if !l.scansGivenUp() && c.inspections > 0 || o != nil && !l.tryResult(o) {
		return
	}
	if c.tree.survivorCount == 0 || c.tree.leave {
		c.phase.Handle(phase.NothingToWaitFor)
	} else {
		c.phase.Handle(phase.Survived)
	}
	c.exited.FDs = FDResult{Proof: event.ProofNone, Reason: "it ended by itself"}
	if o != nil {
		c.exited.FDs = o.result()
		if fault := procdir.Fault(); fault != nil {
			c.exited.FDs.Reason = fault.Error()
		}
		l.handleEvent(o, proof.Reaped, stopCause{})
		if len(l.observations) > 0 {
			l.schedule(time.Now().Add(detachAfter))
		}
		c.exited.Threads, c.exited.ThreadsAtEnd = o.threads, o.threadsAtEnd
		c.exited.Processes, c.exited.Forked = c.stop.processes, c.stop.forked
		c.exited.Untraced = len(o.traceSet.untraced)
	}
	if !c.tree.leave {
		for _, a := range l.survivors(c) {
			c.exited.Survivors = append(c.exited.Survivors, Survivor{a.stat.Pid, a.stat.Comm})
		}
	}
	if c.isOver() {
		l.forgetProcess(c)
	}
	if errors.Is(c.failure, spawn.ErrNotExecuted) {
		c.failure = c.startVerbFailure()
	}
	if c.failure != nil { // as after a failed fork
		l.report(SpawnFailed{Process: c.id, Err: c.failure})
		return
	}
	l.report(c.exited)
	if !c.isOver() {
		l.sendSurvivors(c)
	}
}

// startVerbFailure says why the start verb died before it executed the command.
func (c *childProcess) startVerbFailure() error {
	const crashed = 2 // the exit code of a Go program that gets no thread or memory
	switch exit := c.exited.Exit; {
	case c.exited.Killed:
		return ErrRevoked
	case exit.Code == crashed:
		return fmt.Errorf("%w: it was refused a thread or memory: %w", spawn.ErrNotExecuted,
			unix.EAGAIN)
	case exit.Signal != "":
		return fmt.Errorf("%w: it ended by %s", spawn.ErrNotExecuted, exit.Signal)
	default:
		return fmt.Errorf("%w: it exited with code %d", spawn.ErrNotExecuted, exit.Code)
	}
}

// checkTrees determines after a round of reaping which child processes are over, and sends the
// survivors of the others the current step.
func (l *Loop) checkTrees() {
	t := &l.trees
	if !t.scanDue {
		return
	}
	t.scanDue = false
	if len(t.endedSinceListing) == 0 && len(t.changedSinceListing) == 0 {
		return
	}
	l.scanAdopted()
	children := append(t.endedSinceListing, t.changedSinceListing...)
	t.endedSinceListing, t.changedSinceListing = nil, nil
	for _, c := range children {
		l.checkTree(c)
	}
}

// checkTree continues with a child process whose main process has ended.
func (l *Loop) checkTree(c *childProcess) {
	if c.phase.Unlisted() {
		if l.promoteSuccessor(c) {
			return
		}
		c.phase.Handle(phase.TreeListed)
		l.reportExit(c)
	}
	switch {
	case c.phase != phase.Outlived: // reportExit is called again, or the child process is over
	case c.tree.survivorCount > 0:
		l.sendSurvivors(c)
	default:
		c.phase.Handle(phase.TreeEnded)
		l.forgetProcess(c)
		l.report(TreeEnded{Process: c.id})
	}
}

// promoteSuccessor makes the successor of a main process that has ended the main process, and
// reports whether it did. During a stop there is no successor: the survivors end too.
//
// The main process must not be observed, since its end would be reported as that of a descendant.
// Outside of a stop only a process with [Spec.TraceFrom] is observed. The verb exec alone sets it,
// and gives its command no sd_notify socket, so such a process names no successor.
func (l *Loop) promoteSuccessor(c *childProcess) bool {
	a := l.trees.adopted[c.successor]
	if c.successor == 0 || a == nil || a.owner != c || c.stop.started() || c.main != nil {
		return false
	}
	delete(l.trees.adopted, a.stat.Pid)
	c.tree.survivorCount--
	c.pid, c.successor = a.stat.Pid, 0
	c.phase.Handle(phase.Succeeded)
	l.byPid[c.pid] = c
	if l.trees.byLeader[c.tree.group] == c {
		delete(l.trees.byLeader, c.tree.group) // its number may be used again
	}
	if group, err := unix.Getpgid(c.pid); err == nil && group != unix.Getpgrp() {
		c.tree.group = group // its number is valid while the process is in it
		l.trees.byLeader[group] = c
	} else {
		c.tree.group = c.pid
	}
	l.report(MainChanged{Process: c.id, From: c.exited.Pid, Exit: c.exited.Exit, Pid: c.pid})
	c.exited = Exited{}
	c.handling.startedAt = time.Time{} // no signal waits for a handler
	return true
}
