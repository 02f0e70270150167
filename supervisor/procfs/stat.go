package procfs

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"

	"tp0/supervisor/procdir"
)

// Stat is the part of /proc/PID/stat that the supervisor uses (proc_pid_stat(5)).
type Stat struct {
	Pid     int
	Comm    string // at most 15 bytes, also of a zombie; untrusted
	State   byte   // R, S, D, T (stopped), t (traced), Z, X, …
	PPid    int
	PGrp    int
	Session int    // session id: the pid of the process that called setsid(2)
	Flags   uint64 // PF_*
	// NonLeader says that the thread is not the leader of its thread group. Only the end of a whole
	// thread group sends a signal to the parent.
	NonLeader bool
	// StartTime is in clock ticks (10 ms) since boot. Pid and StartTime together identify a
	// process.
	StartTime uint64
}

const ( // PF_*, include/linux/sched.h
	pfExiting    = 0x4
	pfForkNoExec = 0x40

	ticksPerSecond = 100 // USER_HZ, fixed in the ABI of all Linux ports of Go
)

// ErrStat is returned for a stat line that does not have the form of proc_pid_stat(5).
var ErrStat = errors.New("invalid stat line")

// ReadStat reads the stat line of a process.
func ReadStat(pid int) (Stat, error) {
	var buf [32]byte
	return readStat(string(append(procdir.Append(buf[:0], pid), "/stat"...)))
}

// ReadThread reads the stat line of a thread.
func ReadThread(pid, tid int) (Stat, error) { return readStat(taskPath(pid, tid, "stat")) }

// readStat reads and parses a stat line.
func readStat(path string) (Stat, error) {
	// One read suffices: 52 fields have 20 digits at most each, and the name is short.
	var line [2048]byte
	n, err := readOnce(path, line[:])
	if err != nil {
		return Stat{}, err
	}
	return parseStat(line[:n])
}

// ReadComm returns the name of a process, as [Stat].Comm. It takes half as long as ReadStat.
func ReadComm(pid int) (string, error) {
	var buf [32]byte
	path := string(append(procdir.Append(buf[:0], pid), "/comm"...))
	var name [64]byte
	n, err := readOnce(path, name[:])
	if err != nil {
		return "", err
	}
	return strings.TrimSuffix(string(name[:n]), "\n"), nil
}

// readOnce reads the start of a file of /proc with three raw system calls. They never block, and
// they are made for each orphan: Go's scheduler would add to their cost.
func readOnce(path string, buf []byte) (n int, err error) {
	var name [64]byte
	if len(path) >= len(name) {
		return 0, ErrStat
	}
	copy(name[:], path)
	at := unix.AT_FDCWD
	fd, _, e := unix.RawSyscall6(unix.SYS_OPENAT, uintptr(at), uintptr(unsafe.Pointer(&name[0])),
		unix.O_RDONLY|unix.O_CLOEXEC, 0, 0, 0)
	if e != 0 {
		return 0, &fs.PathError{Op: "open", Path: path, Err: e}
	}
	got, _, e := unix.RawSyscall(unix.SYS_READ, fd,
		uintptr(unsafe.Pointer(&buf[0])), uintptr(len(buf)))
	unix.RawSyscall(unix.SYS_CLOSE, fd, 0, 0)
	if e != 0 {
		return 0, &fs.PathError{Op: "read", Path: path, Err: e}
	}
	return int(got), nil
}

// The numbers of fields after the name: up to starttime, which every kernel has, and up to
// exit_signal.
const (
	minFields = 20
	maxFields = 36
)

// parseStat takes the name from between the first "(" and the last ")", because a process may put
// both characters into its name.
func parseStat(line []byte) (Stat, error) {
	i, j := bytes.IndexByte(line, '('), bytes.LastIndexByte(line, ')')
	if i < 2 || j < i {
		return Stat{}, ErrStat
	}
	var f [maxFields]string
	rest, n := string(line[j+1:]), 0
	for ; n < maxFields; n++ {
		if rest = strings.TrimLeft(rest, " \n"); rest == "" {
			break
		}
		f[n], rest, _ = strings.Cut(rest, " ")
	}
	if n < minFields || len(f[0]) != 1 {
		return Stat{}, ErrStat
	}
	s := Stat{Comm: string(line[i+1 : j]), State: f[0][0]}
	var err [6]error
	s.Pid, err[0] = strconv.Atoi(string(line[:i-1]))
	s.PPid, err[1] = strconv.Atoi(f[1])
	s.PGrp, err[2] = strconv.Atoi(f[2])
	s.Session, err[5] = strconv.Atoi(f[3])
	s.Flags, err[3] = strconv.ParseUint(f[6], 10, 64)
	s.StartTime, err[4] = strconv.ParseUint(f[19], 10, 64)
	if errors.Join(err[:]...) != nil {
		return Stat{}, ErrStat
	}
	s.NonLeader = f[maxFields-1] == "-1"
	return s, nil
}

// Dead reports whether the process or thread is a zombie or gone.
func (s Stat) Dead() bool { return s.State == 'Z' || s.State == 'X' }

// Stopped reports whether job control stopped the process.
func (s Stat) Stopped() bool { return s.State == 'T' }

// Traced reports whether the thread is in a ptrace stop.
func (s Stat) Traced() bool { return s.State == 't' }

// Executed reports whether the process has executed a program since it was forked.
func (s Stat) Executed() bool { return s.Flags&pfForkNoExec == 0 }

// Uptime returns the time since boot in clock ticks (10 ms), in the supervisor's time namespace
// (time_namespaces(7)). [Stat.StartTime] has the same clock.
func Uptime() (uint64, error) {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &t); err != nil {
		return 0, fmt.Errorf("cannot read the time since boot: %w", err)
	}
	return uint64(t.Nano()) / (uint64(1e9) / ticksPerSecond), nil
}
