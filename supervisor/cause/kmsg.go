package cause

import (
	"errors"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// maxRecords bounds how many records of the kernel log are read. The log has 1 MiB at most unless
// the kernel is configured otherwise.
const maxRecords = 20_000

// inInitialPidNamespace reports whether pids are those of the kernel log. The inode of the initial
// namespace is fixed (PROC_PID_INIT_INO, include/linux/proc_ns.h).
func inInitialPidNamespace() bool {
	name, err := os.Readlink("/proc/self/ns/pid")
	return err == nil && name == "pid:[4026531836]"
}

// findVictim looks in the kernel log for the record that the OOM killer killed a process. inGroup
// says that the limit of a control group was the reason, not the memory of the machine. victim is
// empty if there is no such record, or the log may not be read.
func findVictim(kmsg string, pid int) (victim string, inGroup bool) {
	fd, err := unix.Open(kmsg, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return "", false
	}
	defer unix.Close(fd)
	var record [8192]byte
	for range maxRecords {
		n, err := unix.Read(fd, record[:])
		switch {
		case errors.Is(err, unix.EPIPE), errors.Is(err, unix.EINTR): // a record was overwritten
			continue
		case err != nil || n <= 0:
			return victim, inGroup
		}
		if name, group, ok := parseVictim(string(record[:n]), pid); ok {
			victim, inGroup = name, group
		}
	}
	return victim, inGroup
}

// parseVictim parses a record of the kernel log: "…;Memory cgroup out of memory: Killed process 12
// (perl) total-vm:…" or "…;Out of memory: Killed process 12 (perl) …" (oom_kill_process,
// mm/oom_kill.c). The name of the process is untrusted and comes last, so the first match counts.
func parseVictim(record string, pid int) (name string, inGroup, ok bool) {
	_, text, _ := strings.Cut(record, ";")
	why, rest, ok := strings.Cut(text, ": Killed process ")
	if !ok {
		return "", false, false
	}
	if why != "Memory cgroup out of memory" && !strings.HasPrefix(why, "Out of memory") {
		return "", false, false
	}
	number, rest, _ := strings.Cut(rest, " (")
	if number != strconv.Itoa(pid) {
		return "", false, false
	}
	name, _, ok = strings.Cut(rest, ")")
	return name, strings.HasPrefix(why, "Memory cgroup"), ok
}
