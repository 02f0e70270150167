package procfs

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"tp0/supervisor/procdir"
)

// ErrLimits is returned for a limits file without a valid line for a limit.
var ErrLimits = errors.New("no valid line")

// FileLocks returns the soft RLIMIT_LOCKS of a process, unix.RLIM_INFINITY if it is unlimited.
// Every user may read it (proc_pid_limits(5): the mode is 0444, without a ptrace check).
func FileLocks(pid int) (uint64, error) { return softLimit(pid, fileLocks) }

// OpenFiles returns the soft RLIMIT_NOFILE of a process: the number of descriptors that it may have
// open. Every user may read it.
func OpenFiles(pid int) (uint64, error) { return softLimit(pid, openFiles) }

// The names of limits in /proc/PID/limits.
const (
	fileLocks = "Max file locks"
	openFiles = "Max open files"
)

func softLimit(pid int, name string) (uint64, error) {
	b, err := readFile(procdir.Of(pid) + "/limits")
	if err != nil {
		return 0, err
	}
	return parseLimit(b, name)
}

// parseLimit returns a soft limit of a limits file.
func parseLimit(limits []byte, name string) (uint64, error) {
	_, rest, _ := bytes.Cut(limits, []byte("\n"+name))
	soft, _, _ := strings.Cut(strings.TrimLeft(string(rest[:min(len(rest), 40)]), " "), " ")
	if soft == "unlimited" {
		return unix.RLIM_INFINITY, nil
	}
	n, err := strconv.ParseUint(soft, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%w %q: %q", ErrLimits, name, soft)
	}
	return n, nil
}

// LastPid returns the pid that the kernel assigned last in the supervisor's pid namespace: the last
// field of /proc/loadavg (proc_loadavg(5)). It returns 0 if the file cannot be read. Pids are
// assigned in ascending order, and start again after pid_max.
func LastPid() int {
	fd, err := unix.Open("/proc/loadavg", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return 0
	}
	defer unix.Close(fd)
	var line [128]byte
	n, err := unix.Read(fd, line[:])
	if err != nil {
		return 0
	}
	last := 0
	for _, c := range bytes.TrimSpace(line[bytes.LastIndexByte(line[:n], ' ')+1 : n]) {
		if c < '0' || c > '9' {
			return 0
		}
		last = last*10 + int(c-'0')
	}
	return last
}
