package files

import (
	"errors"

	"golang.org/x/sys/unix"
)

// UnboundMode is the mode of a unix socket between bind(2) and [AdoptSocket]. In a directory that
// others may write to, AdoptSocket accepts only a socket with this mode, our user and one link, so
// it notices a file that another user puts in the place of the socket. Only root can connect
// meanwhile. bind(2) gives the file the mode that fchmod(2) gave the socket,
// without the bits of the umask (unix(7)).
const UnboundMode = 0

// ErrSocketReplaced says that the path of a socket has another file.
var ErrSocketReplaced = errors.New("another process replaced the file of the socket")

// SocketFile is the file of a unix socket that the supervisor has bound. No other file gets its
// inode number while the socket is open.
type SocketFile struct {
	path          string
	device, inode uint64
	UID, GID      int // the owner that bind(2) gave it
}

// SetFile sets the owner and the mode of an open file.
type SetFile func(fd int, f *SocketFile) error

// AdoptSocket returns the file that bind(2) has just created with the mode [UnboundMode]. It calls
// set, which sets the owner and the mode, with a descriptor that has the flag O_PATH. If set fails,
// the file is removed. d is the directory that [OpenFixed] returned for the path.
func AdoptSocket(d *Dir, name, path string, set SetFile) (*SocketFile, error) {
	fd, st, err := d.OpenPath(name)
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	isNew := st.Mode == unix.S_IFSOCK|UnboundMode && int(st.Uid) == unix.Geteuid() && st.Nlink == 1
	if !isNew && !d.Trusted() {
		return nil, ErrSocketReplaced
	}
	f := &SocketFile{path, st.Dev, st.Ino, int(st.Uid), int(st.Gid)}
	if err := set(fd, f); err != nil {
		f.Remove()
		return nil, err
	}
	return f, nil
}

// Change calls set with a descriptor that has the flag O_PATH. If set fails, the file stays. The
// error is [ErrSocketReplaced] if the path has another file.
func (f *SocketFile) Change(set SetFile) error {
	dir, name, err := OpenEntry(f.path)
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
		return ErrSocketReplaced
	}
	return set(fd, f)
}

// Remove removes the file if it still has its path. It does nothing if f is nil.
func (f *SocketFile) Remove() {
	if f == nil {
		return
	}
	dir, name, err := OpenEntry(f.path)
	if err != nil {
		return
	}
	defer dir.Close()
	if st, err := dir.Stat(name); err == nil && f.is(&st) {
		_ = dir.Remove(name) // an error means that it was removed meanwhile
	}
}

func (f *SocketFile) is(st *unix.Stat_t) bool {
	return st.Dev == f.device && st.Ino == f.inode && st.Mode&unix.S_IFMT == unix.S_IFSOCK
}
