package procfs

import (
	"bytes"
	"io"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// FDDetail is what else is known of a descriptor. What does not apply is empty.
type FDDetail struct {
	State   string // of a socket: "established", "close-wait", "listen, 3 not accepted"
	Unread  uint64 // bytes that wait in a socket to be read
	Unsent  uint64 // bytes that a socket has not sent, or that were not acknowledged
	Mode    string // of a file: "r", "w", "rw", with "a" for append
	Lock    string // on a file: "flock write", "posix read", …
	Deleted bool   // the file has no name any more
}

const deleted = " (deleted)" // what d_path() appends to the name of an unlinked file

// info fills in what the fdinfo of a descriptor tells (proc_pid_fdinfo(5)): of
// a file its mode, its locks, and its mount and inode as its identity (before
// Linux 5.14 there is no inode, and the path must do); of a pidfd its process.
func (t *table) info(f *FD, name string) {
	fd, err := unix.Openat(t.dir, "../fdinfo/"+name, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return
	}
	defer unix.Close(fd)
	n, err := unix.Read(fd, t.fdinfo[:])
	if err != nil {
		return
	}
	i := parseInfo(t.fdinfo[:n])
	if i.mount != nil && i.inode != nil {
		f.id = string(i.mount) + ":" + string(i.inode)
	}
	switch {
	case f.Kind == "pidfd" && string(i.pid) == "-1":
		f.Target = "pid (reaped)"
	case f.Kind == "pidfd" && i.pid != nil:
		f.Target = "pid " + string(i.pid)
	case f.Kind == "file":
		f.Detail.Mode, f.Detail.Lock = mode(i.flags), i.locks
		f.Detail.Deleted = strings.HasSuffix(f.link, deleted) && !t.linked(name, string(i.mount))
	}
}

type fdinfo struct {
	flags             uint64
	mount, inode, pid []byte // of what was read
	locks             string
}

// parseInfo leaves a last line that was cut off alone.
func parseInfo(b []byte) fdinfo {
	var i fdinfo
	for {
		line, rest, whole := bytes.Cut(b, []byte("\n"))
		if !whole {
			return i
		}
		b = rest
		key, value, _ := bytes.Cut(line, []byte(":"))
		value = bytes.TrimSpace(value)
		switch string(key) {
		case "flags":
			i.flags, _ = strconv.ParseUint(string(value), 8, 64)
		case "mnt_id":
			i.mount = value
		case "ino":
			i.inode = value
		case "Pid":
			i.pid = value
		case "lock":
			i.locks = also(i.locks, lock(string(value)))
		}
	}
}

// lockWords maps the kernel's names of locks (proc_locks(5)) to those of the
// calls that take them: flock(2), fcntl(2).
var lockWords = map[string]string{
	"FLOCK": "flock", "POSIX": "posix", "OFDLCK": "ofd", "LEASE": "lease", "DELEG": "delegation",
}

// lock puts "1: FLOCK  ADVISORY  WRITE 8188 fe:00:9978032 0 EOF" in words. One
// that somebody waits for has "->" there and is not held.
func lock(line string) string {
	w := strings.Fields(line)
	if len(w) < 4 || lockWords[w[1]] == "" {
		return ""
	}
	return lockWords[w[1]] + " " + strings.ToLower(w[3])
}

func mode(flags uint64) string {
	if flags&unix.O_PATH != 0 {
		return ""
	}
	m := [...]string{"r", "w", "rw", ""}[flags&unix.O_ACCMODE]
	if flags&unix.O_APPEND != 0 {
		m += "a"
	}
	return m
}

// local are the file systems of which the links of a file that is open can be
// asked with no fear: the kernel has the answer in memory, whoever serves the
// disk below. Others may be served by the very process we look at; and overlay
// counts the links of a lower layer, which do not change.
var local = map[string]bool{
	"ext2": true, "ext3": true, "ext4": true, "xfs": true, "btrfs": true, "f2fs": true, "tmpfs": true, "ramfs": true,
}

// linked reports whether a file has a name though the kernel's name of it ends
// in " (deleted)": somebody may call his file that, or it has another name.
func (t *table) linked(name, mount string) bool {
	if t.mounts == nil {
		t.mounts = t.readMounts()
	}
	if !local[t.mounts[mount]] {
		return false
	}
	var st unix.Statx_t
	err := unix.Statx(t.dir, name, unix.AT_STATX_DONT_SYNC|unix.AT_NO_AUTOMOUNT, unix.STATX_NLINK, &st)
	return err == nil && st.Nlink > 0
}

// readMounts reads the mountinfo beside a table (proc_pid_mountinfo(5)).
func (t *table) readMounts() map[string]string {
	all := map[string]string{}
	fd, err := unix.Openat(t.dir, "../mountinfo", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return all
	}
	f := os.NewFile(uintptr(fd), "mountinfo")
	defer f.Close()
	text, _ := io.ReadAll(f)
	for line := range strings.Lines(string(text)) {
		mount, rest, _ := strings.Cut(line, " ")
		if _, tail, ok := strings.Cut(rest, " - "); ok {
			all[mount], _, _ = strings.Cut(tail, " ")
		}
	}
	return all
}

// EpollTargets lists the descriptors that an epoll watches, by number
// (proc_pid_fdinfo(5), "tfd:"). A number can have been closed, and given to
// another file, while the epoll still watches the old one (epoll(7)).
func EpollTargets(pid, tid, fd int) ([]int, error) {
	b, err := os.ReadFile(taskPath(pid, tid, "fdinfo/"+strconv.Itoa(fd)))
	if err != nil {
		return nil, err
	}
	var all []int
	for line := range strings.Lines(string(b)) {
		w := strings.Fields(line)
		if len(w) < 2 || w[0] != "tfd:" {
			continue
		}
		if n, err := strconv.Atoi(w[1]); err == nil {
			all = append(all, n)
		}
	}
	return all, nil
}

func taskPath(pid, tid int, name string) string {
	return "/proc/" + strconv.Itoa(pid) + "/task/" + strconv.Itoa(tid) + "/" + name
}

func also(list, word string) string {
	if list == "" || word == "" {
		return list + word
	}
	return list + ", " + word
}
