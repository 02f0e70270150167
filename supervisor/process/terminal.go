package process

import (
	"golang.org/x/sys/unix"

	"tp0/supervisor/process/ptrace"
	"tp0/supervisor/process/spawn"
)

// Job control: a child process in a process group of its own has the terminal. The terminal
// signals that foreground group, so the shell that started the supervisor sees neither the stop
// nor the end of the process. The supervisor passes both on: it stops when the process stops,
// and takes the terminal back when the process ends.
//
// checkJobStops handles child processes that job control stopped. It asks for their pids alone:
// a wait for all children would take ptrace stops from the loop.
func (l *Loop) checkJobStops() {
	if !l.terminal {
		return // no child process has a terminal
	}
	for pid, c := range l.byPid {
		if o := c.main; !c.terminal || o != nil && len(o.traced) > 0 { // see checkTracedJobStop
			continue
		}
		var info ptrace.Siginfo
		if ptrace.Waitid(unix.P_PID, pid, &info, unix.WSTOPPED) == nil && info.Pid != 0 {
			l.jobStopped(c, unix.Signal(info.Status))
		}
	}
}

// checkTracedJobStop handles the job control stop of a traced process, which is a ptrace stop.
func (l *Loop) checkTracedJobStop(tid int, status unix.WaitStatus) {
	o, what, sig := l.tids[tid], int(status>>16)&0xff, status.StopSignal()
	if o != nil && o.isMain() && tid == o.pid && what == ptrace.EventStop && sig != unix.SIGTRAP {
		l.jobStopped(o.owner, sig)
	}
}

// jobStopped stops the supervisor and its process group, as the terminal would. If no process
// could continue the group, the child process continues instead: the kernel does not stop such
// a group at the terminal either (setpgid(2), orphaned process group).
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
	_ = unix.Kill(0, unix.SIGSTOP) // forward handles the SIGCONT
}

// giveTerminal makes the process group the foreground group, if the supervisor's group is.
func (l *Loop) giveTerminal(c *childProcess) {
	if c.terminal {
		spawn.GiveForeground(c.pid)
	}
}

// takeTerminal makes the supervisor's group the foreground group again, if the process's group
// is.
func (l *Loop) takeTerminal(c *childProcess) {
	if c.terminal {
		spawn.TakeForeground(c.pid)
	}
}
