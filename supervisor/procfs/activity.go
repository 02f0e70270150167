package procfs

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Thread is what a thread is about.
type Thread struct {
	Tid     int
	Name    string // empty if it is the process's own; untrusted
	State   byte   // as in [Stat]
	Wchan   string // the function of the kernel that it waits in; empty: none, or not told
	Syscall string // by name, "running", or empty: not told
	FD      int    // the descriptor that the call is about; -1: none
	CPU     time.Duration
}

// maxThreads bounds a diagnosis: the first threads of a process do what it is
// about.
const maxThreads = 256

// ReadThreads says what the threads of a process do, 256 of them at most. What
// they wait in is told only to those who may trace the process (proc(5)).
func ReadThreads(pid int) ([]Thread, error) {
	main, err := ReadStat(pid)
	if err != nil {
		return nil, fmt.Errorf("cannot look at the threads of %d: %w", pid, err)
	}
	tids := Threads(pid)
	all := make([]Thread, 0, len(tids))
	for _, tid := range tids[:min(len(tids), maxThreads)] {
		s, err := readStat(taskPath(pid, tid, "stat"))
		if err != nil {
			continue // ended meanwhile
		}
		t := Thread{Tid: tid, State: s.State, FD: -1, CPU: threadCPU(pid, tid)}
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

func readWord(path string) string {
	b, _ := os.ReadFile(path)
	return strings.TrimSpace(string(b))
}

// threadCPU is the first number of schedstat, in nanoseconds
// (Documentation/scheduler/sched-stats.rst).
func threadCPU(pid, tid int) time.Duration {
	first, _, _ := strings.Cut(readWord(taskPath(pid, tid, "schedstat")), " ")
	ns, _ := strconv.ParseInt(first, 10, 64)
	return time.Duration(ns)
}

// CPUTime is the time that a process has had of the processors, threads that ended
// included. It asks the clock that clock_getcpuclockid(3) makes of a pid: stat
// counts in hundredths of a second.
func CPUTime(pid int) (time.Duration, error) {
	const sched = 2 // CPUCLOCK_SCHED, include/linux/posix-timers.h
	var t unix.Timespec
	if err := unix.ClockGettime(int32(^pid)<<3|sched, &t); err != nil {
		return 0, fmt.Errorf("cannot read the CPU time of %d: %w", pid, err)
	}
	return time.Duration(t.Nano()), nil
}

// parseSyscall reads "232 0x4 …", "running", or "-1 …" of a thread that waits
// outside of a call, as in a page fault.
func parseSyscall(line string) (name string, fd int) {
	w := strings.Fields(line)
	if len(w) == 0 || w[0] == "-1" {
		return "", -1
	}
	n, err := strconv.Atoi(w[0])
	if err != nil {
		return w[0], -1
	}
	call := callOf(n)
	if !call.fd || len(w) < 2 {
		return call.name, -1
	}
	arg, err := strconv.ParseUint(w[1], 0, 64)
	if err != nil {
		return call.name, -1
	}
	return call.name, int(int32(arg))
}

// Describe is the thread in one line, with name to say what a descriptor is:
// `14 "worker" sleeps in epoll_wait on fd 4 (epoll: …)`.
func (t Thread) Describe(name func(fd int) string) string {
	text := strconv.Itoa(t.Tid)
	if t.Name != "" {
		text += fmt.Sprintf(" %q", t.Name)
	}
	inside := t.Syscall
	if inside == "running" {
		inside = ""
	}
	switch {
	case inside == "futex" && t.State == 'S':
		return text + " waits for a lock (futex)"
	case t.State == 'R':
		text += " runs"
	default:
		text += " " + stateWord(t.State)
	}
	if inside != "" {
		text += " in " + inside
	}
	if t.FD >= 0 {
		text += fmt.Sprintf(" on fd %d", t.FD)
		if what := name(t.FD); what != "" {
			text += " (" + what + ")"
		}
	}
	if t.Wchan != "" && (t.State == 'D' || inside == "") {
		text += ", wchan " + t.Wchan
	}
	return text
}

func stateWord(state byte) string {
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
