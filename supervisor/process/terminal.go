package process

import (
	"golang.org/x/sys/unix"

	"tp0/supervisor/process/spawn"
)

// Job control for a run that has a group of its own at our terminal. The
// terminal signals the foreground group, which is the run's and not ours, so
// the shell that started us sees neither its stop nor its end. We pass both on:
// we stop when it does, and take the terminal back when it ended.

// checkJobStops looks for runs that job control stopped. It asks for these pids alone:
// for all children it would take the stops of others from who waits for them.
func (l *Loop) checkJobStops() {
	if !l.terminal {
		return // of many children none has one
	}
	for pid, c := range l.byPid {
		if o := c.observed; !c.terminal || o != nil && len(o.traced) > 0 { // a traced one's stops are ptrace's, see tracedJob
			continue
		}
		var info siginfo
		if waitid(unix.P_PID, pid, &info, unix.WSTOPPED) == nil && info.Pid != 0 {
			l.jobStopped(c, unix.Signal(info.Status))
		}
	}
}

// checkTracedJobStop does the same for a run that we trace: its stop comes as one of
// ptrace's.
func (l *Loop) checkTracedJobStop(tid int, status unix.WaitStatus) {
	o, what, sig := l.tids[tid], int(status>>16)&0xff, status.StopSignal()
	if o != nil && o.isMain() && tid == o.pid && what == eventStop && sig != unix.SIGTRAP {
		l.jobStopped(o.owner, sig)
	}
}

// jobStopped stops us and our whole group, as the terminal would have. Where
// nobody could continue us the run goes on instead: the kernel does not stop
// such a group by the terminal either (setpgid(2), orphaned).
func (l *Loop) jobStopped(c *childProcess, sig unix.Signal) {
	if !c.terminal {
		return
	}
	if spawn.GroupOrphaned() {
		if sig == unix.SIGTSTP {
			_ = l.signalScope(c, pendingSignal{signal: unix.SIGCONT})
		}
		return
	}
	_ = unix.Kill(0, unix.SIGSTOP) // SIGCONT goes on in forward
}

// giveTerminal makes the run's group the foreground one if ours is.
func (l *Loop) giveTerminal(c *childProcess) {
	if c.terminal {
		spawn.GiveForeground(c.pid)
	}
}

// takeTerminal makes ours the foreground group again if the run's is.
func (l *Loop) takeTerminal(c *childProcess) {
	if c.terminal {
		spawn.TakeForeground(c.pid)
	}
}
