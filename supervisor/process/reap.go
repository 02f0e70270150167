package process

import (
	"errors"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"tp0/supervisor/process/phase"
	"tp0/supervisor/process/proof"
	"tp0/supervisor/process/ptrace"
	"tp0/supervisor/procfs"
)

// maxStatuses is how many statuses are collected at a time. Where thousands of processes end, a
// process whose scan is done must not wait until all others are reaped.
const maxStatuses = 64

// reap collects the statuses that are there; moreStatuses says that there may be more. It first
// waits with WNOWAIT, so that the name of the zombie can be read, and then for exactly that
// pid.
func (l *Loop) reap() {
	l.checkJobStops()
	l.checkHelpers()
	defer l.checkTrees()
	l.moreStatuses = false
	for range maxStatuses {
		var info ptrace.Siginfo
		err := ptrace.Waitid(unix.P_ALL, 0, &info, unix.WEXITED|unix.WNOWAIT|unix.WALL)
		if err != nil || info.Pid == 0 {
			return
		}
		pid := int(info.Pid)
		var orphan procfs.Stat
		// A process in a ptrace stop can be killed before wait4, so its stat is read, too.
		if o := l.tids[pid]; l.byPid[pid] == nil && (o == nil || o.pid == pid && info.Dead()) {
			orphan, _ = procfs.ReadStat(pid)
		}
		if p := l.running[pid]; p != nil {
			l.killProbe(p)
		}
		var status unix.WaitStatus
		var usage unix.Rusage
		got, err := ptrace.Wait4(pid, &status, &usage)
		switch {
		case err != nil || got != pid:
			return // a process in a ptrace stop was killed; another SIGCHLD follows
		case status.Stopped():
			l.checkTracedJobStop(pid, status)
			l.handlePtraceStop(nil, localStop(pid, status))
		default:
			l.reaped(pid, status, usage, orphan)
		}
	}
	l.moreStatuses = true
}

// reaped handles the end of a main process, or passes another end on.
func (l *Loop) reaped(pid int, status unix.WaitStatus, usage unix.Rusage, orphan procfs.Stat) {
	exit := exitOf(status)
	if p := l.running[pid]; p != nil {
		l.probeEnded(p, exit)
		return
	}
	if h := l.helpers.byPid[pid]; h != nil {
		l.helperReaped(h)
		return
	}
	c := l.byPid[pid]
	if c == nil {
		l.otherReaped(pid, status, orphan)
		return
	}
	delete(l.byPid, pid)
	if group := c.tree.group; errors.Is(unix.Kill(-group, 0), unix.ESRCH) { // the group is empty
		delete(l.groupSignalled, group)
	}
	l.trees.scanDue = true
	l.trees.endedSinceListing = append(l.trees.endedSinceListing, c)
	l.takeTerminal(c)
	c.phase.Handle(phase.MainReaped)
	l.removeTracee(pid)
	if c.main != nil {
		l.handleEvent(c.main, proof.End, stopCause{})
	}
	c.exited = Exited{
		Process: c.id, Pid: pid, Exit: exit, Status: status, At: time.Now(), Rusage: usage,
		Killed: c.stop.killed,
	}
	l.closeBarrier(c)
}

// otherReaped handles the end of a process or thread that is not a main process: a traced
// thread that had no exit stop, a descendant whose parent reaps it later, or an orphan.
func (l *Loop) otherReaped(pid int, status unix.WaitStatus, stat procfs.Stat) {
	thread := stat.NonLeader || l.tids[pid] != nil && l.tids[pid].pid != pid
	l.removeTracee(pid)
	delete(l.forkParents, pid)
	if thread {
		return
	}
	if o := l.observations[pid]; o != nil {
		o.status = &status
		l.observedEnded(o)
		if stat.PPid != os.Getpid() {
			return
		}
	}
	child := l.removeAdopted(pid)
	if o := l.observations[pid]; child == "" && o != nil && o.owner != nil {
		child = o.owner.name // it was adopted and ended since the last listing
	}
	l.report(OrphanReaped{Child: child, Pid: pid, Command: stat.Comm, Exit: exitOf(status)})
}
