package process

import (
	"errors"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"tp0/supervisor/process/ptrace"
	"tp0/supervisor/procfs"
)

// everyProcess is the pid with which kill(2) signals every process of the pid namespace, except for
// its pid 1 and the caller.
const everyProcess = -1

// tickUnlisted is the orphan cleanup where /proc does not list the processes of this pid namespace,
// see procdir.Fault. Each orphan gets SIGTERM once, and SIGKILL after killAt. waitid(2)
// reports ECHILD once no child exists.
func (l *Loop) tickUnlisted(now time.Time) time.Time {
	s := l.cleanup
	if s.unlistedSteps == nil {
		s.unlistedSteps = map[int]int{}
	}
	sig, step := unix.SIGTERM, 1
	if !now.Before(s.killAt) {
		sig, step = unix.SIGKILL, 2
	}
	started := time.Now()
	if os.Getpid() == 1 {
		l.signalUnlisted(everyProcess, "every process of the pid namespace", sig, step)
	} else {
		l.signalChildren(sig, step)
	}
	next := now.Add(max(reapPoll, 2*time.Since(started)))
	if step == 1 {
		return earlier(s.killAt, next)
	}
	return next
}

// signalChildren signals the children of the supervisor. waitid(2) knows whether a pid is that of a
// child. So it asks for each pid up to the last one that was assigned. After the pids have started
// again, children with a higher pid are missed.
func (l *Loop) signalChildren(sig unix.Signal, step int) {
	const firstPid = 2
	for pid, last := firstPid, procfs.LastPid(); pid <= last; pid++ {
		var info ptrace.Siginfo
		err := ptrace.Waitid(unix.P_PID, pid, &info, unix.WEXITED|unix.WNOWAIT|unix.WALL)
		if errors.Is(err, unix.ECHILD) || info.Pid != 0 || l.isOwnTool(pid) {
			continue // no child, a zombie, or a process that is not to be signalled
		}
		l.signalUnlisted(pid, "unknown", sig, step)
	}
}

// signalUnlisted sends a step to a process, or to everyProcess, unless it got the step. command is
// what the log calls it. A stopped process cannot handle a signal, so SIGCONT follows.
func (l *Loop) signalUnlisted(pid int, command string, sig unix.Signal, step int) {
	if l.cleanup.unlistedSteps[pid] >= step || unix.Kill(pid, sig) != nil {
		return
	}
	_ = unix.Kill(pid, unix.SIGCONT)
	l.cleanup.unlistedSteps[pid] = step
	l.report(OrphanSignalled{Pid: pid, Command: command, Signal: sig, Step: step})
}
