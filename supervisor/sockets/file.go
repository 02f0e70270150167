package sockets

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"tp0/supervisor/config"
	"tp0/supervisor/files"
)

// bindFile binds a socket to the path of a listen block. bind(2) creates the file and follows no
// link that is the file itself, but it has no variant for an open directory. So nobody else may be
// able to replace the directory.
func bindFile(fd int, l config.Listen) (*files.SocketFile, error) {
	dir, name, err := files.OpenFixed(l.Unix)
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	if err := removeStale(dir, name); err != nil {
		return nil, err
	}
	if err := unix.Fchmod(fd, files.UnboundMode); err != nil {
		return nil, err
	}
	if err := unix.Bind(fd, &unix.SockaddrUnix{Name: l.Unix}); err != nil {
		return nil, err
	}
	return files.AdoptSocket(dir, name, l.Unix, ownerSetter(l))
}

// ownerSetter returns a function that sets the mode and the owner of an open file.
func ownerSetter(l config.Listen) files.SetFile {
	return func(fd int, f *files.SocketFile) error {
		if err := unix.Chmod(files.ThroughFD(fd), uint32(l.Mode)); err != nil {
			return fmt.Errorf("cannot set the mode: %w", err)
		}
		uid, gid := f.UID, f.GID
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
