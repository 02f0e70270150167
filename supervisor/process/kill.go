package process

import (
	"errors"
	"maps"
	"time"

	"golang.org/x/sys/unix"

	"tp0/supervisor/procfs"
)

// A process that is to be killed can fork meanwhile, and a fork bomb is faster than the loop.
// So the processes are listed again after the kill. From the third round on all processes are
// stopped first, until a listing finds no new one: a stopped process cannot fork.
const (
	plainRounds = 2  // of SIGKILL before the processes are stopped first
	stopPasses  = 20 // some milliseconds each for hundreds of processes
	idleRounds  = 20 // that kill no process; after them a round follows less often
)

// cleanupPoll is the shortest time between two rounds of SIGKILL. A process can fork between
// the listing and the signal.
const cleanupPoll = 5 * time.Millisecond

// minKillDelay is the shortest time between the first step of a stop and SIGKILL where both are
// due at once because the first step had to wait. A process that gets SIGTERM can end
// gracefully in that time.
const minKillDelay = 15 * time.Millisecond

// killAll sends SIGKILL to the processes that list returns and that did not get it yet.
// killMain ends main processes among them. report is called for each SIGKILL, and for the first
// refusal of each process. Call killAll again at the time that it returns, until list is empty.
func (l *Loop) killAll(k *killProgress, list func() []procfs.Stat, killMain func(*childProcess),
	report func(procfs.Stat, error)) time.Time {
	if k.killed == nil {
		k.killed = map[identity]bool{}
	}
	k.rounds++
	start := time.Now()
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
			report(p, nil)
		case errors.Is(err, unix.EPERM) && !k.refused[identityOf(p)]:
			if k.refused == nil {
				k.refused = map[identity]bool{}
			}
			k.refused[identityOf(p)] = true
			report(p, err)
		}
	}
	now := time.Now()
	if k.idle++; k.idle > idleRounds {
		return now.Add(reapPoll) // the rest cannot be killed, or not yet
	}
	return now.Add(max(cleanupPoll, 2*now.Sub(start))) // two thirds of the time are for other work
}

// killProgressOf returns the progress of SIGKILL to the survivors of a child process. During
// the orphan cleanup it is shared, so that no process is killed twice.
func (l *Loop) killProgressOf(c *childProcess) *killProgress {
	if l.cleanup != nil {
		return &l.cleanup.progress
	}
	return &c.tree.killing
}

// wasSentSIGKILL reports whether a process is a main process that got SIGKILL, or got SIGKILL
// with its process group. Such a process may live on in its exit stop for a moment.
func (l *Loop) wasSentSIGKILL(p procfs.Stat) bool {
	if c := l.byPid[p.Pid]; c != nil {
		return c.stop.killed
	}
	c := l.trees.byLeader[p.PGrp]
	if c == nil || len(c.tree.steps) == 0 {
		return false
	}
	last := c.tree.steps[len(c.tree.steps)-1]
	return last.signal == unix.SIGKILL && c.tree.lastGroupStep(p) >= last.step
}

// stopAll sends SIGSTOP to processes and to those that they forked meanwhile, until a listing
// finds no new process.
func (l *Loop) stopAll(
	victims []procfs.Stat,
	list func() []procfs.Stat,
	killed map[identity]bool,
) []procfs.Stat {
	stopped := maps.Clone(killed) // SIGSTOP does nothing to a killed process
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

// killDelayed reports whether SIGKILL to a child process has to wait because the first step was
// sent just now. That holds in the final stop, and where the first step itself had to wait.
func (l *Loop) killDelayed(c *childProcess, now time.Time) bool {
	s := &c.stop
	return !s.firstSentAt.IsZero() && now.Sub(s.firstSentAt) < minKillDelay &&
		l.hasTimeForKillDelay(now) &&
		(s.scanSkipped != "" || !l.budget.End.IsZero())
}

// inKillDelay reports whether a process is, or is in the process group of, a main process whose
// SIGKILL has to wait.
func (l *Loop) inKillDelay(p procfs.Stat) bool {
	c := l.byPid[p.Pid]
	if c == nil {
		c = l.trees.byLeader[p.PGrp]
	}
	return c != nil && !c.phase.MainEnded() && l.killDelayed(c, time.Now())
}

// hasTimeForKillDelay reports whether the deadline leaves time for minKillDelay.
func (l *Loop) hasTimeForKillDelay(now time.Time) bool {
	return l.budget.End.IsZero() || l.budget.End.Sub(now) > 2*minKillDelay
}
