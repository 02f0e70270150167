package process

import (
	"time"

	"golang.org/x/sys/unix"

	"tp0/supervisor/process/ptrace"
	"tp0/supervisor/procfs"
)

// orphanDelay is how long the end of an orphan waits for further ones. The first one after a pause
// does not wait. A process that forks hundreds of short-lived daemons a second would otherwise wake
// the orchestrator and the log for each.
const orphanDelay = 50 * time.Millisecond

// statusesArrived is called after SIGCHLD. It reaps orphans on the calling goroutine, and main
// processes if no proof was asked for yet. It leaves everything else to the loop.
func (l *Loop) statusesArrived() {
	for {
		if !l.turn.TryLock() {
			break
		}
		found, others := l.reapOrphans()
		l.turn.Unlock()
		if others && l.turnBeside(l.reapBeside) {
			continue
		}
		if others {
			break
		}
		if found < maxStatuses {
			return
		}
	}
	select {
	case l.statuses <- struct{}{}:
	default: // the loop is to reap already
	}
}

// reapBeside reaps on the calling goroutine. A process whose stop has a proof can have survivors,
// which the loop then traces. So it returns false after the first such stop.
func (l *Loop) reapBeside() bool {
	if l.proofAsked || len(l.scanQueue) > 0 {
		return false
	}
	l.reap()
	l.moreStatuses = false // the caller reaps again
	return true
}

// reapOrphans reaps orphans, maxStatuses at most. others says that the next status is for the loop.
func (l *Loop) reapOrphans() (found int, others bool) {
	if !l.onlyOrphans() {
		return 0, true
	}
	named := l.opt.NamesOrphans == nil || l.opt.NamesOrphans()
	for ; found < maxStatuses; found++ {
		var info ptrace.Siginfo
		err := ptrace.Waitid(unix.P_ALL, 0, &info, unix.WEXITED|unix.WNOWAIT|unix.WALL)
		if err != nil || info.Pid == 0 {
			break
		}
		pid := int(info.Pid)
		if l.byPid[pid] != nil || l.running[pid] != nil || l.trees.adopted[pid] != nil {
			others = true
			break
		}
		name := ""
		if named {
			name, _ = procfs.ReadComm(pid)
		}
		var status unix.WaitStatus
		if got, err := ptrace.Wait4(pid, &status, nil); err != nil || got != pid {
			others = true
			break
		}
		delete(l.trees.zombies, pid)
		l.facts = append(l.facts, OrphanReaped{Pid: pid, Command: name, Exit: exitOf(status)})
	}
	if found > 0 {
		l.deliverOrphans()
	}
	return found, others
}

// deliverOrphans delivers the ends of orphans, or sets the timer that does it.
func (l *Loop) deliverOrphans() {
	now := time.Now()
	switch {
	case !now.Before(l.orphansDue) || len(l.facts) >= batchFacts:
		l.flush()
		l.orphansDue = now.Add(orphanDelay)
	case !l.timerIsSet:
		l.timerIsSet = true
		l.orphanTimer.Reset(l.orphansDue.Sub(now))
	}
}

// orphansAreDue delivers the ends of orphans that have waited.
func (l *Loop) orphansAreDue() {
	if !l.turn.TryLock() {
		l.commands.Put(func() { l.timerIsSet = false }) // the loop delivers after each turn
		return
	}
	defer l.turn.Unlock()
	l.timerIsSet = false
	l.flush()
}

// newStoppedTimer returns a timer that calls do once it was set.
func newStoppedTimer(do func()) *time.Timer {
	t := time.AfterFunc(time.Hour, do)
	t.Stop()
	return t
}
