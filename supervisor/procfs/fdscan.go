package procfs

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strconv"

	"golang.org/x/sys/unix"
)

// ErrTableChanged is returned with the descriptors that were read, if a descriptor was closed
// during the scan.
var ErrTableChanged = errors.New("the fd table changed during the scan")

// ErrScanAborted is returned by a scan that was aborted before its end.
var ErrScanAborted = errors.New("the fd scan took too long and was aborted")

// checkInterval is the number of descriptors between two calls of over, about half a millisecond.
const checkInterval = 64

// ReadFDs returns the open descriptors of a thread, sorted by number. The threads of a process
// share one table unless a thread unshared it (unshare(2), CLONE_FILES). The table of a zombie is
// empty, or cannot be read.
//
// ReadFDs opens no file of the process and asks no file system that the process may serve itself,
// as with FUSE: that would block the supervisor. The caller needs PTRACE_MODE_READ_FSCREDS
// (proc_pid_fd(5)).
func ReadFDs(pid, tid int) ([]FD, error) { return ReadFDsUntil(pid, tid, nil) }

// ReadFDsUntil is [ReadFDs] until over returns true. Then the error is ErrScanAborted, and the
// descriptors must not be used. over is called at intervals, with the number of descriptors that
// were read.
func ReadFDsUntil(pid, tid int, over func(read int) bool) ([]FD, error) {
	return readFDs(taskPath(pid, tid, "fd"), over)
}

// CountFDs returns the number of open descriptors of a thread without a scan: the size of its fd
// directory (proc_pid_fd(5), Linux 6.2). It returns 0 if the kernel does not tell it.
func CountFDs(pid, tid int) int {
	var s unix.Stat_t
	if unix.Stat(taskPath(pid, tid, "fd"), &s) != nil {
		return 0
	}
	return int(s.Size)
}

// ReadProcessFDs returns the open descriptors of a process. If the main thread has ended while
// others live on, its table is empty (pthread_exit(3)); then the table of another thread is read.
func ReadProcessFDs(pid int) ([]FD, error) {
	fds, err := ReadFDs(pid, pid)
	if len(fds) > 0 {
		return fds, err
	}
	for _, tid := range threadsAfterMain(pid) {
		if more, e := ReadFDs(pid, tid); len(more) > 0 {
			return more, e
		}
	}
	return fds, err
}

// OwnFDs returns the open descriptors of this process, without the descriptor of the scan itself.
func OwnFDs() ([]FD, error) { return readFDs("/proc/self/fd", nil) }

// OwnFD returns one open descriptor of this process.
func OwnFD(num int) (FD, error) {
	link, err := os.Readlink("/proc/self/fd/" + strconv.Itoa(num))
	if err != nil {
		return FD{}, err
	}
	return newFD(num, link), nil
}

// IsOpenIn reports whether a process has the file of f open at the number of f. It is for sockets
// and pipes, whose name is unique.
func (f FD) IsOpenIn(pid int) bool {
	link, err := os.Readlink(taskPath(pid, pid, "fd/"+strconv.Itoa(f.Num)))
	return err == nil && link == f.link
}

// SameFile reports whether two processes share the open file at the number of f (kcmp(2),
// KCMP_FILE). The caller needs the right to trace both. It fails if the kernel or a seccomp filter
// does not allow the call.
func SameFile(a, b int, f FD) (bool, error) {
	const kcmpFile = 0
	num := uintptr(f.Num)
	r, _, e := unix.Syscall6(unix.SYS_KCMP, uintptr(a), uintptr(b), kcmpFile, num, num, 0)
	if e != 0 {
		return false, e
	}
	return r == 0, nil
}

func readFDs(dir string, over func(read int) bool) ([]FD, error) {
	fds := make([]FD, 0, 16) // suffices for most processes
	err := walkFDs(dir, over, func(d *fdDir, num int, name, link string) {
		f := newFD(num, link)
		f.shorten()
		if f.needsInfo() {
			d.addInfo(&f, name)
		}
		if len(fds) == cap(fds) && len(fds) >= maxDeviceInfo {
			fds = slices.Grow(fds, d.unread(len(fds))) // instead of several larger copies
		}
		fds = append(fds, f)
	})
	if err != nil && err != ErrTableChanged {
		return nil, err
	}
	slices.SortFunc(fds, func(a, b FD) int { return cmp.Compare(a.Num, b.Num) })
	return fds, err
}

// CountKinds returns the number of open descriptors of a thread by kind, until over returns true.
// Then the error is ErrScanAborted. It costs a third of [ReadFDs], because it reads no fdinfo.
func CountKinds(pid, tid int, over func(read int) bool) (map[string]int, error) {
	kinds := map[string]int{}
	err := walkFDs(taskPath(pid, tid, "fd"), over, func(_ *fdDir, num int, _, link string) {
		kinds[newFD(num, link).Kind]++
	})
	if err != nil && err != ErrTableChanged {
		return nil, err
	}
	return kinds, nil
}

// unread returns how many descriptors a scan probably still finds, at least 1. The size of an fd
// directory is the number of descriptors (proc_pid_fd(5), Linux 6.2).
func (t *fdDir) unread(read int) int {
	const most = 1 << 20 // entries, the default of fs.nr_open
	var s unix.Stat_t
	if unix.Fstat(t.dir, &s) != nil {
		return 1
	}
	return int(min(max(s.Size-int64(read), 1), most))
}

// needsInfo reports whether the fdinfo of f has something that the supervisor uses.
func (f FD) needsInfo() bool {
	switch f.Kind {
	case "file":
		return !f.IsStandard() && (f.Num < maxDeviceInfo || !f.isDevice())
	case "pidfd", "memfd":
		return !f.IsStandard()
	}
	return false
}

// walkFDs visits the entries of an fd directory. It resolves names relative to the open directory,
// which saves a path walk for each entry. It returns ErrScanAborted once over returns true; over
// may be nil. It returns ErrTableChanged after the last entry if an entry disappeared meanwhile.
func walkFDs(
	dir string, over func(read int) bool, visit func(d *fdDir, num int, name, link string),
) error {
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
		open    = &fdDir{dir: d}
		changed error
		entries [4096]byte
		link    [unix.PathMax]byte
		read    int
	)
	for {
		n, err := unix.ReadDirent(d, entries[:])
		if err != nil {
			return fmt.Errorf("cannot read %s: %w", dir, err)
		}
		if n <= 0 {
			return changed
		}
		_, _, names := unix.ParseDirent(entries[:n], -1, nil)
		for _, name := range names {
			num, err := strconv.Atoi(name)
			if err != nil || num == self {
				continue
			}
			if read++; read%checkInterval == 0 && over != nil && over(read) {
				return ErrScanAborted
			}
			n, err := unix.Readlinkat(d, name, link[:])
			if errors.Is(err, fs.ErrNotExist) {
				changed = ErrTableChanged
				continue
			}
			if err != nil {
				return fmt.Errorf("cannot read %s/%s: %w", dir, name, err)
			}
			visit(open, num, name, string(link[:n]))
		}
	}
}
