package procfs

import (
	"errors"
	"io/fs"
	"strconv"

	"golang.org/x/sys/unix"
)

// InExecve reports whether a thread sleeps in execve(2): it waits for other
// threads of its process to end, or for the file of the program. Whoever traces
// the process meanwhile waits as well (cred_guard_mutex in fs/exec.c). A thread
// that runs is not told apart from others ("running" in /proc/PID/syscall), and
// is done in a moment. Where that file may not be read, a thread in an
// uninterruptible sleep counts as one.
func InExecve(pid, tid int) bool {
	b, err := slurp(taskPath(pid, tid, "syscall"))
	if errors.Is(err, fs.ErrPermission) {
		s, err := readStat(taskPath(pid, tid, "stat"))
		return err == nil && s.State == 'D'
	}
	digits := 0
	for digits < len(b) && b[digits] >= '0' && b[digits] <= '9' {
		digits++
	}
	n, err := strconv.Atoi(string(b[:digits]))
	return err == nil && (n == unix.SYS_EXECVE || n == unix.SYS_EXECVEAT)
}
