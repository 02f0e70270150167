package process

import (
	"errors"
	"maps"
	"time"

	"golang.org/x/sys/unix"

	"tp0/supervisor/procfs"
)

// A process that is to be killed can fork meanwhile, and one that forks all the
// time is quicker than we are. So the listing is repeated after the kill, and from
// the third time on everything is stopped first, until a listing finds nobody
// new: what is stopped cannot fork.
const (
	plainRounds = 2  // of killing before the processes are stopped first
	stopPasses  = 20 // at most, some milliseconds each for hundreds of processes
	idleRounds  = 20 // that kill nobody, then a round follows less often
)

// cleanupPoll is how often we look for new processes once we kill: one can fork
// between our look and our signal.
const cleanupPoll = 5 * time.Millisecond

// minKillDelay is the time between the first step of a stop and SIGKILL where both are due at once
// since the first one had to wait: whoever was not told yet can still end well in it.
const minKillDelay = 15 * time.Millisecond

// killAll sends SIGKILL to all that list finds and that did not get it yet, and
// tells of each, and of the first refusal for each. It is called again, at the time that
// it returns, until list finds nobody.
func (l *Loop) killAll(k *killProgress, list func() []procfs.Stat, killMain func(*childProcess),
	tell func(procfs.Stat, error)) time.Time {
	if k.killed == nil {
		k.killed = map[identity]bool{}
	}
	k.rounds++
	began := time.Now()
	victims := list()
	if k.rounds > plainRounds {
		victims = l.stopAll(victims, list, k.killed)
	}
	for _, p := range victims {
		if k.killed[identityOf(p)] || l.wasSentSIGKILL(p) {
			continue
		}
		if l.inKillDelay(p) {
			k.idle = 0
			continue
		}
		if c := l.byPid[p.Pid]; c != nil {
			k.idle = 0
			killMain(c)
			continue
		}
		switch err := signalExactly(p, unix.SIGKILL); {
		case err == nil:
			k.killed[identityOf(p)], k.idle = true, 0
			tell(p, nil)
		case errors.Is(err, unix.EPERM) && !k.refused[identityOf(p)]:
			if k.refused == nil {
				k.refused = map[identity]bool{}
			}
			k.refused[identityOf(p)] = true
			tell(p, err)
		}
	}
	now := time.Now()
	if k.idle++; k.idle > idleRounds {
		return now.Add(reapPoll) // what is left cannot be killed, or not yet
	}
	return now.Add(max(cleanupPoll, 2*now.Sub(began))) // two thirds of the time are for others
}

// killProgressOf is how far SIGKILL to the survivors of a run has come. A sweep and the runs share
// theirs, so that nobody is killed by both.
func (l *Loop) killProgressOf(c *childProcess) *killProgress {
	if l.cleanup != nil {
		return &l.cleanup.progress
	}
	return &c.tree.killing
}

// wasSentSIGKILL reports whether a process is a main process that got SIGKILL, or got it
// with the process group of one. It may live on for a moment, in its exit stop.
func (l *Loop) wasSentSIGKILL(p procfs.Stat) bool {
	if c := l.byPid[p.Pid]; c != nil {
		return c.stop.killed
	}
	c := l.trees.byGroup[p.PGrp]
	if c == nil || len(c.tree.steps) == 0 {
		return false
	}
	last := c.tree.steps[len(c.tree.steps)-1]
	return last.signal == unix.SIGKILL && c.tree.lastGroupStep(p) >= last.step
}

// stopAll stops processes, and those that they forked meanwhile, until a listing
// finds nobody new.
func (l *Loop) stopAll(victims []procfs.Stat, list func() []procfs.Stat, killed map[identity]bool) []procfs.Stat {
	stopped := maps.Clone(killed) // SIGSTOP does nothing to what is killed
	for range stopPasses {
		found := false
		for _, p := range victims {
			if !stopped[identityOf(p)] && !l.inKillDelay(p) {
				stopped[identityOf(p)], found = true, true
				_ = signalExactly(p, unix.SIGSTOP)
			}
		}
		if !found {
			break
		}
		victims = list()
	}
	return victims
}

// killDelayed reports whether SIGKILL to a run is to wait, since the run was told to end just
// now: in the final stop, or where the first step itself had to wait.
func (l *Loop) killDelayed(c *childProcess, now time.Time) bool {
	s := &c.stop
	return !s.firstSentAt.IsZero() && now.Sub(s.firstSentAt) < minKillDelay && l.hasTimeForKillDelay(now) &&
		(s.scanSkipped != "" || !l.budget.End.IsZero())
}

// inKillDelay reports whether a process is, or is in the process group of, a main process that was
// told to end just now.
func (l *Loop) inKillDelay(p procfs.Stat) bool {
	c := l.byPid[p.Pid]
	if c == nil {
		c = l.trees.byGroup[p.PGrp]
	}
	return c != nil && !c.phase.MainEnded() && l.killDelayed(c, time.Now())
}

func (l *Loop) hasTimeForKillDelay(now time.Time) bool {
	return l.budget.End.IsZero() || l.budget.End.Sub(now) > 2*minKillDelay
}
