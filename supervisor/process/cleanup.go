package process

import (
	"errors"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"tp0/supervisor/event"
	"tp0/supervisor/procfs"
)

// minReapTime is the time for what was killed to end and to be reaped. The time counts from the
// first SIGKILL, and again from the moment when the supervisor runs after it was stopped, however
// long the deadline has passed by then. It is granted once more when the fd scans are given up:
// a process that we hold in its exit stop can end only then. A stop that begins its sweep by its
// deadline so ends within twice this time after it.
const minReapTime = 100 * time.Millisecond

// resumedReapTime takes its place where the end of the sweep has passed for longer than that. The
// supervisor was stopped then: nothing can hold the deadline any more, and what was killed needs
// the processors at the same time as everybody else who was woken.
const resumedReapTime = time.Second

// maxExtensions bounds how often a sweep gets more time because it was woken late.
const maxExtensions = 3

func (l *Loop) startOrphanCleanup(killAt, giveUp time.Time, proof event.Proof) {
	if l.cleanup != nil { // more haste; whom we signalled we know already
		l.cleanup.killAt = killAt
		l.cleanup.giveUp = later(l.cleanup.giveUp, giveUp)
		return
	}
	l.cleanup = &orphanCleanup{killAt: killAt, giveUp: giveUp, proof: proof, sentSteps: l.sentSteps}
	l.cleanup.progress.mergeKilled(l.processes)
	l.cleanup.extendDeadline(time.Now())
}

// extendDeadline gives what was killed its time from now on.
func (s *orphanCleanup) extendDeadline(now time.Time) {
	if now.Sub(s.giveUp) > minReapTime {
		s.reapTime = resumedReapTime
	}
	s.giveUp = later(s.giveUp, now.Add(max(s.reapTime, minReapTime)))
}

// extendIfResumed grants time to a sweep that kills from now on, or that comes so late that the supervisor
// must have been stopped: until now it could reap nobody.
func (s *orphanCleanup) extendIfResumed(now time.Time) {
	due := s.nextTick
	s.nextTick = time.Time{}
	switch {
	case !s.killBegun && !now.Before(s.killAt):
		s.killBegun = true
	case !due.IsZero() && now.Sub(due) > minReapTime/2 && s.extensions < maxExtensions:
		s.extensions++
	default:
		return
	}
	s.extendDeadline(now)
}

// giveUpScans gives the fd scans up that the sweep waits for.
func (l *Loop) giveUpScans(now time.Time) {
	l.cleanup.scansGivenUp = true
	l.cleanup.extendDeadline(now)
	for _, o := range l.observed {
		l.giveUpScansOf(o)
	}
	for _, c := range l.processes {
		l.reportExit(c)
	}
}

// tickOrphanCleanup signals what is there. A child that we adopted gets SIGTERM once,
// and its own descendants none while it lives: it may need them for its
// clean-up. They become ours when it dies.
func (l *Loop) tickOrphanCleanup(now time.Time) time.Time {
	s := l.cleanup
	s.extendIfResumed(now)
	if !s.scansGivenUp && !now.Before(s.giveUp) {
		l.giveUpScans(now)
		return now // what is held in its exit stop goes first
	}
	if !l.hasChildren() {
		if l.hasPendingScans() && !s.scansGivenUp {
			return s.giveUp // the end of the look wakes us
		}
		l.endOrphanCleanup(nil)
		return time.Time{}
	}
	if !now.Before(s.giveUp) {
		l.endOrphanCleanup(l.allDescendants())
		return time.Time{}
	}
	if !now.Before(s.killAt) {
		if s.nextTick = s.nextKill; now.Before(s.nextKill) {
			return s.nextKill
		}
		s.nextKill = l.killAll(&s.progress, l.allDescendants, l.killInCleanup, func(p procfs.Stat, err error) {
			if err != nil {
				return // it is named at the end
			}
			l.report(OrphanSignalled{Pid: p.Pid, Command: p.Comm, Signal: unix.SIGKILL, Step: 2})
		})
		s.nextTick = s.nextKill
		return s.nextTick
	}
	for _, pid := range procfs.Children(os.Getpid()) {
		p, err := procfs.ReadStat(pid)
		if err != nil || allThreadsDead(p) || l.running[pid] != nil || s.sentSteps[identityOf(p)] > 0 {
			continue
		}
		s.sentSteps[identityOf(p)] = 1
		l.scanOrphan(p, func() { l.terminateOrphan(p) })
	}
	return earlier(s.killAt, now.Add(reapPoll))
}

// scanOrphan looks at an orphan and all below it before it is.told to end.
func (l *Loop) scanOrphan(p procfs.Stat, tell func()) {
	if l.observed[p.Pid] != nil || l.cleanup.proof != event.ProofExact {
		tell()
		return
	}
	o := l.observeDescendant(&observed{pid: p.PPid}, p.Pid)
	if o == nil && l.orphanSet.untraced[p.Pid] {
		tell() // there are too many to trace
	}
	if o == nil {
		return
	}
	l.scanDescendant(o, l.inheritedFDs(), tell)
}

// terminateOrphan asks an orphan to end.
func (l *Loop) terminateOrphan(p procfs.Stat) {
	if again, err := procfs.ReadStat(p.Pid); err != nil || identityOf(again) != identityOf(p) {
		return // it ended while we looked; we have not reaped it, or its number could be another's
	}
	o := l.observed[p.Pid]
	if p.Stopped() || o != nil && o.machine.State.IsJobStopped() {
		_ = unix.Kill(p.Pid, unix.SIGCONT) // what it was told already it can only hear then
	}
	if at, ok := l.groupSignalled[p.PGrp]; ok && p.StartTime < at {
		return // its group was signalled when it was there already, a clock tick at least: a younger one may have lost it at its exec
	}
	if unix.Kill(p.Pid, unix.SIGTERM) == nil {
		l.report(OrphanSignalled{Pid: p.Pid, Command: p.Comm, Signal: unix.SIGTERM, Step: 1})
	}
}

func (l *Loop) allDescendants() []procfs.Stat {
	return appendTree(nil, os.Getpid())[1:]
}

// hasChildren reports whether the kernel knows of a child of ours, dead ones that
// are not reaped yet included.
func (l *Loop) hasChildren() bool {
	var info siginfo
	err := waitid(unix.P_ALL, 0, &info, unix.WEXITED|unix.WNOWAIT|unix.WALL)
	return !errors.Is(err, unix.ECHILD)
}

// hasPendingScans reports whether the end of a process is still to be told.
func (l *Loop) hasPendingScans() bool {
	for _, o := range l.observed {
		if o.running > 0 {
			return true
		}
	}
	return false
}

func (l *Loop) endOrphanCleanup(left []procfs.Stat) {
	l.cleanup = nil
	l.report(OrphanCleanupDone{Left: left})
}
