package sockets

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"tp0/supervisor/config"
	"tp0/supervisor/files"
)

// socketFile is the file that the supervisor created for a unix socket. Its inode is not reused
// while the socket is open.
type socketFile struct {
	path          string
	device, inode uint64
	uid, gid      int // the owner that bind(2) gave it
}

// unbound is the mode of the file between bind(2) and [socketFile.set]. No other file has it, so
// one that another user exchanges for the file is noticed.
const unbound = 0

// bindFile binds a socket to the path of a listen block. bind(2) creates the file and follows no
// link that is the file itself, but it has no variant for an open directory. So nobody else may be
// able to replace the directory.
func bindFile(fd int, l config.Listen) (*socketFile, error) {
	dir, name, err := files.OpenFixed(l.Unix)
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	if err := removeStale(dir, name); err != nil {
		return nil, err
	}
	// The file gets the mode of the socket, without the bits of the umask.
	if err := unix.Fchmod(fd, unbound); err != nil {
		return nil, err
	}
	if err := unix.Bind(fd, &unix.SockaddrUnix{Name: l.Unix}); err != nil {
		return nil, err
	}
	return adopt(dir, name, l)
}

// adopt sets the mode and the owner of the file that bind(2) has just created, and of no other file
// that has its name by now.
func adopt(dir *files.Dir, name string, l config.Listen) (*socketFile, error) {
	at, st, err := dir.OpenPath(name)
	if err != nil {
		return nil, err
	}
	defer unix.Close(at)
	isNew := st.Mode == unix.S_IFSOCK|unbound && int(st.Uid) == unix.Geteuid() && st.Nlink == 1
	if !isNew && !dir.Trusted() {
		return nil, errReplaced
	}
	f := &socketFile{l.Unix, st.Dev, st.Ino, int(st.Uid), int(st.Gid)}
	if err := f.set(at, l); err != nil {
		f.remove()
		return nil, err
	}
	return f, nil
}

var errReplaced = errors.New("the file of the socket was replaced by another process")

// set sets the mode and the owner of the open file.
func (f *socketFile) set(fd int, l config.Listen) error {
	if err := unix.Chmod(files.ThroughFD(fd), uint32(l.Mode)); err != nil {
		return fmt.Errorf("cannot set the mode: %w", err)
	}
	uid, gid := f.uid, f.gid
	if l.Owner.User != "" {
		uid = int(l.Owner.UID)
	}
	if l.Owner.Group != "" || l.Owner.User != "" {
		gid = int(l.Owner.GID)
	}
	var st unix.Stat_t
	err := unix.Fstat(fd, &st)
	if err == nil && (int(st.Uid) != uid || int(st.Gid) != gid) {
		err = unix.Fchownat(fd, "", uid, gid, unix.AT_EMPTY_PATH)
	}
	if err != nil {
		return fmt.Errorf("cannot set the owner to %d:%d: %w", uid, gid, err)
	}
	return nil
}

// update sets another mode and owner.
func (f *socketFile) update(l config.Listen) error {
	dir, name, err := files.OpenEntry(f.path)
	if err != nil {
		return err
	}
	defer dir.Close()
	fd, st, err := dir.OpenPath(name)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if !f.is(&st) {
		return errReplaced
	}
	return f.set(fd, l)
}

// remove removes the file if it still has its name. It does nothing if f is nil.
func (f *socketFile) remove() {
	if f == nil {
		return
	}
	dir, name, err := files.OpenEntry(f.path)
	if err != nil {
		return
	}
	defer dir.Close()
	if st, err := dir.Stat(name); err == nil && f.is(&st) {
		_ = dir.Remove(name) // an error means that it was removed meanwhile
	}
}

func (f *socketFile) is(st *unix.Stat_t) bool {
	return st.Dev == f.device && st.Ino == f.inode && st.Mode&unix.S_IFMT == unix.S_IFSOCK
}

// removeStale removes the file of a unix socket that no process listens on. It leaves any other
// file and returns an error.
func removeStale(dir *files.Dir, name string) error {
	at, st, err := dir.OpenPath(name)
	switch {
	case errors.Is(err, unix.ENOENT):
		return nil
	case err != nil:
		return err
	}
	defer unix.Close(at)
	if st.Mode&unix.S_IFMT != unix.S_IFSOCK {
		return errors.New("the path exists and is not a socket")
	}
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	// The name can be a link by now, so the open file is connected to.
	switch err := unix.Connect(fd, &unix.SockaddrUnix{Name: files.ThroughFD(at)}); {
	case errors.Is(err, unix.ECONNREFUSED): // unix(7): the socket is closed or does not listen
		return dir.Remove(name)
	case err == nil, errors.Is(err, unix.EAGAIN), errors.Is(err, unix.EPROTOTYPE):
		return unix.EADDRINUSE
	default:
		return fmt.Errorf("cannot find out whether a process listens on it: %w", err)
	}
}
