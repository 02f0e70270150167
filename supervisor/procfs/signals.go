package procfs

import (
	"bytes"
	"errors"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// Signals is what a process does about signals, as bit sets: signal n is bit
// n-1 (proc_pid_status(5)).
type Signals struct {
	Caught  uint64
	Blocked uint64 // by every thread: only those wait until somebody lets them in
	Ignored uint64
}

// ReadSignals reads the signal sets of a process. It is one read of a file
// unless the main thread blocks something.
//
// A thread in sigwait(3) blocks what it waits for, but the kernel unblocks it
// for the time of the wait: it is in none of the sets then.
func ReadSignals(pid int) (Signals, error) {
	s, err := readSignals(taskPath(pid, pid, "status"))
	if err != nil || s.Blocked == 0 {
		return s, err
	}
	for _, tid := range Threads(pid) {
		if tid == pid {
			continue
		}
		if other, err := readSignals(taskPath(pid, tid, "status")); err == nil {
			s.Blocked &= other.Blocked
		}
		if s.Blocked == 0 {
			break
		}
	}
	return s, nil
}

// InSigwait reports whether a thread of a process stands in sigwait(3): what
// it waits for it blocks, but the kernel unblocks that for the time of the wait,
// and does not tell which signals they are.
func InSigwait(pid int) bool {
	for _, tid := range Threads(pid) {
		if name, _ := parseSyscall(readWord(taskPath(pid, tid, "syscall"))); name == "rt_sigtimedwait" {
			return true
		}
	}
	return false
}

// Disposition says what becomes of a signal: "ignored", "blocked", "caught" or
// "default".
func (s Signals) Disposition(sig syscall.Signal) string {
	if sig < 1 || sig > 64 {
		return "default"
	}
	bit := uint64(1) << (sig - 1)
	switch {
	case s.Ignored&bit != 0:
		return "ignored"
	case s.Blocked&bit != 0:
		return "blocked"
	case s.Caught&bit != 0:
		return "caught"
	}
	return "default"
}

// ErrStatus is returned for a status file that has not the form of
// proc_pid_status(5).
var ErrStatus = errors.New("unreadable status")

func readSignals(path string) (Signals, error) {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return Signals{}, err
	}
	defer unix.Close(fd)
	var buf [4096]byte
	n, err := unix.Read(fd, buf[:])
	if err != nil {
		return Signals{}, err
	}
	return parseSignals(buf[:n])
}

func parseSignals(b []byte) (s Signals, err error) {
	for _, f := range []struct {
		name string
		into *uint64
	}{{"\nSigBlk:\t", &s.Blocked}, {"\nSigIgn:\t", &s.Ignored}, {"\nSigCgt:\t", &s.Caught}} {
		_, rest, ok := bytes.Cut(b, []byte(f.name))
		if !ok || len(rest) < 16 {
			return Signals{}, ErrStatus
		}
		if *f.into, err = strconv.ParseUint(string(rest[:16]), 16, 64); err != nil {
			return Signals{}, ErrStatus
		}
		b = rest
	}
	return s, nil
}
