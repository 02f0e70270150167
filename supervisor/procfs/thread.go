package procfs

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Thread is what a thread of a process does at the time of the call.
type Thread struct {
	Tid     int
	Name    string // empty if it is the name of the process; untrusted
	State   byte   // as in [Stat]
	Wchan   string // kernel function in which the thread sleeps; empty if none or unknown
	Syscall string // name of the system call, or "running"; empty if unknown
	FD      int    // descriptor that the system call is about; -1 if it has none
	CPU     time.Duration
}

// maxThreads bounds the threads that are read. The first threads of a process suffice for a
// diagnosis.
const maxThreads = 256

// ReadThreads returns what the threads of a process do, of the first 256 threads. Wchan and Syscall
// are known only to a caller that may trace the process (proc(5)).
func ReadThreads(pid int) ([]Thread, error) {
	main, err := ReadStat(pid)
	if err != nil {
		return nil, fmt.Errorf("cannot read the threads of process %d: %w", pid, err)
	}
	tids := Threads(pid)
	all := make([]Thread, 0, len(tids))
	for _, tid := range tids[:min(len(tids), maxThreads)] {
		s, err := ReadThread(pid, tid)
		if err != nil {
			continue // the thread ended meanwhile
		}
		t := Thread{Tid: tid, State: s.State, FD: -1, CPU: threadCPUTime(pid, tid)}
		if s.Comm != main.Comm {
			t.Name = s.Comm
		}
		if w := readWord(taskPath(pid, tid, "wchan")); w != "0" {
			t.Wchan = w
		}
		t.Syscall, t.FD = parseSyscall(readWord(taskPath(pid, tid, "syscall")))
		all = append(all, t)
	}
	return all, nil
}

// threadCPUTime returns the first number of schedstat, in nanoseconds
// (Documentation/scheduler/sched-stats.rst).
func threadCPUTime(pid, tid int) time.Duration {
	first, _, _ := strings.Cut(readWord(taskPath(pid, tid, "schedstat")), " ")
	ns, _ := strconv.ParseInt(first, 10, 64)
	return time.Duration(ns)
}

// CPUTime returns the CPU time of a process, including threads that ended. It reads the clock that
// clock_getcpuclockid(3) derives from a pid, because /proc/PID/stat counts in units of 10 ms.
func CPUTime(pid int) (time.Duration, error) {
	const sched = 2 // CPUCLOCK_SCHED, include/linux/posix-timers.h
	var t unix.Timespec
	if err := unix.ClockGettime(int32(^pid)<<3|sched, &t); err != nil {
		return 0, fmt.Errorf("cannot read the CPU time of process %d: %w", pid, err)
	}
	return time.Duration(t.Nano()), nil
}

// Describe returns the thread in one line: `14 "worker" sleeps in epoll_wait on fd 4 (epoll: …)`.
// nameOf returns what a descriptor is, or an empty string.
func (t Thread) Describe(nameOf func(fd int) string) string {
	text := strconv.Itoa(t.Tid)
	if t.Name != "" {
		text += fmt.Sprintf(" %q", t.Name)
	}
	call := t.Syscall
	if call == "running" {
		call = ""
	}
	switch {
	case call == "futex" && t.State == 'S':
		return text + " waits for a lock (futex)"
	case t.State == 'R':
		text += " runs"
	default:
		text += " " + describeState(t.State)
	}
	if call != "" {
		text += " in " + call
	}
	if t.FD >= 0 {
		text += fmt.Sprintf(" on fd %d", t.FD)
		if name := nameOf(t.FD); name != "" {
			text += " (" + name + ")"
		}
	}
	if t.Wchan != "" && (t.State == 'D' || call == "") {
		text += ", wchan " + t.Wchan
	}
	return text
}

func describeState(state byte) string {
	switch state {
	case 'S':
		return "sleeps"
	case 'D':
		return "uninterruptible"
	case 'T':
		return "is stopped"
	case 't':
		return "is stopped by a tracer"
	case 'Z', 'X':
		return "has ended"
	}
	return fmt.Sprintf("is in state %q", state)
}
