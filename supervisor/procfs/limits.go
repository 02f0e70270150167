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

// ErrLimits is returned for a limits file without a valid line "Max file locks".
var ErrLimits = errors.New("no line \"Max file locks\"")

// FileLocks returns the soft RLIMIT_LOCKS of a process, unix.RLIM_INFINITY if it is unlimited.
// Every user may read it (proc_pid_limits(5): the mode is 0444, without a ptrace check).
func FileLocks(pid int) (uint64, error) {
	b, err := readFile(procdir.Of(pid) + "/limits")
	if err != nil {
		return 0, err
	}
	return parseFileLocks(b)
}

func parseFileLocks(limits []byte) (uint64, error) {
	_, rest, ok := bytes.Cut(limits, []byte("\nMax file locks"))
	if !ok {
		return 0, ErrLimits
	}
	soft, _, _ := strings.Cut(strings.TrimLeft(string(rest[:min(len(rest), 40)]), " "), " ")
	if soft == "unlimited" {
		return unix.RLIM_INFINITY, nil
	}
	n, err := strconv.ParseUint(soft, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%w: %q", ErrLimits, soft)
	}
	return n, nil
}

// ErrOpenFiles is returned for a limits file without a valid line "Max open files".
var ErrOpenFiles = errors.New("no line \"Max open files\"")

// OpenFiles returns the soft RLIMIT_NOFILE of a process: the number of descriptors that it may have
// open. Every user may read it.
func OpenFiles(pid int) (uint64, error) {
	b, err := readFile(procdir.Of(pid) + "/limits")
	if err != nil {
		return 0, err
	}
	_, rest, ok := bytes.Cut(b, []byte("\nMax open files"))
	fields := strings.Fields(string(rest[:min(len(rest), 64)]))
	if !ok || len(fields) == 0 {
		return 0, ErrOpenFiles
	}
	if fields[0] == "unlimited" {
		return unix.RLIM_INFINITY, nil
	}
	n, err := strconv.ParseUint(fields[0], 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%w: %q", ErrOpenFiles, fields[0])
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
