package process

import (
	"errors"
	"os"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"tp0/supervisor/event"
	"tp0/supervisor/procdir"
	"tp0/supervisor/process/ptrace"
	"tp0/supervisor/procfs"
)

// minReapTime is the time for killed processes to end and to be reaped. It counts from the
// first SIGKILL, and again from the time when the supervisor continues after it was stopped,
// even after the deadline. It is granted once more when the fd scans are given up: a process in
// its exit stop can end only then. So a stop whose orphan cleanup starts by its deadline ends
// within twice this time after the deadline. If the supervisor was stopped meanwhile, the stop ends
// later: see resumedReapTime and maxExtensions.
const minReapTime = 100 * time.Millisecond

// resumedReapTime replaces minReapTime if the cleanup should have ended longer ago than that.
// Then the supervisor was stopped: the deadline has passed, and the killed processes compete
// for the processors with all others that were resumed.
const resumedReapTime = time.Second

// maxExtensions bounds how often a cleanup gets more time because a tick was late.
const maxExtensions = 3

// startOrphanCleanup starts the orphan cleanup. A second call changes its times.
func (l *Loop) startOrphanCleanup(killAt, giveUp time.Time, proof event.Proof) {
	if l.cleanup != nil { // a second call only changes the times
		l.cleanup.killAt = killAt
		l.cleanup.giveUp = later(l.cleanup.giveUp, giveUp)
		return
	}
	l.cleanup = &orphanCleanup{killAt: killAt, giveUp: giveUp, proof: proof, sentSteps: l.sentSteps}
	l.cleanup.progress.mergeKilled(l.processes)
	l.cleanup.extendDeadline(time.Now())
}

// endCleanupAtOnce ends the orphan cleanup before it starts if the supervisor has no children, and
// reports whether it did.
func (l *Loop) endCleanupAtOnce() bool {
	if l.hasChildren() {
		return false
	}
	l.endOrphanCleanup(nil)
	return true
}

// extendDeadline grants the killed processes their time from now on.
func (o *orphanCleanup) extendDeadline(now time.Time) {
	if now.Sub(o.giveUp) > minReapTime {
		o.reapTime = resumedReapTime
	}
	o.giveUp = later(o.giveUp, now.Add(max(o.reapTime, minReapTime)))
}

// extendIfResumed grants time when the SIGKILL starts, or when the tick is so late that the
// supervisor must have been stopped: it could not reap then.
func (o *orphanCleanup) extendIfResumed(now time.Time) {
	due := o.nextTick
	o.nextTick = time.Time{}
	switch {
	case !o.killStarted && !now.Before(o.killAt):
		o.killStarted = true
	case !due.IsZero() && now.Sub(due) > minReapTime/2 && o.extensions < maxExtensions:
		o.extensions++
	default:
		return
	}
	o.extendDeadline(now)
}

// giveUpScans stops waiting for fd scans.
func (l *Loop) giveUpScans(now time.Time) {
	l.cleanup.scansGivenUp = true
	l.cleanup.extendDeadline(now)
	for _, o := range l.observations {
		l.giveUpScansOf(o)
	}
	for _, c := range l.processes {
		l.reportExit(c)
	}
}

// tickOrphanCleanup signals the orphans. An adopted child gets SIGTERM once. Its descendants do
// not get it while the child is alive, since its clean-up may need them. They are adopted when
// it dies.
func (l *Loop) tickOrphanCleanup(now time.Time) time.Time {
	s := l.cleanup
	s.extendIfResumed(now)
	if !s.scansGivenUp && !now.Before(s.giveUp) {
		l.giveUpScans(now)
		return now // processes in their exit stop continue first
	}
	if l.onlyHelpersLeft() {
		l.killHelpers() // their end wakes the loop
	}
	if !l.hasChildren() {
		if l.hasPendingScans() && !s.scansGivenUp {
			return s.giveUp // the end of a scan wakes the loop
		}
		l.endOrphanCleanup(nil)
		return time.Time{}
	}
	if !now.Before(s.giveUp) {
		l.endOrphanCleanup(l.allDescendants())
		return time.Time{}
	}
	if procdir.Fault() != nil {
		return l.tickUnlisted(now)
	}
	if !now.Before(s.killAt) {
		if s.nextTick = s.nextKill; now.Before(s.nextKill) {
			return s.nextKill
		}
		s.nextKill = l.killAll(
			&s.progress,
			l.allDescendants,
			l.killInCleanup,
			func(p procfs.Stat, err error) {
				if err != nil {
					return // OrphanCleanupDone names it
				}
				l.report(OrphanSignalled{
					Pid: p.Pid, Command: p.Comm, Signal: unix.SIGKILL, Step: 2,
				})
			},
		)
		s.nextTick = s.nextKill
		return s.nextTick
	}
	if now.Before(s.nextListing) {
		return earlier(s.killAt, s.nextListing)
	}
	started := time.Now()
	l.terminateOrphans()
	// Where thousands of processes end at once, each listing reads the dead ones again, and the
	// loop reaps maxStatuses of them between two listings. Two thirds of the time are for that.
	listed := time.Now()
	s.nextListing = listed.Add(2 * listed.Sub(started))
	return earlier(s.killAt, later(s.nextListing, now.Add(reapPoll)))
}

// terminateOrphans sends SIGTERM to the adopted processes that did not get it.
func (l *Loop) terminateOrphans() {
	s := l.cleanup
	for _, pid := range procfs.Children(os.Getpid()) {
		p, err := procfs.ReadStat(pid)
		if err != nil || allThreadsDead(p) || l.isOwnTool(pid) ||
			s.sentSteps[identityOf(p)] > 0 {
			continue
		}
		s.sentSteps[identityOf(p)] = 1
		l.scanOrphan(p, func() { l.terminateOrphan(p) })
	}
}

// scanOrphan scans an orphan and its descendants, and then calls then.
func (l *Loop) scanOrphan(p procfs.Stat, then func()) {
	if l.observations[p.Pid] != nil || l.cleanup.proof != event.ProofExact {
		then()
		return
	}
	o := l.observeAdopted(nil, p)
	if o == nil && l.orphanSet.untraced[p.Pid] {
		then() // too many processes to trace
	}
	if o == nil {
		return
	}
	l.scanDescendant(o, l.inheritedFDs(), then)
}

// terminateOrphan sends SIGTERM to an orphan.
func (l *Loop) terminateOrphan(p procfs.Stat) {
	if current, err := procfs.ReadStat(p.Pid); err != nil || identityOf(current) != identityOf(p) {
		return // it ended during the scan, and its pid may be recycled
	}
	o := l.observations[p.Pid]
	if p.Stopped() || o != nil && o.machine.State.IsJobStopped() {
		_ = unix.Kill(p.Pid, unix.SIGCONT) // a stopped process cannot handle an earlier signal
	}
	if at, ok := l.groupSignalled[p.PGrp]; ok && p.StartTime < at {
		// Its group was signalled at least one clock tick after its fork. A younger process may
		// have lost the signal at its exec.
		return
	}
	if unix.Kill(p.Pid, unix.SIGTERM) == nil {
		l.report(OrphanSignalled{Pid: p.Pid, Command: p.Comm, Signal: unix.SIGTERM, Step: 1})
	}
}

// allDescendants returns all live processes below the supervisor. One without a pid stands for
// those that /proc does not list.
func (l *Loop) allDescendants() []procfs.Stat {
	if procdir.Fault() != nil {
		return []procfs.Stat{{Comm: "unknown", State: '?'}}
	}
	return slices.DeleteFunc(appendTree(nil, os.Getpid())[1:], func(p procfs.Stat) bool {
		return l.helpers.byPid[p.Pid] != nil
	})
}

// onlyHelpersLeft reports whether the supervisor has no other children than its trace helpers.
func (l *Loop) onlyHelpersLeft() bool {
	if len(l.helpers.byPid) == 0 || l.hasPendingScans() && !l.cleanup.scansGivenUp {
		return false
	}
	return !slices.ContainsFunc(procfs.Children(os.Getpid()), func(pid int) bool {
		return l.helpers.byPid[pid] == nil
	})
}

// hasChildren reports whether the supervisor has a child, including dead children that are not
// reaped.
func (l *Loop) hasChildren() bool {
	var info ptrace.Siginfo
	err := ptrace.Waitid(unix.P_ALL, 0, &info, unix.WEXITED|unix.WNOWAIT|unix.WALL)
	return !errors.Is(err, unix.ECHILD)
}

// hasPendingScans reports whether an fd scan of a process is running.
func (l *Loop) hasPendingScans() bool {
	for _, o := range l.observations {
		if o.running > 0 {
			return true
		}
	}
	return false
}

// endOrphanCleanup ends the orphan cleanup, and reports the processes that are left.
func (l *Loop) endOrphanCleanup(left []procfs.Stat) {
	l.cleanup = nil
	l.report(OrphanCleanupDone{Left: left})
}
