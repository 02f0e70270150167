package spawn

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"

	"tp0/supervisor/procfs"
)

// This file has operations on the controlling terminal at standard input (tty_ioctl(4)). A child
// that reads from the supervisor's terminal with a process group of its own must be in the
// foreground group. The operations do nothing if the supervisor has no terminal.

// HasTerminal reports whether standard input is the controlling terminal. Any goroutine may call
// it.
func HasTerminal() bool {
	_, err := foreground()
	return err == nil
}

// GiveUpTerminal detaches the supervisor from its controlling terminal, so that another session can
// use it. It returns false if that failed: only a session leader can do it. The kernel then sends
// SIGHUP and SIGCONT to the foreground group, which is that of the supervisor (TIOCNOTTY,
// tty_ioctl(4)); the caller must ignore both. Any goroutine may call it before the first fork.
func GiveUpTerminal() bool {
	session, err := unix.Getsid(0)
	return err == nil && session == os.Getpid() && HasTerminal() &&
		unix.IoctlSetInt(0, unix.TIOCNOTTY, 0) == nil
}

// GiveForeground makes a process group the foreground group of the terminal, if the supervisor's
// group is the foreground group now. Call it on a locked thread, because it changes the signal mask
// temporarily.
func GiveForeground(group int) {
	if inForeground() {
		setForeground(group)
	}
}

// inForeground reports whether the supervisor's group is the foreground group. In a pid namespace
// whose first process was started from outside, as by unshare(1) and nsenter(1), both groups can be
// outside: the kernel reports 0 for them. There only a read can tell: in the background it fails if
// SIGTTIN is blocked (tty_ioctl(4)). The read of no bytes changes nothing.
func inForeground() bool {
	group, err := foreground()
	switch {
	case err != nil:
		return false
	case group != 0 || unix.Getpgrp() != 0:
		return group == unix.Getpgrp()
	}
	blocking(unix.SIGTTIN, func() { _, err = unix.Read(0, nil) })
	return err == nil
}

// TakeForeground makes the supervisor's group the foreground group again, if the foreground group
// is group or has no members any more. A shell that took the terminal keeps it. Call it on a locked
// thread, as GiveForeground.
func TakeForeground(group int) {
	now, err := foreground()
	if err == nil && now == group || now > 0 && errors.Is(unix.Kill(-now, 0), unix.ESRCH) {
		setForeground(unix.Getpgrp())
	}
}

// GroupOrphaned reports whether the supervisor's process group is orphaned: no member has a parent
// in the session and outside the group (setpgid(2)). If such a group is stopped, no shell continues
// it. GroupOrphaned checks only the supervisor's ancestors, and an ancestor that cannot be read
// ends the check. Any goroutine may call it.
func GroupOrphaned() bool {
	if os.Getpid() == 1 {
		return true
	}
	group := unix.Getpgrp()
	session, err := unix.Getsid(0)
	if err != nil {
		return true
	}
	for pid := os.Getppid(); pid > 0; {
		s, err := unix.Getsid(pid)
		if err != nil || s != session {
			return true
		}
		g, err := unix.Getpgid(pid)
		if err != nil || g != group {
			return err != nil
		}
		p, err := procfs.ReadStat(pid)
		if err != nil {
			return true
		}
		pid = p.PPid
	}
	return true
}

// foreground returns the foreground group of the terminal at standard input; 0 is a group of
// another pid namespace. It fails if standard input is not the controlling terminal.
func foreground() (group int, err error) { return unix.IoctlGetInt(0, unix.TIOCGPGRP) }

// setForeground makes a group the foreground group. If the supervisor's group is in the background,
// the kernel sends it SIGTTOU unless this thread blocks the signal (tcsetpgrp(3)).
func setForeground(group int) {
	blocking(unix.SIGTTOU, func() { _ = unix.IoctlSetPointerInt(0, unix.TIOCSPGRP, group) })
}

// blocking calls do while this thread blocks a signal.
func blocking(sig unix.Signal, do func()) {
	old := unix.Sigset_t{}
	block := unix.Sigset_t{}
	block.Val[0] = 1 << (sig - 1)
	if unix.PthreadSigmask(unix.SIG_BLOCK, &block, &old) != nil {
		return
	}
	do()
	_ = unix.PthreadSigmask(unix.SIG_SETMASK, &old, nil)
}
