package control

import (
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"tp0/supervisor/files"
)

// ListenIn opens a control socket in the first directory that is usable, with the name of an
// abstract socket. It creates the directories, for our own user; that of root can be searched by
// all, because a socket can be for a group. If none is usable, the error has all reasons.
func ListenIn(dirs []string, name string, gid int) (*PathListener, error) {
	var reasons []error
	for _, path := range dirs {
		dir, err := openPrivate(path)
		if err != nil {
			reasons = append(reasons, err)
			continue
		}
		l, err := listenAmong(dir, name, gid)
		_ = dir.Close()
		if err == nil {
			return l, nil
		}
		reasons = append(reasons, err)
	}
	return nil, errors.Join(reasons...)
}

// listenAmong opens a control socket in a directory, and removes the stale ones of others there.
// The lock of the directory is held meanwhile: no supervisor is between its bind(2) and its
// listen(2) when another supervisor checks which sockets are stale.
func listenAmong(dir *files.Dir, name string, gid int) (*PathListener, error) {
	unlock, locked := lockDirectory(dir)
	defer unlock()
	file := FileName(name)
	l, err := ListenPath(filepath.Join(dir.Path(), file), gid)
	if err == nil && locked {
		removeStale(dir, file)
	}
	return l, err
}

// openPrivate opens a directory in which only our own user can create files. It creates it if
// necessary.
func openPrivate(path string) (*files.Dir, error) {
	parent, name, err := files.OpenEntry(path)
	if err != nil {
		return nil, err
	}
	defer parent.Close()
	mode := uint32(0o700)
	if os.Geteuid() == 0 {
		mode = 0o755
	}
	dir, err := parent.Mkdir(name, mode)
	if errors.Is(err, os.ErrExist) {
		dir, err = files.OpenDir(path)
	}
	if err != nil {
		return nil, err
	}
	var st unix.Stat_t
	if err = unix.Fstat(dir.FD(), &st); err == nil &&
		(int(st.Uid) != os.Geteuid() || st.Mode&0o022 != 0) {
		err = os.ErrPermission
	}
	if err != nil {
		_ = dir.Close()
		return nil, err
	}
	return dir, nil
}

// lockDirectory locks a directory against other supervisors, also of other pid namespaces. It waits
// for claimTimeout at most, and reports whether it has the lock.
func lockDirectory(dir *files.Dir) (unlock func(), locked bool) {
	const flags = unix.O_RDONLY | unix.O_DIRECTORY | unix.O_CLOEXEC
	fd, err := unix.Openat(dir.FD(), ".", flags, 0)
	if err != nil {
		return func() {}, false
	}
	unlock = func() { _ = unix.Close(fd) } // flock(2): the close ends the lock
	end := time.Now().Add(claimTimeout)
	for {
		switch err := unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB); {
		case err == nil:
			return unlock, true
		case err != unix.EWOULDBLOCK && err != unix.EINTR, time.Now().After(end):
			return unlock, false
		}
		time.Sleep(claimInterval)
	}
}

// generated are the names that FileName returns. Sockets with other names are not ours to remove.
var generated = sync.OnceValue(func() *regexp.Regexp { // exec has no control socket
	return regexp.MustCompile(`^[0-9a-f]{16}(-[0-9]+)?\.sock$`)
})

// localFileSystems are the file systems that no other machine can have mounted. On another one a
// socket can belong to a process of another machine, to which no process here can connect.
var localFileSystems = []int64{
	unix.TMPFS_MAGIC, unix.OVERLAYFS_SUPER_MAGIC, unix.EXT4_SUPER_MAGIC, unix.XFS_SUPER_MAGIC,
	unix.BTRFS_SUPER_MAGIC,
}

// removeStale removes the sockets of supervisors that were killed, apart from that with the name
// own. The identity of a supervisor has its pid namespace, so after the restart of a container none
// has the name again. The caller has the lock of the directory.
func removeStale(dir *files.Dir, own string) {
	var fs unix.Statfs_t
	if unix.Fstatfs(dir.FD(), &fs) != nil || !slices.Contains(localFileSystems, int64(fs.Type)) {
		return
	}
	names, _ := dir.Names(maxListed)
	for _, name := range names {
		if name == own || !generated().MatchString(name) {
			continue
		}
		st, err := dir.Stat(name)
		if err != nil || st.Mode&0o777 == files.UnboundMode {
			continue // its supervisor did not get the lock, and does not listen yet
		}
		_ = replaceStale(dir, name) // an error means that the socket is not stale, or not ours
	}
}
