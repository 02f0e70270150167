package process

import (
	"errors"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"tp0/supervisor/process/phase"
	"tp0/supervisor/process/proof"
	"tp0/supervisor/procfs"
)

// maxStatuses are collected at a time: where thousands end, who was looked at
// must not wait until all of them are reaped.
const maxStatuses = 64

// reap collects the statuses that there are; l.more says that there may be
// more. The first look leaves the zombie in place, so that its name can still be
// read; then exactly that pid is waited for.
func (l *Loop) reap() {
	l.checkJobStops()
	defer l.checkTrees()
	l.moreStatuses = false
	for range maxStatuses {
		var info siginfo
		err := waitid(unix.P_ALL, 0, &info, unix.WEXITED|unix.WNOWAIT|unix.WALL)
		if err != nil || info.Pid == 0 {
			return
		}
		pid := int(info.Pid)
		var orphan procfs.Stat
		// A stranger that stands in a stop can be killed before we wait for it.
		if o := l.tids[pid]; l.byPid[pid] == nil && (o == nil || o.pid == pid && info.dead()) {
			orphan, _ = procfs.ReadStat(pid)
		}
		if p := l.running[pid]; p != nil {
			l.killProbe(p)
		}
		var status unix.WaitStatus
		var usage unix.Rusage
		got, err := wait4(pid, &status, &usage)
		switch {
		case err != nil || got != pid:
			return // somebody killed what stood in a stop; another SIGCHLD comes
		case status.Stopped():
			l.checkTracedJobStop(pid, status)
			l.handlePtraceStop(pid, status)
		default:
			l.reaped(pid, status, usage, orphan)
		}
	}
	l.moreStatuses = true
}

func (l *Loop) reaped(pid int, status unix.WaitStatus, usage unix.Rusage, orphan procfs.Stat) {
	exit := exitOf(status)
	if p := l.running[pid]; p != nil {
		l.probeEnded(p, exit)
		return
	}
	c := l.byPid[pid]
	if c == nil {
		l.otherReaped(pid, status, orphan)
		return
	}
	delete(l.byPid, pid)
	if group := c.tree.group; errors.Is(unix.Kill(-group, 0), unix.ESRCH) { // nobody is left in it
		delete(l.groupSignalled, group)
	}
	l.trees.scanDue = true
	l.trees.ended = append(l.trees.ended, c)
	l.takeTerminal(c)
	c.phase.Handle(phase.MainReaped)
	l.removeTracee(pid)
	if c.observed != nil {
		l.handleEvent(c.observed, proof.End, stopCause{})
	}
	c.exited = Exited{
		Process: c.id, Pid: pid, Exit: exit, Status: status, At: time.Now(), Rusage: usage,
		Killed: c.stop.killed,
	}
	l.closeBarrier(c)
}

// otherReaped handles the end of what is no run: a thread that we trace, gone
// without an exit stop; a process below a run, which its parent waits for once
// we have been told; an orphan, which is ours alone.
func (l *Loop) otherReaped(pid int, status unix.WaitStatus, stat procfs.Stat) {
	thread := stat.NonLeader || l.tids[pid] != nil && l.tids[pid].pid != pid
	l.removeTracee(pid)
	delete(l.forkParents, pid)
	if thread {
		return
	}
	if o := l.observed[pid]; o != nil {
		o.status = &status
		l.observedEnded(o)
		if stat.PPid != os.Getpid() {
			return
		}
	}
	child := l.removeAdopted(pid)
	if o := l.observed[pid]; child == "" && o != nil && o.owner != nil {
		child = o.owner.name // it was adopted and ended since the last scan
	}
	l.report(OrphanReaped{Child: child, Pid: pid, Command: stat.Comm, Exit: exitOf(status)})
}
