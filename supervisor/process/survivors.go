package process

import (
	"time"

	"golang.org/x/sys/unix"

	"tp0/supervisor/event"
	"tp0/supervisor/lifecycle"
	"tp0/supervisor/procfs"
)

// recordStep records a step of the stop sequence that is being sent to a child process, and
// sends it to the survivors.
func (l *Loop) recordStep(c *childProcess, d pendingSignal, at kernelTime) {
	scope := c.scope
	if c.phase.MainEnded() {
		scope = lifecycle.ScopeProcess // the survivors are sent it one by one
	}
	c.tree.steps = append(c.tree.steps, sentStep{d, scope, at})
	if c.phase.MainEnded() {
		l.sendSurvivors(c)
	}
}

// sendSurvivors sends the current step to survivors that did not get it. It signals each adopted
// process on its own, and no descendant of one: the process may need its descendants for its
// clean-up. A descendant is adopted when its parent ends. SIGKILL goes to all descendants.
//
// Survivors that may outlive the main process get no step. A step can come after the main process
// was reaped and before its end is reported: a scan of the main process may be running.
func (l *Loop) sendSurvivors(c *childProcess) {
	if c.tree.leave || len(c.tree.steps) == 0 { // no step: the stop starts after the fact Exited
		return
	}
	last := c.tree.steps[len(c.tree.steps)-1]
	if last.signal == unix.SIGKILL {
		if next := c.tree.killing.nextRound; time.Now().Before(next) {
			l.schedule(next) // tickTree continues
			return
		}
		l.killSurvivors(c)
		return
	}
	for _, a := range l.survivors(c) {
		if c.tree.lastStep(a) >= last.step {
			l.continueStopped(a)
			continue
		}
		a.step = last.step
		l.scanSurvivor(c, a, func() { l.signalSurvivor(c, a, last.pendingSignal) })
	}
}

// scanSurvivor scans a survivor and its descendants before the signal, unless they are observed
// already, and then calls then.
func (l *Loop) scanSurvivor(c *childProcess, a *adopted, then func()) {
	if s, err := procfs.ReadStat(a.stat.Pid); err == nil && s.Stopped() {
		a.stopped = true // a traced process does not show it
	}
	if c.stop.proof == event.ProofExact && l.observations[a.stat.Pid] == nil {
		if o := l.observeAdopted(c, a.stat); o != nil {
			l.scanDescendant(o, nil, then)
			return
		}
	}
	then()
}

// signalSurvivor sends a signal to a survivor.
func (l *Loop) signalSurvivor(c *childProcess, a *adopted, d pendingSignal) {
	if l.trees.adopted[a.stat.Pid] != a {
		return // it ended during the scan
	}
	err := unix.Kill(a.stat.Pid, d.signal) // a child that is not reaped: its pid is valid
	l.report(
		Signalled{
			Process:    c.id,
			Pid:        a.stat.Pid,
			Descendant: a.stat.Comm,
			Signal:     d.signal,
			Step:       d.step,
			Err:        err,
		},
	)
	l.continueStopped(a)
}

// continueStopped continues a survivor that job control stopped: a stopped process cannot
// handle a signal.
func (l *Loop) continueStopped(a *adopted) {
	s, err := procfs.ReadStat(a.stat.Pid)
	o := l.observations[a.stat.Pid]
	if a.stopped || err == nil && s.Stopped() || o != nil && o.machine.State.IsJobStopped() {
		a.stopped = false
		_ = unix.Kill(a.stat.Pid, unix.SIGCONT)
	}
}

// killSurvivors sends SIGKILL to the survivors and their descendants. It is called again until
// nothing is left.
func (l *Loop) killSurvivors(c *childProcess) {
	next := l.killListed(c, func() (all []procfs.Stat) {
		for _, a := range l.survivors(c) {
			all = appendTree(all, a.stat.Pid)
		}
		return all
	})
	c.tree.killing.nextRound = next
	l.schedule(next)
}

// killDescendants sends SIGKILL once to the descendants of a main process that got it.
func (l *Loop) killDescendants(c *childProcess) {
	if c.tree.survivorCount == 0 && len(procfs.Children(c.pid)) == 0 {
		return // as with most processes
	}
	l.killListed(c, func() (all []procfs.Stat) {
		for _, pid := range procfs.Children(c.pid) {
			all = appendTree(all, pid)
		}
		for _, a := range l.survivors(c) {
			all = appendTree(all, a.stat.Pid)
		}
		return all
	})
}

// killListed sends SIGKILL to the listed processes of a process tree.
func (l *Loop) killListed(c *childProcess, list func() []procfs.Stat) (next time.Time) {
	step := c.tree.steps[len(c.tree.steps)-1].step
	noMain := func(*childProcess) {} // a main process is no descendant of another process
	return l.killAll(l.killProgressOf(c), list, noMain, func(p procfs.Stat, err error) {
		l.report(
			Signalled{
				Process:    c.id,
				Pid:        p.Pid,
				Descendant: p.Comm,
				Signal:     unix.SIGKILL,
				Step:       step,
				Err:        err,
			},
		)
	})
}

// tickTree does what is due for survivors, and returns the time of the next tick. The zero time
// needs none.
func (l *Loop) tickTree(c *childProcess, now time.Time) time.Time {
	n := len(c.tree.steps)
	if !c.phase.MainEnded() || c.tree.survivorCount == 0 || c.tree.leave || c.isOver() || n == 0 {
		return time.Time{}
	}
	last := c.tree.steps[n-1]
	if last.signal != unix.SIGKILL {
		if now.Before(c.tree.nextContinue) {
			return c.tree.nextContinue
		}
		c.tree.nextContinue = now.Add(reapPoll)
		for _, a := range l.survivors(c) { // job control may have stopped one meanwhile
			if a.step >= last.step {
				l.continueStopped(a)
			}
		}
		return c.tree.nextContinue
	}
	if now.Before(c.tree.killing.nextRound) {
		return c.tree.killing.nextRound
	}
	l.scanAdopted()
	l.killSurvivors(c)
	return c.tree.killing.nextRound
}
