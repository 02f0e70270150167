package process

import (
	"time"

	"golang.org/x/sys/unix"

	"tp0/supervisor/event"
	"tp0/supervisor/lifecycle"
	"tp0/supervisor/procfs"
)

// recordStep notes that a step is on its way to a run, and sends it to the
// survivors.
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

// sendSurvivors sends the present step to those survivors that it has not
// reached. It goes to adopted processes alone: a descendant of one that lives may
// be needed for its clean-up, and is adopted when that ends. SIGKILL goes to all.
func (l *Loop) sendSurvivors(c *childProcess) {
	if len(c.tree.steps) == 0 {
		return // the fleet begins the stop sequence when it hears of the survivors
	}
	last := c.tree.steps[len(c.tree.steps)-1]
	if last.signal == unix.SIGKILL {
		if next := c.tree.killing.nextRound; time.Now().Before(next) {
			l.schedule(next) // tendTree goes on
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

// scanSurvivor has the descriptors of a survivor and of what is below it scanned
// before it is told to end, unless they are watched already.
func (l *Loop) scanSurvivor(c *childProcess, a *adopted, then func()) {
	if s, err := procfs.ReadStat(a.stat.Pid); err == nil && s.Stopped() {
		a.stopped = true // traced it looks like any other stop
	}
	if c.stop.proof == event.ProofExact && l.observed[a.stat.Pid] == nil {
		if o := l.observeDescendant(&observed{owner: c, pid: a.stat.PPid}, a.stat.Pid); o != nil {
			l.scanDescendant(o, nil, then)
			return
		}
	}
	then()
}

func (l *Loop) signalSurvivor(c *childProcess, a *adopted, d pendingSignal) {
	if l.trees.adopted[a.stat.Pid] != a {
		return // it ended while it was scanned
	}
	err := unix.Kill(a.stat.Pid, d.signal) // it is our child, and not reaped: nobody else has its number
	l.report(Signalled{Process: c.id, Pid: a.stat.Pid, Descendant: a.stat.Comm, Signal: d.signal, Step: d.step, Err: err})
	l.continueStopped(a)
}

// continueStopped continues a survivor that job control stopped: it cannot act on
// the signal before that.
func (l *Loop) continueStopped(a *adopted) {
	s, err := procfs.ReadStat(a.stat.Pid)
	o := l.observed[a.stat.Pid]
	if a.stopped || err == nil && s.Stopped() || o != nil && o.machine.State.IsJobStopped() {
		a.stopped = false
		_ = unix.Kill(a.stat.Pid, unix.SIGCONT)
	}
}

// killSurvivors sends SIGKILL to the whole tree of a run whose main process has
// ended. It is called again until nothing is left.
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

// killBelow sends SIGKILL to the descendants of a main process that got it and may
// still be there, once.
func (l *Loop) killBelow(c *childProcess) {
	if c.tree.alive == 0 && len(procfs.Children(c.pid)) == 0 {
		return // as with most
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

func (l *Loop) killListed(c *childProcess, list func() []procfs.Stat) (next time.Time) {
	rung := c.tree.steps[len(c.tree.steps)-1].step
	noMain := func(*childProcess) {} // a main process is our own child: it is below no other process
	return l.killAll(l.killProgressOf(c), list, noMain, func(p procfs.Stat, err error) {
		l.report(Signalled{Process: c.id, Pid: p.Pid, Descendant: p.Comm, Signal: unix.SIGKILL, Step: rung, Err: err})
	})
}

// tickTree goes on with the end of survivors; zero: there is nothing to be done.
func (l *Loop) tickTree(c *childProcess, now time.Time) time.Time {
	n := len(c.tree.steps)
	if !c.phase.MainEnded() || c.tree.alive == 0 || c.isOver() || n == 0 {
		return time.Time{}
	}
	last := c.tree.steps[n-1]
	if last.signal != unix.SIGKILL {
		if now.Before(c.tree.nextContinue) {
			return c.tree.nextContinue
		}
		c.tree.nextContinue = now.Add(reapPoll)
		for _, a := range l.survivors(c) { // one may have been stopped meanwhile
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
