package process

import (
	"errors"

	"golang.org/x/sys/unix"

	"tp0/supervisor/lifecycle"
	"tp0/supervisor/procfs"
)

// kill signals the processes that the scope of a run reaches. The main process is not
// reaped, so no other process can have its pid.
func (l *Loop) kill(r *run, d delivery) error {
	defer l.expect()
	switch r.scope {
	case lifecycle.ScopeProcess:
		return unix.Kill(r.pid, d.signal)
	case lifecycle.ScopeTree:
		return l.killTree(r, d)
	}
	if d.rung > 0 {
		l.tell(r.tree.group)
	}
	return killGroup(r.pid, r.tree.group, d.signal)
}

// killGroup signals the process group that a run was given, and the run itself
// where it has left that group (setsid(2)). The number of a group is not used again
// while its leader is not reaped or a process is in it.
func killGroup(pid, group int, sig unix.Signal) error {
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

// killTree signals a run and its descendants, each once. They are listed first:
// those of one that dies of the signal would be found no more.
func (l *Loop) killTree(r *run, d delivery) error {
	below := appendTree(nil, r.pid)
	l.scanAdopted() // a daemon that forked twice is none of its descendants any more
	for _, a := range l.survivors(r) {
		below = appendTree(below, a.stat.Pid)
	}
	err := unix.Kill(r.pid, d.signal)
	for _, s := range below {
		if s.Pid != r.pid && killExactly(s, d.signal) == nil && d.rung > 0 {
			r.tree.sent[key(s)] = d.rung
			if d.signal == unix.SIGKILL {
				r.tree.killing.add(s)
			}
		}
	}
	return err
}

// killExactly signals a process unless its number was recycled: the handle is
// taken first and the look repeated.
func killExactly(p procfs.Stat, sig unix.Signal) error {
	fd, err := unix.PidfdOpen(p.Pid, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if again, err := procfs.ReadStat(p.Pid); err != nil || key(again) != key(p) {
		return unix.ESRCH
	}
	return unix.PidfdSendSignal(fd, sig, nil, 0)
}
