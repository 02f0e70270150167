package procfs

import (
	"bytes"
	"errors"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// Signals are the signal sets of a process. Signal n is bit n-1 (proc_pid_status(5)).
type Signals struct {
	Caught  uint64
	Blocked uint64 // blocked by every thread
	Ignored uint64
}

// ReadSignals reads the signal sets of a process. It reads one file, unless the main thread blocks
// signals. A signal that a thread waits for in sigwait(3) is in none of the sets: the kernel
// unblocks it during the wait. See [InSigwait].
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

// Disposition returns the disposition of a signal: "ignored", "blocked", "caught" or "default".
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

// ErrStatus is returned for a status file that does not have the form of proc_pid_status(5).
var ErrStatus = errors.New("invalid status file")

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
