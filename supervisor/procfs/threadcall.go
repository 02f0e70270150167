package procfs

import (
	"errors"
	"io/fs"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// InExecve reports whether a thread waits in execve(2): for other threads of its process to end, or
// for the file of the program. A tracer of the process would wait too (cred_guard_mutex,
// fs/exec.c). A running thread does not count: /proc/PID/syscall does not name its system call, and
// execve does not wait then. If that file may not be read, a thread in an uninterruptible sleep
// counts.
func InExecve(pid, tid int) bool {
	b, err := readFile(taskPath(pid, tid, "syscall"))
	if errors.Is(err, fs.ErrPermission) {
		s, err := ReadThread(pid, tid)
		return err == nil && s.State == 'D'
	}
	digits := 0
	for digits < len(b) && b[digits] >= '0' && b[digits] <= '9' {
		digits++
	}
	n, err := strconv.Atoi(string(b[:digits]))
	return err == nil && (n == unix.SYS_EXECVE || n == unix.SYS_EXECVEAT)
}

// BlockedInExecve reports whether a thread is in an uninterruptible sleep in execve(2). Such a
// thread is certainly a survivor in the sense of [LiveSiblings]: after a SIGKILL it does not sleep
// any more. The caller must have the right to trace the thread (/proc/PID/syscall).
func BlockedInExecve(pid, tid int) bool {
	s, err := ReadThread(pid, tid)
	if err != nil || s.State != 'D' {
		return false
	}
	name, _ := parseSyscall(readWord(taskPath(pid, tid, "syscall")))
	return name == syscallOf(unix.SYS_EXECVE).name || name == syscallOf(unix.SYS_EXECVEAT).name
}

// InSigwait reports whether a thread of a process waits in sigwait(3). The thread has blocked the
// signals that it waits for, but the kernel unblocks them during the wait, and does not report
// which they are.
func InSigwait(pid int) bool {
	for _, tid := range Threads(pid) {
		name, _ := parseSyscall(readWord(taskPath(pid, tid, "syscall")))
		if name == "rt_sigtimedwait" {
			return true
		}
	}
	return false
}

// parseSyscall parses a line of /proc/PID/syscall: "232 0x4 …", "running", or "-1 …" for a thread
// that waits outside of a system call, as in a page fault. fd is -1 if the call has none.
func parseSyscall(line string) (name string, fd int) {
	w := strings.Fields(line)
	if len(w) == 0 || w[0] == "-1" {
		return "", -1
	}
	n, err := strconv.Atoi(w[0])
	if err != nil {
		return w[0], -1
	}
	call := syscallOf(n)
	if !call.fd || len(w) < 2 {
		return call.name, -1
	}
	arg, err := strconv.ParseUint(w[1], 0, 64)
	if err != nil {
		return call.name, -1
	}
	return call.name, int(int32(arg))
}

func syscallOf(n int) systemCall {
	for _, table := range []map[int]systemCall{systemCalls, legacyCalls} {
		if c, ok := table[n]; ok {
			return c
		}
	}
	return systemCall{name: "syscall " + strconv.Itoa(n)}
}
