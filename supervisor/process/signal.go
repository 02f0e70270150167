package process

import (
	"errors"

	"golang.org/x/sys/unix"

	"tp0/supervisor/lifecycle"
	"tp0/supervisor/process/ptrace"
	"tp0/supervisor/procfs"
)

// signalScope signals the processes in the scope of a child process. The main process is not
// reaped, so no other process has its pid.
func (l *Loop) signalScope(c *childProcess, d pendingSignal) error {
	switch c.scope {
	case lifecycle.ScopeProcess:
		return unix.Kill(c.pid, d.signal)
	case lifecycle.ScopeTree:
		return l.signalTree(c, d)
	}
	if d.step > 0 && d.signal != 0 {
		l.noteGroupSignalled(c.tree.group)
	}
	return signalGroup(c.pid, c.tree.group, d.signal)
}

// signalGroup signals a process group, and its main process if that has left the group
// (setsid(2)). The number of a group is not used again while its leader is not reaped or a
// process is in the group.
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

// signalTree signals a main process and its descendants, each once. The descendants are listed
// first, since those of a process that dies of the signal would no longer be found.
func (l *Loop) signalTree(c *childProcess, d pendingSignal) error {
	tree := appendTree(nil, c.pid)
	l.scanAdopted() // a daemon that forked twice is no longer a descendant
	for _, a := range l.survivors(c) {
		tree = appendTree(tree, a.stat.Pid)
	}
	err := unix.Kill(c.pid, d.signal)
	for _, s := range tree {
		if s.Pid != c.pid && signalExactly(s, d.signal) == nil && d.step > 0 {
			c.tree.sent[identityOf(s)] = d.step
			if d.signal == unix.SIGKILL {
				c.tree.killing.markKilled(s)
			}
		}
	}
	return err
}

// signalExactly signals a process unless its pid was recycled. It opens a pidfd and then checks
// the identity of the process again.
func signalExactly(p procfs.Stat, sig unix.Signal) error {
	fd, err := unix.PidfdOpen(p.Pid, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if current, err := procfs.ReadStat(p.Pid); err != nil || identityOf(current) != identityOf(p) {
		return unix.ESRCH
	}
	return unix.PidfdSendSignal(fd, sig, nil, 0)
}

// noteGroupSignalled records that a process group got its first step. The orphan cleanup does
// not signal its processes again: a second SIGTERM can abort a clean-up of theirs.
func (l *Loop) noteGroupSignalled(group int) {
	if _, ok := l.groupSignalled[group]; ok {
		return
	}
	if now, err := procfs.Uptime(); err == nil {
		l.groupSignalled[group] = now
	}
}

// continueDue continues a child process that got a step while job control had stopped it. A
// stop by job control takes a moment or comes later, so continueDue is called again.
func (l *Loop) continueDue(c *childProcess) {
	if c.stop.continuation == continueIfStopped && !c.phase.MainEnded() && c.stopped() {
		l.continueOnce(c)
	}
}

// continueOnce sends SIGCONT to a child process after the start of its stop, once.
func (l *Loop) continueOnce(c *childProcess) {
	if c.stop.continuation == continued || !c.stop.started() {
		return
	}
	c.stop.continuation = continued
	err := l.signalScope(c, pendingSignal{signal: unix.SIGCONT})
	l.report(Signalled{Process: c.id, Pid: c.pid, Signal: unix.SIGCONT, Err: err})
}

// stopped reports whether job control stopped the main process. For a traced process the state
// machine knows it, see proof.GroupStop.
func (c *childProcess) stopped() bool {
	if o := c.main; o != nil && o.machine.State.IsTraced() {
		return o.machine.State.IsJobStopped()
	}
	if c.terminal { // checkJobStops collects its stops
		s, err := procfs.ReadStat(c.pid)
		return err == nil && s.Stopped()
	}
	var info ptrace.Siginfo
	err := ptrace.Waitid(unix.P_PID, c.pid, &info, unix.WSTOPPED|unix.WNOWAIT)
	return err == nil && info.Pid != 0
}
