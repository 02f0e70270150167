package control

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"
)

// NoGroup is the group of a socket that only root and our own user may use.
const NoGroup = -1

// ErrInUse says that a process listens on a path.
var ErrInUse = errors.New("a process listens on it already")

// PathListener is a listener with a path.
type PathListener struct {
	*net.UnixListener
	Path          string
	device, inode uint64 // of the file
}

// ListenPath opens a control socket at a path, with the mode 0600, or 0660 for a group. It replaces
// a socket of our own user that no process listens on, and no other file.
func ListenPath(path string, gid int) (*PathListener, error) {
	l, err := listenPath(path, gid)
	if err != nil {
		return nil, fmt.Errorf("cannot open the control socket %s: %w", path, err)
	}
	return l, nil
}

func listenPath(path string, gid int) (*PathListener, error) {
	if !filepath.IsAbs(path) {
		return nil, errors.New("the path must be absolute")
	}
	if len(path) > MaxPath {
		return nil, fmt.Errorf("the path has %d bytes, a socket can have %d at most", len(path),
			MaxPath)
	}
	if err := removeStale(path); err != nil {
		return nil, err
	}
	config := net.ListenConfig{Control: func(_, _ string, raw syscall.RawConn) error {
		var err error
		// bind(2) gives the file the mode of the socket, so no process can connect before a chmod.
		e := raw.Control(func(fd uintptr) { err = unix.Fchmod(int(fd), 0o600) })
		return errors.Join(e, err)
	}}
	opened, err := config.Listen(context.Background(), "unix", path)
	if errors.Is(err, unix.EADDRINUSE) {
		return nil, errors.New("another file appeared at the path")
	}
	if err != nil {
		return nil, errors.Unwrap(err)
	}
	l := &PathListener{UnixListener: opened.(*net.UnixListener), Path: path}
	l.SetUnlinkOnClose(false) // the file can be another one by then, see Remove
	if err := l.SetGroup(gid); err != nil {
		l.Close()
		l.Remove()
		return nil, err
	}
	return l, nil
}

// SetGroup gives the file to a group, or takes it from all groups. The file is opened once, so that
// another file that replaces it keeps its mode.
func (l *PathListener) SetGroup(gid int) error {
	fd, err := unix.Open(l.Path, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return err
	}
	ours := l.inode == 0 || st.Dev == l.device && st.Ino == l.inode
	if !ours || st.Mode&unix.S_IFMT != unix.S_IFSOCK || int(st.Uid) != os.Geteuid() {
		return errors.New("another file replaced the socket")
	}
	l.device, l.inode = st.Dev, st.Ino
	path := fmt.Sprintf("/proc/self/fd/%d", fd)
	if gid == NoGroup {
		return unix.Chmod(path, 0o600)
	}
	if err := unix.Fchownat(fd, "", -1, gid, unix.AT_EMPTY_PATH); err != nil {
		return fmt.Errorf("cannot give it to the group %d: %w", gid, err)
	}
	return unix.Chmod(path, 0o660) // after the change of the group, which is the old one before
}

// Remove removes the file, if it is still that of the listener.
func (l *PathListener) Remove() {
	var st unix.Stat_t
	if l.inode != 0 && unix.Lstat(l.Path, &st) == nil && st.Dev == l.device && st.Ino == l.inode {
		_ = unix.Unlink(l.Path)
	}
}

// removeStale removes the file of a socket of our own user that no process listens on. Any other
// file is an error.
func removeStale(path string) error {
	var st unix.Stat_t
	switch err := unix.Lstat(path, &st); {
	case errors.Is(err, unix.ENOENT):
		return nil
	case err != nil:
		return err
	case st.Mode&unix.S_IFMT != unix.S_IFSOCK:
		return errors.New("the path exists and is not a socket. Remove the file, or use another " +
			"path")
	}
	c, err := Dial(path)
	switch {
	case errors.Is(err, ErrNoSupervisor) && int(st.Uid) != os.Geteuid():
		return fmt.Errorf("the path has a socket of another user (uid %d) that no process "+
			"listens on. Remove it, or use another path", st.Uid)
	case errors.Is(err, ErrNoSupervisor):
		return unix.Unlink(path)
	case err != nil:
		return err
	}
	defer c.Close()
	if p, err := PeerOf(c); err == nil {
		return fmt.Errorf("%w (pid %d, uid %d)", ErrInUse, p.Pid, p.UID)
	}
	return ErrInUse
}

// ListenIn opens a control socket in the first directory that is usable, with the name of an
// abstract socket. It creates the directories, for our own user; that of root can be searched by
// all, because a socket can be for a group. It returns nil if none is usable.
func ListenIn(dirs []string, name string, gid int) *PathListener {
	for _, dir := range dirs {
		mode := os.FileMode(0o700)
		if os.Geteuid() == 0 {
			mode = 0o755
		}
		if err := os.Mkdir(dir, mode); err != nil && !errors.Is(err, os.ErrExist) {
			continue
		}
		if !isPrivate(dir) {
			continue
		}
		if l, err := ListenPath(filepath.Join(dir, FileName(name)), gid); err == nil {
			return l
		}
	}
	return nil
}

// isPrivate reports whether only our own user can create files in a directory.
func isPrivate(dir string) bool {
	var st unix.Stat_t
	return unix.Lstat(dir, &st) == nil && st.Mode&unix.S_IFMT == unix.S_IFDIR &&
		int(st.Uid) == os.Geteuid() && st.Mode&0o022 == 0
}
