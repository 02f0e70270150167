// Package procfs reads what the kernel tells of processes: their descriptors,
// their sockets, their threads and their children. It acts on nothing.
//
// Sources: proc(5), proc_pid_fd(5), proc_pid_stat(5), sock_diag(7).
package procfs

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"tp0/supervisor/sockdiag"
)

// FD is one open descriptor of a process.
type FD struct {
	Num    int
	Kind   string // file, pipe, socket, pidfd, epoll, eventfd, …
	Target string // in plain words: a path, "pipe:[7]", "pid 9", "tcp 0.0.0.0:12345 listen"
	Detail FDDetail
	link   string         // what the kernel calls it
	id     string         // what two looks are compared by: a path changes when its file is renamed or deleted
	query  sockdiag.Query // finds this socket alone, see ResolveKnown; empty: unknown
}

// Same reports whether two looks at one process saw the same open file at the
// same number.
func (f FD) Same(g FD) bool { return f.Num == g.Num && f.id == g.id }

// IsStandard reports whether f is one of the three standard streams.
func (f FD) IsStandard() bool { return f.Num <= 2 }

// Resolved reports whether the target of a socket is in plain words.
func (f FD) Resolved() bool { return f.Target != f.link }

// Inode is the number in "socket:[inode]"; 0 if f is no socket.
func (f FD) Inode() uint64 { return socketInode(f.link) }

// ErrTableChanged is returned with what was read when a descriptor vanished between
// the listing of a table and the look at its entry.
var ErrTableChanged = errors.New("the table changed while it was read")

// ReadFDs lists the open descriptors of a thread, by number. A thread group
// shares one table unless somebody unshared it (unshare(2), CLONE_FILES).
// Nothing that the process holds is opened, and nothing is asked of a file
// system that it may serve itself: its FUSE mount would block us. The table of a zombie is empty, or refused.
//
// The caller needs PTRACE_MODE_READ_FSCREDS on the process (proc_pid_fd(5)).
func ReadFDs(pid, tid int) ([]FD, error) { return ReadFDsUntil(pid, tid, nil) }

// ReadFDsUntil is [ReadFDs] until over reports true: then the error is ErrGivenUp, and what was read
// is worth nothing. over is called once for some descriptors, with how many were read so far.
func ReadFDsUntil(pid, tid int, over func(read int) bool) ([]FD, error) {
	return readTable(fmt.Sprintf("/proc/%d/task/%d/fd", pid, tid), over)
}

// ErrScanAborted is the error of an fd scan that was not allowed to come to its end.
var ErrScanAborted = errors.New("the fd scan took too long, and was given up")

// checkEvery is the number of descriptors between two calls of over: some half a millisecond.
const checkEvery = 64

// manyFDs is the number from which on the fdinfo of a device is not read. A process that has so
// many descriptors has thousands of the same one, and fdinfo takes two thirds of the time of a
// scan. What is lost is the mode in which the device was opened. It goes by the number of the
// descriptor, so that two scans see the same one alike.
const manyFDs = 1024

// OwnFDs lists the open descriptors of this process, without the one that the
// listing itself needs.
func OwnFDs() ([]FD, error) { return readTable("/proc/self/fd", nil) }

// OwnFD is one open descriptor of this process.
func OwnFD(num int) (FD, error) {
	link, err := os.Readlink("/proc/self/fd/" + strconv.Itoa(num))
	if err != nil {
		return FD{}, err
	}
	return newFD(num, link), nil
}

// ReadProcessFDs lists the open descriptors of a process. A main thread that ended
// while others live on has an empty table (pthread_exit(3)); theirs is read
// then.
func ReadProcessFDs(pid int) ([]FD, error) {
	fds, err := ReadFDs(pid, pid)
	if len(fds) > 0 {
		return fds, err
	}
	for _, tid := range otherThreads(pid) {
		if more, e := ReadFDs(pid, tid); len(more) > 0 {
			return more, e
		}
	}
	return fds, err
}

// LiveThread is a thread of a process that has not ended: the main one as a
// rule.
func LiveThread(pid int) int {
	for _, tid := range otherThreads(pid) {
		return tid
	}
	return pid
}

// Anonymous reports whether f is of a kind whose instances all have one name:
// two looks at two processes cannot tell whether they saw the same one.
func (f FD) Anonymous() bool { return strings.HasPrefix(f.link, "anon_inode:") }

// SameFile reports whether two processes share an open file at the number of f
// (kcmp(2), KCMP_FILE). It needs the right to trace both, and fails where the
// kernel or a seccomp filter does not have the call.
func SameFile(a, b int, f FD) (bool, error) {
	const kcmpFile = 0
	r, _, e := unix.Syscall6(unix.SYS_KCMP, uintptr(a), uintptr(b), kcmpFile, uintptr(f.Num), uintptr(f.Num), 0)
	if e != 0 {
		return false, e
	}
	return r == 0, nil
}

// otherThreads lists the threads that live beside a main thread that ended;
// none if it did not.
func otherThreads(pid int) []int {
	if s, err := ReadStat(pid); err != nil || !s.Dead() {
		return nil
	}
	return slices.DeleteFunc(Threads(pid), func(tid int) bool { return tid == pid })
}

func readTable(dir string, over func(read int) bool) ([]FD, error) {
	fds := make([]FD, 0, 16) // what most hold
	err := walk(dir, over, func(t *table, num int, name, link string) {
		f := newFD(num, link)
		if f.hasInfo() {
			t.info(&f, name)
		}
		fds = append(fds, f)
	})
	if err != nil && err != ErrTableChanged {
		return nil, err
	}
	slices.SortFunc(fds, func(a, b FD) int { return cmp.Compare(a.Num, b.Num) })
	return fds, err
}

// hasInfo reports whether the fdinfo of f tells what counts.
func (f FD) hasInfo() bool {
	switch f.Kind {
	case "file":
		return !f.IsStandard() && (f.Num < manyFDs || !f.device())
	case "pidfd", "memfd":
		return !f.IsStandard()
	}
	return false
}

// device reports whether f is most probably a device: files in /dev that others can lock, or that
// can be deleted, are in directories there.
func (f FD) device() bool {
	name, ok := strings.CutPrefix(f.link, "/dev/")
	return ok && !strings.Contains(name, "/") && !strings.HasSuffix(name, deleted)
}

// table is an open directory of descriptors.
type table struct {
	dir    int
	mounts map[string]string // mnt_id → file system; read when first asked for
	fdinfo [1024]byte        // more locks than fit are not told
}

// walk visits the entries of a directory of descriptors. It works relative to
// that directory: one path walk for a table in place of one for each entry. It ends
// with ErrGivenUp once over, which may be nil, reports true.
func walk(dir string, over func(read int) bool, visit func(t *table, num int, name, link string)) error {
	d, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("cannot read %s: %w", dir, err)
	}
	defer unix.Close(d)
	self := -1
	if dir == "/proc/self/fd" {
		self = d
	}
	var (
		t    = &table{dir: d}
		torn error
		dent [4096]byte
		link [unix.PathMax]byte
		read int
	)
	for {
		n, err := unix.ReadDirent(d, dent[:])
		if err != nil {
			return fmt.Errorf("cannot read %s: %w", dir, err)
		}
		if n <= 0 {
			return torn
		}
		_, _, names := unix.ParseDirent(dent[:n], -1, nil)
		for _, name := range names {
			num, err := strconv.Atoi(name)
			if err != nil || num == self {
				continue
			}
			if read++; read%checkEvery == 0 && over != nil && over(read) {
				return ErrScanAborted
			}
			n, err := unix.Readlinkat(d, name, link[:])
			if errors.Is(err, fs.ErrNotExist) {
				torn = ErrTableChanged
				continue
			}
			if err != nil {
				return fmt.Errorf("cannot read %s/%s: %w", dir, name, err)
			}
			visit(t, num, name, string(link[:n]))
		}
	}
}

// anonymous maps the kernel's names of inodes without a path to the words of
// our log.
var anonymous = map[string]string{
	"anon_inode:[eventpoll]":   "epoll",
	"anon_inode:[eventfd]":     "eventfd",
	"anon_inode:[timerfd]":     "timerfd",
	"anon_inode:[signalfd]":    "signalfd",
	"anon_inode:[pidfd]":       "pidfd",
	"anon_inode:inotify":       "inotify",
	"anon_inode:[fanotify]":    "fanotify",
	"anon_inode:[io_uring]":    "io_uring",
	"anon_inode:[perf_event]":  "perf_event",
	"anon_inode:[userfaultfd]": "userfaultfd",
}

func newFD(num int, link string) FD {
	f := FD{Num: num, Target: link, link: link, id: link}
	switch {
	case strings.HasPrefix(link, "socket:["):
		f.Kind = "socket"
	case strings.HasPrefix(link, "pipe:["):
		f.Kind = "pipe"
	case strings.HasPrefix(link, "pidfd:["):
		f.Kind = "pidfd"
	case strings.HasPrefix(link, "/memfd:"):
		f.Kind = "memfd"
	case link == "/secretmem (deleted)": // memfd_secret(2)
		f.Kind = "secretmem"
	case strings.HasPrefix(link, "/"):
		f.Kind = "file"
	case anonymous[link] != "":
		f.Kind = anonymous[link]
	default: // "anon_inode:bpf-prog", "net:[4026531840]"
		f.Kind, _, _ = strings.Cut(strings.TrimPrefix(link, "anon_inode:"), ":")
		f.Kind = strings.Trim(f.Kind, "[]")
	}
	return f
}

func socketInode(link string) uint64 {
	s, ok := strings.CutPrefix(link, "socket:[")
	if !ok {
		return 0
	}
	n, _ := strconv.ParseUint(strings.TrimSuffix(s, "]"), 10, 64)
	return n
}
