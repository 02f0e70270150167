// Package procfs reads what the kernel says of processes in /proc: their descriptors, threads,
// children, signals and limits. It changes nothing. Package sockdiag describes the sockets.
//
// Sources: proc(5), proc_pid_fd(5), proc_pid_fdinfo(5), proc_pid_stat(5), proc_pid_status(5).
package procfs

import (
	"cmp"
	"hash/maphash"
	"slices"
	"strconv"
	"strings"

	"tp0/supervisor/sockdiag"
)

// FD is an open descriptor of a process.
type FD struct {
	Num    int
	Kind   string // file, pipe, socket, pidfd, epoll, eventfd, …
	Target string // a path, "pipe:[7]", "pid 9", "tcp 0.0.0.0:12345 listen"
	Detail FDDetail

	Socket *sockdiag.Endpoint // nil: no socket, or one that is not resolved

	CloseOnExec bool // of a file: execve(2) closes the descriptor

	link  string         // name in the fd directory
	id    string         // equal in two scans if the file is the same: a path can change
	query sockdiag.Query // finds this socket alone, see [ResolveKnown]; empty if unknown
}

// FDDetail is what else is known of a descriptor. What does not apply is empty.
type FDDetail struct {
	State   string // of a socket: "established", "close-wait", "listen, 3 not accepted"
	Unread  uint64 // bytes in a socket that are not read
	Unsent  uint64 // bytes in a socket that are not sent, or not acknowledged
	Mode    string // of a file: "r", "w", "rw", with "a" for append
	Lock    string // on a file: "flock write", "posix read", …
	Deleted bool   // the file has no name any more
}

// Same reports whether two scans of one process saw the same open file at the same number.
func (f FD) Same(g FD) bool { return f.Num == g.Num && f.id == g.id }

// SearchFD returns the index of the descriptor with a number in the result of an fd scan.
func SearchFD(fds []FD, num int) (int, bool) {
	return slices.BinarySearchFunc(fds, num,
		func(f FD, num int) int { return cmp.Compare(f.Num, num) })
}

// IsStandard reports whether f is one of the three standard streams.
func (f FD) IsStandard() bool { return f.Num <= 2 }

// Resolved reports whether the target of a socket is a description. Before it is resolved, the
// target is "socket:[inode]".
func (f FD) Resolved() bool { return f.Target != f.link }

// Inode returns the number in "socket:[inode]", 0 if f is no socket.
func (f FD) Inode() uint64 {
	s, ok := strings.CutPrefix(f.link, "socket:[")
	if !ok {
		return 0
	}
	n, _ := strconv.ParseUint(strings.TrimSuffix(s, "]"), 10, 64)
	return n
}

// Anonymous reports whether f is of a kind whose instances all have the same name. Scans of two
// processes cannot tell whether they saw the same instance.
func (f FD) Anonymous() bool { return strings.HasPrefix(f.link, "anon_inode:") }

// deletedSuffix is what d_path() appends to the name of an unlinked file.
const deletedSuffix = " (deleted)"

// maxDeviceInfo is the number from which on the fdinfo of a device is not read. A process with so
// many descriptors has thousands of the same device, and fdinfo takes two thirds of the time of a
// scan. The mode of these descriptors stays unknown. The limit is on the number of the descriptor,
// so that two scans see the same descriptor alike.
const maxDeviceInfo = 1024

// maxLink is the number of bytes that are kept of the path of a descriptor with a high number. A
// path has up to 4 KiB, and 20,000 descriptors with such paths would take 80 MB for each scan.
const maxLink = 255

// linkSeed makes hashes of paths that no process can predict.
var linkSeed = maphash.MakeSeed()

// shorten cuts a long path, unless the number of the descriptor is low. A search for other holders
// of the file does not find it then. The limit is on the number, so that two scans see the same
// descriptor alike.
func (f *FD) shorten() {
	if f.Num < maxDeviceInfo || len(f.link) <= maxLink {
		return
	}
	f.id = strconv.FormatUint(maphash.String(linkSeed, f.link), 16)
	cut := strings.ToValidUTF8(f.link[:maxLink], "") + "…"
	if strings.HasSuffix(f.link, deletedSuffix) {
		cut += deletedSuffix
	}
	f.link, f.Target = cut, cut
}

// isDevice reports whether f is most likely a device: a file in /dev itself. Files in /dev that can
// be locked or deleted are in subdirectories of it.
func (f FD) isDevice() bool {
	name, ok := strings.CutPrefix(f.link, "/dev/")
	return ok && !strings.Contains(name, "/") && !strings.HasSuffix(name, deletedSuffix)
}

// anonymousKinds maps the kernel's names of inodes without a path to kinds.
var anonymousKinds = map[string]string{
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
	case anonymousKinds[link] != "":
		f.Kind = anonymousKinds[link]
	default: // "anon_inode:bpf-prog", "net:[4026531840]"
		f.Kind, _, _ = strings.Cut(strings.TrimPrefix(link, "anon_inode:"), ":")
		f.Kind = strings.Trim(f.Kind, "[]")
	}
	return f
}
