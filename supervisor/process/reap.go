package process

import (
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"tp0/supervisor/event"
	"tp0/supervisor/process/phase"
	"tp0/supervisor/process/proof"
	"tp0/supervisor/procfs"
)

// mostStatuses are collected at a time: where thousands end, who was looked at
// must not wait until all of them are reaped.
const mostStatuses = 64

// reap collects the statuses that there are; l.more says that there may be
// more. The first look leaves the zombie in place, so that its name can still be
// read; then exactly that pid is waited for.
func (l *Loop) reap() {
	l.lookAtJobs()
	defer l.followTrees()
	l.more = false
	for range mostStatuses {
		var info siginfo
		err := waitid(unix.P_ALL, 0, &info, unix.WEXITED|unix.WNOWAIT|unix.WALL)
		if err != nil || info.Pid == 0 {
			return
		}
		pid := int(info.Pid)
		var orphan procfs.Stat
		// A stranger that stands in a stop can be killed before we wait for it.
		if w := l.tids[pid]; l.pids[pid] == nil && (w == nil || w.pid == pid && info.dead()) {
			orphan, _ = procfs.ReadStat(pid)
		}
		if t := l.trials[pid]; t != nil {
			l.killTrial(t)
		}
		var status unix.WaitStatus
		var usage unix.Rusage
		got, err := wait4(pid, &status, &usage)
		switch {
		case err != nil || got != pid:
			return // somebody killed what stood in a stop; another SIGCHLD comes
		case status.Stopped():
			l.tracedJob(pid, status)
			l.stopped(pid, status)
		default:
			l.dead(pid, status, usage, orphan)
		}
	}
	l.more = true
}

func (l *Loop) dead(pid int, status unix.WaitStatus, usage unix.Rusage, orphan procfs.Stat) {
	exit := exitOf(status)
	if t := l.trials[pid]; t != nil {
		l.tried(t, exit)
		return
	}
	r := l.pids[pid]
	if r == nil {
		l.deadBelow(pid, status, orphan)
		return
	}
	delete(l.pids, pid)
	if group := r.tree.group; errors.Is(unix.Kill(-group, 0), unix.ESRCH) { // nobody is left in it
		delete(l.told, group)
	}
	l.trees.due = true
	l.trees.ended = append(l.trees.ended, r)
	l.takeTerminal(r)
	r.phase.Handle(phase.MainReaped)
	l.lost(pid)
	if r.watched != nil {
		l.feed(r.watched, proof.End, cause{})
	}
	r.exited = Exited{
		Process: r.id, Pid: pid, Exit: exit, Status: status, At: time.Now(), Rusage: usage,
		Killed: r.stop.killed,
	}
	l.release(r)
}

// deadBelow handles the end of what is no run: a thread that we trace, gone
// without an exit stop; a process below a run, which its parent waits for once
// we have been told; an orphan, which is ours alone.
func (l *Loop) deadBelow(pid int, status unix.WaitStatus, stat procfs.Stat) {
	thread := stat.NonLeader || l.tids[pid] != nil && l.tids[pid].pid != pid
	l.lost(pid)
	delete(l.unborn, pid)
	if thread {
		return
	}
	if w := l.watches[pid]; w != nil {
		w.status = &status
		l.ended(w)
		if stat.PPid != os.Getpid() {
			return
		}
	}
	child := l.reapedAdopted(pid)
	if w := l.watches[pid]; child == "" && w != nil && w.run != nil {
		child = w.run.name // it was adopted and ended since the last scan
	}
	l.report(OrphanReaped{Child: child, Pid: pid, Command: stat.Comm, Exit: exitOf(status)})
}

func exitOf(s unix.WaitStatus) event.Exit {
	if s.Signaled() {
		name := unix.SignalName(s.Signal())
		if name == "" { // a realtime signal
			name = fmt.Sprintf("signal %d", int(s.Signal()))
		}
		return event.Exit{Signal: name, Core: s.CoreDump()}
	}
	return event.Exit{Code: s.ExitStatus()}
}
