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
	Path string
	file *files.SocketFile
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
	l.file, err = files.AdoptSocket(dir, name, path, groupSetter(gid))
	if err != nil {
		l.Close()
		return nil, err
	}
	return l, nil
}

// listenUnbound opens a socket whose file has the mode [files.UnboundMode].
func listenUnbound(path string) (*net.UnixListener, error) {
	config := net.ListenConfig{Control: func(_, _ string, raw syscall.RawConn) error {
		var err error
		e := raw.Control(func(fd uintptr) { err = unix.Fchmod(int(fd), files.UnboundMode) })
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

// SetGroup gives the file to a group, or takes it from all groups.
func (l *PathListener) SetGroup(gid int) error { return l.file.Change(groupSetter(gid)) }

// groupSetter returns a function that sets the group and the mode of an open file.
func groupSetter(gid int) files.SetFile {
	return func(fd int, _ *files.SocketFile) error {
		path := files.ThroughFD(fd)
		if gid == NoGroup {
			return unix.Chmod(path, 0o600)
		}
		if err := unix.Fchownat(fd, "", -1, gid, unix.AT_EMPTY_PATH); err != nil {
			return fmt.Errorf("cannot give it to the group %d: %w", gid, err)
		}
		return unix.Chmod(path, 0o660) // last: until then the old group has no right
	}
}

// Remove removes the file, if it is still that of the listener.
func (l *PathListener) Remove() { l.file.Remove() }

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
