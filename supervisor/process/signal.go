package process

import (
	"errors"

	"golang.org/x/sys/unix"

	"tp0/supervisor/lifecycle"
	"tp0/supervisor/procfs"
)

// signalScope signals the processes that the scope of a run reaches. The main process is not
// reaped, so no other process can have its pid.
func (l *Loop) signalScope(c *childProcess, d pendingSignal) error {
	defer l.startBusyPoll()
	switch c.scope {
	case lifecycle.ScopeProcess:
		return unix.Kill(c.pid, d.signal)
	case lifecycle.ScopeTree:
		return l.signalTree(c, d)
	}
	if d.step > 0 {
		l.noteGroupSignalled(c.tree.group)
	}
	return signalGroup(c.pid, c.tree.group, d.signal)
}

// signalGroup signals the process group that a run was given, and the run itself
// where it has left that group (setsid(2)). The number of a group is not used again
// while its leader is not reaped or a process is in it.
func signalGroup(pid, group int, sig unix.Signal) error {
	now, e := unix.Getpgid(pid)
	left := e == nil && now != group
	if left && group != pid {
		return unix.Kill(pid, sig)
	}
	err := unix.Kill(-group, sig)
	if left {
		return unix.Kill(pid, sig)
	}
	if errors.Is(err, unix.ESRCH) {
		return unix.Kill(pid, sig)
	}
	return err
}

// signalTree signals a run and its descendants, each once. They are listed first:
// those of one that dies of the signal would be found no more.
func (l *Loop) signalTree(c *childProcess, d pendingSignal) error {
	below := appendTree(nil, c.pid)
	l.scanAdopted() // a daemon that forked twice is none of its descendants any more
	for _, a := range l.survivors(c) {
		below = appendTree(below, a.stat.Pid)
	}
	err := unix.Kill(c.pid, d.signal)
	for _, s := range below {
		if s.Pid != c.pid && signalExactly(s, d.signal) == nil && d.step > 0 {
			c.tree.sent[identityOf(s)] = d.step
			if d.signal == unix.SIGKILL {
				c.tree.killing.markKilled(s)
			}
		}
	}
	return err
}

// signalExactly signals a process unless its number was recycled: the handle is
// taken first and the look repeated.
func signalExactly(p procfs.Stat, sig unix.Signal) error {
	fd, err := unix.PidfdOpen(p.Pid, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if again, err := procfs.ReadStat(p.Pid); err != nil || identityOf(again) != identityOf(p) {
		return unix.ESRCH
	}
	return unix.PidfdSendSignal(fd, sig, nil, 0)
}

// noteGroupSignalled notes when a process group was sent its first step. The orphan cleanup does not
// signal its members again: a second SIGTERM can cut short a clean-up.
func (l *Loop) noteGroupSignalled(group int) {
	if _, ok := l.groupSignalled[group]; ok {
		return
	}
	if now, err := procfs.Uptime(); err == nil {
		l.groupSignalled[group] = now
	}
}

// continueDue continues a run that was sent a step, if job control stopped it. Such a
// stop takes a moment, or comes later, so continueDue is called again.
func (l *Loop) continueDue(c *childProcess) {
	if c.stop.continuation == continueIfStopped && !c.phase.MainEnded() && c.stopped() {
		l.continueRun(c)
	}
}

// continueRun sends SIGCONT to a run whose stop has begun, unless it was sent SIGCONT
// before.
func (l *Loop) continueRun(c *childProcess) {
	if c.stop.continuation == continued || !c.stop.started() {
		return
	}
	c.stop.continuation = continued
	err := l.signalScope(c, pendingSignal{signal: unix.SIGCONT})
	l.report(Signalled{Process: c.id, Pid: c.pid, Signal: unix.SIGCONT, Err: err})
}

// stopped reports whether job control stopped the main process. Of a traced one its
// state machine knows, see proof.GroupStop.
func (c *childProcess) stopped() bool {
	if o := c.observed; o != nil && o.machine.State.IsTraced() {
		return o.machine.State.IsJobStopped()
	}
	if c.terminal { // its stops are collected, see lookAtJobs
		s, err := procfs.ReadStat(c.pid)
		return err == nil && s.Stopped()
	}
	var info siginfo
	return waitid(unix.P_PID, c.pid, &info, unix.WSTOPPED|unix.WNOWAIT) == nil && info.Pid != 0
}
