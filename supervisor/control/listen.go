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

	"tp0/supervisor/files"
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
	dir, name, err := files.OpenFixed(path)
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	if err := replaceStale(dir, name); err != nil {
		return nil, err
	}
	opened, err := listenUnbound(path)
	if err != nil {
		return nil, err
	}
	l := &PathListener{UnixListener: opened, Path: path}
	l.SetUnlinkOnClose(false) // the file can be another one by then, see Remove
	if err := l.adopt(dir, name, gid); err != nil {
		l.Close()
		l.Remove()
		return nil, err
	}
	return l, nil
}

// unbound is the mode of the file between bind(2) and adopt. No other file has this mode, so the
// supervisor notices a file that another user puts in its place. Until adopt, only root can
// connect.
const unbound = 0

// listenUnbound opens a socket whose file has the mode unbound. bind(2) gives the file the mode of
// the socket.
func listenUnbound(path string) (*net.UnixListener, error) {
	config := net.ListenConfig{Control: func(_, _ string, raw syscall.RawConn) error {
		var err error
		e := raw.Control(func(fd uintptr) { err = unix.Fchmod(int(fd), unbound) })
		return errors.Join(e, err)
	}}
	opened, err := config.Listen(context.Background(), "unix", path)
	if errors.Is(err, unix.EADDRINUSE) {
		return nil, errors.New("another file appeared at the path")
	}
	if err != nil {
		return nil, errors.Unwrap(err)
	}
	return opened.(*net.UnixListener), nil
}

// adopt takes the file that bind(2) has just created, and sets its mode and its group.
func (l *PathListener) adopt(dir *files.Dir, name string, gid int) error {
	fd, st, err := dir.OpenPath(name)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	isNew := st.Mode == unix.S_IFSOCK|unbound && int(st.Uid) == os.Geteuid() && st.Nlink == 1
	if !isNew && !dir.Trusted() {
		return errReplaced
	}
	l.device, l.inode = st.Dev, st.Ino
	return setGroup(fd, gid)
}

var errReplaced = errors.New("another file replaced the socket")

// SetGroup gives the file to a group, or takes it from all groups.
func (l *PathListener) SetGroup(gid int) error {
	dir, name, err := files.OpenEntry(l.Path)
	if err != nil {
		return err
	}
	defer dir.Close()
	fd, st, err := dir.OpenPath(name)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if !l.is(&st) {
		return errReplaced
	}
	return setGroup(fd, gid)
}

// setGroup sets the group and the mode of an open file.
func setGroup(fd, gid int) error {
	path := files.ThroughFD(fd)
	if gid == NoGroup {
		return unix.Chmod(path, 0o600)
	}
	if err := unix.Fchownat(fd, "", -1, gid, unix.AT_EMPTY_PATH); err != nil {
		return fmt.Errorf("cannot give it to the group %d: %w", gid, err)
	}
	return unix.Chmod(path, 0o660) // after the change of the group, which is the old one before
}

// is reports whether a file is that of the listener. Its inode is not reused while the listener is
// open.
func (l *PathListener) is(st *unix.Stat_t) bool {
	return l.inode != 0 && st.Dev == l.device && st.Ino == l.inode &&
		st.Mode&unix.S_IFMT == unix.S_IFSOCK
}

// Remove removes the file, if it is still that of the listener.
func (l *PathListener) Remove() {
	dir, name, err := files.OpenEntry(l.Path)
	if err != nil {
		return
	}
	defer dir.Close()
	if st, err := dir.Stat(name); err == nil && l.is(&st) {
		_ = dir.Remove(name) // an error means that it was removed meanwhile
	}
}

// replaceStale removes the file of a socket of our own user that no process listens on. Any other
// file is an error.
func replaceStale(dir *files.Dir, name string) error {
	at, st, err := dir.OpenPath(name)
	switch {
	case errors.Is(err, unix.ENOENT):
		return nil
	case err != nil:
		return err
	}
	defer unix.Close(at)
	if st.Mode&unix.S_IFMT != unix.S_IFSOCK {
		return errors.New("the path exists and is not a socket. Remove the file, or use another " +
			"path")
	}
	c, err := Dial(files.ThroughFD(at)) // the name can be a link by now
	switch {
	case errors.Is(err, ErrNoSupervisor) && int(st.Uid) != os.Geteuid():
		return fmt.Errorf("the path has a socket of another user (uid %d) that no process "+
			"listens on. Remove it, or use another path", st.Uid)
	case errors.Is(err, ErrNoSupervisor):
		return dir.Remove(name)
	case err != nil:
		return err
	}
	defer c.Close()
	if p, err := PeerOf(c); err == nil {
		return fmt.Errorf("%w (pid %d, uid %d)", ErrInUse, p.Pid, p.UID)
	}
	return ErrInUse
}
