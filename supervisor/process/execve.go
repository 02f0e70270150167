package process

import (
	"errors"
	"time"

	"golang.org/x/sys/unix"

	"tp0/supervisor/procfs"
)

// PTRACE_SEIZE waits while a thread of the process is in execve(2), and that can
// take for ever: another tracer need not let a sibling go, and a file system
// need not answer. The loop must not wait. So a look, which is beside the loop,
// waits for such a thread for a moment, and notes a process whose execve does
// not end. The loop does not trace that one. A thread that enters execve between
// the check and the SEIZE is left to the last guard.

const (
	execveLimit = 50 * time.Millisecond // for all processes of a look
	execvePoll  = time.Millisecond
)

var errExecutes = errors.New("a thread of it is in execve, which does not end")

// awaitExecve waits, for a bounded time, until no thread of a process is in
// execve. On the loop's thread it does not wait.
func (l *Loop) awaitExecve(pid int, threads []int, since time.Time) {
	for anyInExecve(pid, threads) {
		if unix.Gettid() == l.tid || time.Since(since) >= execveLimit {
			l.executing.Store(pid, true)
			return
		}
		l.lookers.aside(func() { time.Sleep(execvePoll) })
	}
}

// executes reports whether a SEIZE of a process might wait. For most of them that
// is one read of a file.
func (l *Loop) executes(pid int) bool {
	if procfs.InExecve(pid, pid) {
		return true
	}
	if _, noted := l.executing.Load(pid); !noted {
		return false
	}
	if anyInExecve(pid, procfs.Threads(pid)) {
		return true
	}
	l.executing.Delete(pid)
	return false
}

func anyInExecve(pid int, threads []int) bool {
	for _, tid := range threads {
		if procfs.InExecve(pid, tid) {
			return true
		}
	}
	return false
}

// ptraceSeize may wait, so Go's scheduler has to know of it.
func ptraceSeize(tid int, options uintptr) error {
	if _, _, e := unix.Syscall6(unix.SYS_PTRACE, unix.PTRACE_SEIZE, uintptr(tid), 0, options, 0, 0); e != 0 {
		return e
	}
	return nil
}
