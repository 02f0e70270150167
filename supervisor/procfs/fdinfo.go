package procfs

import (
	"bytes"
	"io"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// fdDir is an open fd directory of a process.
type fdDir struct {
	dir    int
	mounts map[string]string // file system by mnt_id; read when first needed
	buffer [1024]byte        // of a fdinfo file; locks that do not fit are not reported
}

// addInfo adds what the fdinfo of a descriptor says (proc_pid_fdinfo(5)). Of a file these are its
// mode, its locks, and its identity: mount and inode. Before Linux 5.14 there is no inode, and the
// path identifies the file. Of a pidfd it is the process.
func (t *fdDir) addInfo(f *FD, name string) {
	fd, err := unix.Openat(t.dir, "../fdinfo/"+name, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return
	}
	defer unix.Close(fd)
	n, err := unix.Read(fd, t.buffer[:])
	if err != nil {
		return
	}
	i := parseFDInfo(t.buffer[:n])
	if i.mount != nil && i.inode != nil {
		f.id = string(i.mount) + ":" + string(i.inode)
	}
	switch {
	case f.Kind == "pidfd" && string(i.pid) == "-1":
		f.Target = "pid (reaped)"
	case f.Kind == "pidfd" && i.pid != nil:
		f.Target = "pid " + string(i.pid)
	case f.Kind == "file":
		f.Detail.Mode, f.Detail.Lock = openMode(i.flags), strings.Join(i.locks, ", ")
		f.CloseOnExec = i.flags&unix.O_CLOEXEC != 0
		f.Detail.Deleted = strings.HasSuffix(f.link, deletedSuffix) &&
			!t.hasName(name, string(i.mount))
	}
}

// fdInfo is a parsed fdinfo file. The byte slices are parts of the text.
type fdInfo struct {
	flags             uint64
	mount, inode, pid []byte
	locks             []string
}

// parseFDInfo ignores a last line that is cut off.
func parseFDInfo(b []byte) fdInfo {
	var i fdInfo
	for {
		line, rest, complete := bytes.Cut(b, []byte("\n"))
		if !complete {
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
			if lock := describeLock(string(value)); lock != "" {
				i.locks = append(i.locks, lock)
			}
		}
	}
}

// lockKinds maps the kernel's names of locks (proc_locks(5)) to the calls that take them: flock(2),
// fcntl(2).
var lockKinds = map[string]string{
	"FLOCK": "flock", "POSIX": "posix", "OFDLCK": "ofd", "LEASE": "lease", "DELEG": "delegation",
}

// describeLock returns "flock write" for "1: FLOCK ADVISORY WRITE 8188 fe:00:9978032 0 EOF". It
// returns an empty string for a lock that a process only waits for; its line has "->" after the
// colon.
func describeLock(line string) string {
	w := strings.Fields(line)
	if len(w) < 4 || lockKinds[w[1]] == "" {
		return ""
	}
	return lockKinds[w[1]] + " " + strings.ToLower(w[3])
}

// openMode returns the access mode in the flags of open(2): "r", "w", "rw", with "a" for append.
func openMode(flags uint64) string {
	if flags&unix.O_PATH != 0 {
		return ""
	}
	m := [...]string{"r", "w", "rw", ""}[flags&unix.O_ACCMODE]
	if flags&unix.O_APPEND != 0 {
		m += "a"
	}
	return m
}

// localFileSystems are the file systems on which statx of an open file cannot block: the kernel has
// the number of links in memory. Other file systems may be served by the process that is scanned.
// overlay counts the links of a lower layer, which do not change.
var localFileSystems = map[string]bool{
	"ext2": true, "ext3": true, "ext4": true, "xfs": true, "btrfs": true, "f2fs": true,
	"tmpfs": true, "ramfs": true,
}

// hasName reports whether a file whose path ends in " (deleted)" has a name. The suffix can be part
// of the name, and the file can have another name.
func (t *fdDir) hasName(name, mount string) bool {
	if t.mounts == nil {
		t.mounts = t.readMounts()
	}
	if !localFileSystems[t.mounts[mount]] {
		return false
	}
	const flags = unix.AT_STATX_DONT_SYNC | unix.AT_NO_AUTOMOUNT
	var st unix.Statx_t
	err := unix.Statx(t.dir, name, flags, unix.STATX_NLINK, &st)
	return err == nil && st.Nlink > 0
}

// readMounts reads the file systems of the process by mnt_id (proc_pid_mountinfo(5)).
func (t *fdDir) readMounts() map[string]string {
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

// EpollTargets returns the descriptors that an epoll instance watches ("tfd:", proc_pid_fdinfo(5)).
// A number can have been closed and given to another file while the instance still watches the old
// one (epoll(7)).
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
