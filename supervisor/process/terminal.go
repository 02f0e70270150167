package process

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"

	"tp0/supervisor/procfs"
)

// Job control for a run that has a group of its own at our terminal. The
// terminal signals the foreground group, which is the run's and not ours, so
// the shell that started us sees neither its stop nor its end. We pass both on:
// we stop when it does, and take the terminal back when it ended.

// HasTerminal reports whether standard input is our controlling terminal.
func HasTerminal() bool { return foreground() > 0 }

// GiveUpTerminal leaves our terminal to whoever takes it next, if we lead its
// session, and reports whether it did. The kernel sends SIGHUP and SIGCONT to
// the foreground group then, which is ours (tty_ioctl(4), TIOCNOTTY): both must
// be ignored.
func GiveUpTerminal() bool {
	session, err := unix.Getsid(0)
	return err == nil && session == os.Getpid() && HasTerminal() && unix.IoctlSetInt(0, unix.TIOCNOTTY, 0) == nil
}

// lookAtJobs looks for runs that job control stopped. It asks for these pids alone:
// for all children it would take the stops of others from who waits for them.
func (l *Loop) lookAtJobs() {
	if !l.terminal {
		return // of many children none has one
	}
	for pid, r := range l.pids {
		if w := r.watched; !r.terminal || w != nil && len(w.traced) > 0 { // a traced one's stops are ptrace's, see tracedJob
			continue
		}
		var info siginfo
		if waitid(unix.P_PID, pid, &info, unix.WSTOPPED) == nil && info.Pid != 0 {
			l.jobStopped(r, unix.Signal(info.Status))
		}
	}
}

// tracedJob does the same for a run that we trace: its stop comes as one of
// ptrace's.
func (l *Loop) tracedJob(tid int, status unix.WaitStatus) {
	w, what, sig := l.tids[tid], int(status>>16)&0xff, status.StopSignal()
	if w != nil && w.own() && tid == w.pid && what == eventStop && sig != unix.SIGTRAP {
		l.jobStopped(w.run, sig)
	}
}

// jobStopped stops us and our whole group, as the terminal would have. Where
// nobody could continue us the run goes on instead: the kernel does not stop
// such a group by the terminal either (setpgid(2), orphaned).
func (l *Loop) jobStopped(r *run, sig unix.Signal) {
	if !r.terminal {
		return
	}
	if orphaned() {
		if sig == unix.SIGTSTP {
			_ = l.kill(r, delivery{signal: unix.SIGCONT})
		}
		return
	}
	_ = unix.Kill(0, unix.SIGSTOP) // SIGCONT goes on in forward
}

// orphaned reports whether nobody watches over our group: no parent of one of
// its members is of our session and outside the group. It looks along our own
// ancestors.
func orphaned() bool {
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

// giveTerminal makes the run's group the foreground one if ours is.
func (l *Loop) giveTerminal(r *run) {
	if r.terminal && foreground() == unix.Getpgrp() {
		setForeground(r.pid)
	}
}

// takeTerminal makes ours the foreground group again if the run's is, or one
// that is empty by now. A shell that took the terminal keeps it.
func (l *Loop) takeTerminal(r *run) {
	if !r.terminal {
		return
	}
	if fg := foreground(); fg == r.pid || fg > 0 && errors.Is(unix.Kill(-fg, 0), unix.ESRCH) {
		setForeground(unix.Getpgrp())
	}
}

// foreground is the foreground group of the terminal at standard input; 0:
// that is not our terminal.
func foreground() int {
	group, err := unix.IoctlGetInt(0, unix.TIOCGPGRP)
	if err != nil {
		return 0
	}
	return group
}

// setForeground may be called in the background: the kernel then sends SIGTTOU
// to the caller's group unless this thread blocks it (tcsetpgrp(3)).
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
