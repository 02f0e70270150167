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
func HasTerminal() bool { return foreground() > 0 }

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
	if foreground() == unix.Getpgrp() {
		setForeground(group)
	}
}

// TakeForeground makes the supervisor's group the foreground group again, if the foreground group
// is group or has no members any more. A shell that took the terminal keeps it. Call it on a locked
// thread, as GiveForeground.
func TakeForeground(group int) {
	now := foreground()
	if now == group || now > 0 && errors.Is(unix.Kill(-now, 0), unix.ESRCH) {
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

// foreground returns the foreground group of the terminal at standard input. It returns 0 if
// standard input is not the controlling terminal.
func foreground() int {
	group, err := unix.IoctlGetInt(0, unix.TIOCGPGRP)
	if err != nil {
		return 0
	}
	return group
}

// setForeground makes a group the foreground group. If the supervisor's group is in the background,
// the kernel sends it SIGTTOU unless this thread blocks the signal (tcsetpgrp(3)).
func setForeground(group int) {
	old := unix.Sigset_t{}
	block := unix.Sigset_t{}
	block.Val[0] = 1 << (unix.SIGTTOU - 1)
	if unix.PthreadSigmask(unix.SIG_BLOCK, &block, &old) != nil {
		return
	}
	_ = unix.IoctlSetPointerInt(0, unix.TIOCSPGRP, group)
	_ = unix.PthreadSigmask(unix.SIG_SETMASK, &old, nil)
}
