package procfs

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Stat is the part of /proc/PID/stat that we use.
type Stat struct {
	Pid   int
	Comm  string // 15 bytes at most; of a zombie too
	State byte   // R, S, D, T (stopped), t (traced), Z, X, …
	PPid  int
	PGrp  int
	// Session is the session id: the pid of the process that called setsid(2).
	Session int
	Flags   uint64 // PF_*
	// NonLeader: it is one of several of its process, and not the main one. Only a
	// process sends its parent a signal as it ends.
	NonLeader bool
	StartTime uint64 // clock ticks (10 ms) since boot; with the pid it names a process for good
}

const ( // PF_*, include/linux/sched.h
	pfExiting    = 0x4
	pfForkNoExec = 0x40
	tick         = 100 // USER_HZ, fixed in the ABI on all of Go's Linux ports
)

// ErrStat is returned for a stat line that has not the form of proc_pid_stat(5).
var ErrStat = errors.New("unreadable stat line")

// ReadStat reads the stat line of a process.
func ReadStat(pid int) (Stat, error) {
	var path [32]byte
	return readStat(string(append(strconv.AppendInt(append(path[:0], "/proc/"...), int64(pid), 10), "/stat"...)))
}

// ReadThread reads the stat line of a thread.
func ReadThread(pid, tid int) (Stat, error) { return readStat(taskPath(pid, tid, "stat")) }

// readStat is what the process loop does for each orphan: three system calls
// that never sleep, made without word to Go's scheduler.
func readStat(path string) (Stat, error) {
	var name [64]byte
	if len(path) >= len(name) {
		return Stat{}, ErrStat
	}
	copy(name[:], path)
	at := unix.AT_FDCWD
	fd, _, e := unix.RawSyscall6(unix.SYS_OPENAT, uintptr(at), uintptr(unsafe.Pointer(&name[0])), unix.O_RDONLY|unix.O_CLOEXEC, 0, 0, 0)
	if e != 0 {
		return Stat{}, &fs.PathError{Op: "open", Path: path, Err: e}
	}
	var line [2048]byte // 52 fields of 20 digits at most, and the name: one read has it all
	n, _, e := unix.RawSyscall(unix.SYS_READ, fd, uintptr(unsafe.Pointer(&line[0])), uintptr(len(line)))
	unix.RawSyscall(unix.SYS_CLOSE, fd, 0, 0)
	if e != 0 {
		return Stat{}, &fs.PathError{Op: "read", Path: path, Err: e}
	}
	return parseStat(line[:n])
}

// The fields behind the name that are looked at: to starttime, which there is,
// and to exit_signal.
const (
	leastFields = 20
	mostFields  = 36
)

// parseStat takes the name from between the first "(" and the last ")": a
// process may put both into its own name.
func parseStat(line []byte) (Stat, error) {
	i, j := bytes.IndexByte(line, '('), bytes.LastIndexByte(line, ')')
	if i < 2 || j < i {
		return Stat{}, ErrStat
	}
	var f [mostFields]string
	rest, n := string(line[j+1:]), 0
	for ; n < mostFields; n++ {
		if rest = strings.TrimLeft(rest, " \n"); rest == "" {
			break
		}
		f[n], rest, _ = strings.Cut(rest, " ")
	}
	if n < leastFields || len(f[0]) != 1 {
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
	s.NonLeader = f[mostFields-1] == "-1"
	return s, nil
}

// Dead reports whether the process or thread is a zombie or gone.
func (s Stat) Dead() bool { return s.State == 'Z' || s.State == 'X' }

// Stopped reports whether job control stopped it.
func (s Stat) Stopped() bool { return s.State == 'T' }

// Executed reports whether the process has executed a program since it was
// forked.
func (s Stat) Executed() bool { return s.Flags&pfForkNoExec == 0 }

// Uptime is the time since boot in clock ticks, the clock of [Stat.StartTime]: that
// of the time namespace that we are in (time_namespaces(7)).
func Uptime() (uint64, error) {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &t); err != nil {
		return 0, fmt.Errorf("cannot read the time since boot: %w", err)
	}
	return uint64(t.Nano()) / (uint64(1e9) / tick), nil
}

// IsGone reports whether no thread of a process is alive any more.
func IsGone(pid int) bool {
	alive, _ := LiveSiblings(pid, nil)
	return alive == 0
}

// Threads lists the thread numbers of a process, zombies included.
func Threads(pid int) []int {
	dir := "/proc/" + strconv.Itoa(pid) + "/task"
	if single(dir) {
		return []int{pid}
	}
	return numbers(dir)
}

// single reports whether a task directory is that of a process with one thread,
// which then has the number of the process. Most have, and to ask for the links
// of the directory (two, and one for each thread: proc_task_getattr in
// fs/proc/base.c) costs a tenth of what it costs to list it.
func single(dir string) bool {
	var st unix.Stat_t
	return unix.Lstat(dir, &st) == nil && st.Nlink == 3
}

// IsWaiting reports whether every thread of a process waits for something: none
// runs, or would if there were a processor for it.
func IsWaiting(pid int) bool {
	for _, tid := range Threads(pid) {
		if s, err := readStat(taskPath(pid, tid, "stat")); err == nil && (s.State == 'R' || s.State == 'D') {
			return false
		}
	}
	return true
}

// HasFewFDs reports whether it is known that a process has one thread, no children,
// and no more than so many descriptors: the size of its directory of them, since
// Linux 6.2 (proc_fd_getattr in fs/proc/fd.c).
func HasFewFDs(pid, fds int) bool {
	dir := "/proc/" + strconv.Itoa(pid)
	var st unix.Stat_t
	if unix.Lstat(dir+"/fd", &st) != nil || st.Size == 0 || st.Size > int64(fds) {
		return false
	}
	return single(dir+"/task") && len(ThreadChildren(pid, pid)) == 0
}

// LiveSiblings says how many threads of pid other than those of except can still touch the
// table of descriptors, and which one of them lives on, if any: neither on its
// way out nor about to be killed, so that this is no exit of the whole process.
//
// A thread that dequeued its SIGKILL and has not set PF_EXITING yet looks as
// if it lived on; believe it only after several looks in a row.
func LiveSiblings(pid int, except []int) (alive, survivor int) {
	for _, t := range Threads(pid) {
		if slices.Contains(except, t) {
			continue
		}
		s, err := readStat(fmt.Sprintf("/proc/%d/task/%d/stat", pid, t))
		if err != nil || s.Dead() {
			continue
		}
		alive++
		if s.Flags&pfExiting == 0 && !killPending(pid, t) {
			survivor = t
		}
	}
	return alive, survivor
}

// BlockedInExecve reports whether a thread waits in execve(2): for the other threads of
// its process to end, or for a file. It is never one that was killed a moment
// ago, as [LiveSiblings] fears: such a one does not wait there any more. It needs the
// rights to trace it (/proc/PID/syscall).
func BlockedInExecve(pid, tid int) bool {
	s, err := readStat(taskPath(pid, tid, "stat"))
	if err != nil || s.State != 'D' {
		return false
	}
	name, _ := parseSyscall(readWord(taskPath(pid, tid, "syscall")))
	return name == callOf(unix.SYS_EXECVE).name || name == callOf(unix.SYS_EXECVEAT).name
}

func killPending(pid, tid int) bool {
	b, err := slurp(taskPath(pid, tid, "status"))
	if err != nil {
		return true // gone in between
	}
	_, rest, ok := bytes.Cut(b, []byte("SigPnd:\t"))
	if !ok || len(rest) < 16 {
		return false
	}
	set, err := strconv.ParseUint(string(rest[:16]), 16, 64)
	return err == nil && set&(1<<8) != 0 // SIGKILL is 9
}

// Children lists the children of a process, those of all its threads. Zombies
// are among them.
func Children(pid int) []int {
	var all []int
	for _, t := range Threads(pid) {
		all = append(all, ThreadChildren(pid, t)...)
	}
	return all
}

// ThreadChildren lists the children that one thread of a process made.
func ThreadChildren(pid, tid int) []int {
	b, err := slurp(taskPath(pid, tid, "children"))
	if err != nil {
		return nil
	}
	return decimals(b)
}

// decimals reads numbers that are separated by blanks.
func decimals(b []byte) (all []int) {
	if len(b) == 0 {
		return nil
	}
	all = make([]int, 0, bytes.Count(b, []byte{' '})+1)
	n, digits := 0, false
	for _, c := range b {
		switch {
		case c >= '0' && c <= '9':
			n, digits = n*10+int(c-'0'), true
		case digits:
			all = append(all, n)
			n, digits = 0, false
		}
	}
	if digits {
		all = append(all, n)
	}
	return all
}

// Descendants lists everything below a process, parents before their
// children. What is born meanwhile can be missing: look again.
func Descendants(pid int) []int {
	all := Children(pid)
	for i := 0; i < len(all); i++ {
		all = append(all, Children(all[i])...)
	}
	return all
}

func numbers(dir string) (all []int) {
	d, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil
	}
	defer unix.Close(d)
	var dent [4096]byte
	for {
		n, err := unix.ReadDirent(d, dent[:])
		if err != nil || n <= 0 {
			return all
		}
		_, _, names := unix.ParseDirent(dent[:n], -1, nil)
		for _, s := range names {
			if n, err := strconv.Atoi(s); err == nil {
				all = append(all, n)
			}
		}
	}
}

// slurp reads a file of /proc. It is os.ReadFile without what that does for
// files which can be waited for: half of what a small read costs.
func slurp(path string) ([]byte, error) {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	defer unix.Close(fd)
	b := make([]byte, 0, 2048) // a status has 1,500
	for {
		n, err := unix.Read(fd, b[len(b):cap(b)])
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil:
			return nil, &fs.PathError{Op: "read", Path: path, Err: err}
		case n == 0:
			return b, nil
		}
		if b = b[:len(b)+n]; len(b) == cap(b) {
			b = append(b, 0)[:len(b)]
		}
	}
}
