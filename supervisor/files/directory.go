package files

import (
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"

	"golang.org/x/sys/unix"
)

// A Dir is an open directory. Its methods take the name of a file in it, which has no slash, and
// never follow a symbolic link, unless the documentation says so. No method waits for the other end
// of a FIFO. A file system that does not respond blocks every method.
//
// "Others" are all users but root and that of the supervisor.
type Dir struct {
	fd   int
	path string // absolute, without symbolic links
	uid  uint32 // the owner
	dev  uint64 // the file system
	// fixed: others cannot put another directory in the place of this one or of one above it.
	fixed bool
	// trusted: fixed, and others cannot create, rename or remove a file in it.
	trusted bool
	// sticky: fixed, and others cannot rename or remove the files of root and of the supervisor in
	// it (S_ISVTX of inode(7)). An example is /tmp.
	sticky bool
}

// Path returns the path of the directory without symbolic links.
func (d *Dir) Path() string { return d.path }

// FD returns the descriptor, which has the flag O_PATH. The directory still owns it.
func (d *Dir) FD() int { return d.fd }

// Owner returns the uid of the owner of the directory.
func (d *Dir) Owner() int { return int(d.uid) }

// Trusted reports whether only root and the user of the supervisor can create, rename or remove a
// file in the directory, and replace the directory.
func (d *Dir) Trusted() bool { return d.trusted }

// Fixed reports whether only root and the user of the supervisor can put another directory in the
// place of this one. Its path then leads to it as long as it exists.
func (d *Dir) Fixed() bool { return d.fixed }

// Close closes the descriptor.
func (d *Dir) Close() error { return unix.Close(d.fd) }

// Stat returns what lstat(2) says about a file.
func (d *Dir) Stat(name string) (st unix.Stat_t, err error) {
	err = retry(func() error { return unix.Fstatat(d.fd, name, &st, unix.AT_SYMLINK_NOFOLLOW) })
	return st, d.failed("stat", name, err)
}

// Create creates a file and opens it to write. The file has exactly this mode, also with another
// umask. It fails with EEXIST if the name exists, also if it is a symbolic link.
func (d *Dir) Create(name string, mode uint32) (fd int, err error) {
	fd, err = d.open(name, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW, 0o600&mode)
	if err != nil {
		return -1, err
	}
	// Not every file system has modes, so an error is none of the file.
	_ = unix.Fchmod(fd, mode)
	return fd, nil
}

// OpenRead opens a regular file to read. It refuses every other file. In a directory that is not
// trusted it also refuses a file with another owner than [Dir.Append] permits.
func (d *Dir) OpenRead(name string, owners ...uint32) (fd int, err error) {
	fd, err = d.open(name, unix.O_RDONLY|unix.O_NOFOLLOW, 0)
	if err != nil {
		return -1, err
	}
	var st unix.Stat_t
	if err = unix.Fstat(fd, &st); err == nil && st.Mode&unix.S_IFMT != unix.S_IFREG {
		err = refusal("it is not a regular file")
	}
	if err == nil {
		err = d.check(&st, owners)
	}
	if err != nil {
		_ = unix.Close(fd)
		return -1, d.failed("open", name, err)
	}
	return fd, nil
}

// Rename gives a file another name in the directory, and replaces the file that has this name.
func (d *Dir) Rename(from, to string) error {
	return d.rename(from, to, 0)
}

// RenameNew is Rename, but it fails with EEXIST if the new name exists. A file system without
// RENAME_NOREPLACE gets a plain rename.
func (d *Dir) RenameNew(from, to string) error {
	err := d.rename(from, to, unix.RENAME_NOREPLACE)
	if isOneOf(err, unix.EINVAL, unix.ENOSYS) {
		err = d.rename(from, to, 0)
	}
	return err
}

func (d *Dir) rename(from, to string, flags uint) error {
	err := retry(func() error {
		if flags == 0 {
			return unix.Renameat(d.fd, from, d.fd, to)
		}
		return unix.Renameat2(d.fd, from, d.fd, to, flags)
	})
	return d.failed("rename", to, err)
}

// Remove removes a name that is not a directory. A symbolic link is removed, not what it refers to.
func (d *Dir) Remove(name string) error {
	return d.failed("remove", name, retry(func() error { return unix.Unlinkat(d.fd, name, 0) }))
}

// Mkdir creates a directory and opens it. It fails with EEXIST if the name exists.
func (d *Dir) Mkdir(name string, mode uint32) (*Dir, error) {
	err := retry(func() error { return unix.Mkdirat(d.fd, name, 0o700&mode) })
	if err != nil {
		return nil, d.failed("mkdir", name, err)
	}
	fd, err := d.open(name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW, 0)
	if err != nil {
		return nil, err
	}
	var st unix.Stat_t
	if err = unix.Fstat(fd, &st); err == nil && int(st.Uid) != unix.Geteuid() {
		err = refusal("another user has replaced it") // before the mode of it is changed
	}
	if err == nil && st.Mode&0o7777&^unix.S_ISGID != mode { // the umask applies to mkdirat(2)
		if err = unix.Fchmod(fd, mode); err == nil {
			err = unix.Fstat(fd, &st)
		}
	}
	if err != nil {
		_ = unix.Close(fd)
		return nil, d.failed("mkdir", name, err)
	}
	child := d.enter(name, fd, &st)
	return &child, nil
}

// Names returns the names in the directory, in no order. It stops reading after limit names, so the
// result can have a few more.
func (d *Dir) Names(limit int) (names []string, err error) {
	fd, err := d.open(".", unix.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	block := make([]byte, 8192)
	for len(names) <= limit {
		n := 0
		err := retry(func() (err error) {
			n, err = unix.ReadDirent(fd, block)
			return err
		})
		if err != nil || n <= 0 {
			return names, d.failed("read", ".", err)
		}
		_, _, names = unix.ParseDirent(block[:n], -1, names)
	}
	return names, nil
}

// OpenPath opens a file with the flag O_PATH: nothing can be read or written, and the open has no
// effect on the file, also if it is a device. The descriptor keeps the inode from being reused.
func (d *Dir) OpenPath(name string) (fd int, st unix.Stat_t, err error) {
	fd, err = d.open(name, unix.O_PATH|unix.O_NOFOLLOW, 0)
	if err != nil {
		return -1, st, err
	}
	if err = unix.Fstat(fd, &st); err != nil {
		_ = unix.Close(fd)
		return -1, st, d.failed("stat", name, err)
	}
	return fd, st, nil
}

// open opens a file. It does not block: O_NONBLOCK makes the open of a FIFO without a reader fail
// (ENXIO, fifo(7)), and has no effect on regular files.
func (d *Dir) open(name string, flags int, mode uint32) (fd int, err error) {
	flags |= unix.O_CLOEXEC
	if flags&unix.O_PATH == 0 {
		flags |= unix.O_NOCTTY | unix.O_NONBLOCK
	}
	err = retry(func() (err error) {
		fd, err = unix.Openat(d.fd, name, flags, mode)
		return err
	})
	if err != nil {
		return -1, d.failed("open", name, err)
	}
	return fd, nil
}

// failed adds the path to an error. The result is nil without an error.
func (d *Dir) failed(op, name string, err error) error {
	if err == nil {
		return nil
	}
	return &fs.PathError{Op: op, Path: filepath.Join(d.path, name), Err: err}
}

// enter returns a directory in d, which fd refers to.
func (d *Dir) enter(name string, fd int, st *unix.Stat_t) Dir {
	own, mounted := isOurs(st.Uid), st.Dev != d.dev
	c := Dir{fd: fd, path: join(d.path, name), uid: st.Uid, dev: st.Dev}
	c.fixed = d.trusted
	if mounted && isFUSE(fd) { // a user can mount one, which invents owners and modes
		return c
	}
	// A mount point cannot be replaced, and the root directory has no parent.
	c.fixed = c.fixed || d.sticky && own || mounted && d.path == "/"
	c.trusted = c.fixed && own && !othersMayWrite(fd, st)
	c.sticky = c.fixed && own && st.Mode&unix.S_ISVTX != 0
	return c
}

// check returns an error if others may have put an existing file into the directory to make the
// supervisor write to it. st is of the open file. In a trusted directory every file is accepted.
// Elsewhere the file must
//   - have one name only: others can create a hard link to a file of root with the sysctl
//     fs.protected_hardlinks=0;
//   - belong to root, to the supervisor, to the owner of the directory or to one of owners: each
//     other owner can be anybody who may write to the directory;
//   - be a regular file, or a FIFO of root or the supervisor: a device is a copy of one in /dev,
//     and the reader of the FIFO of another user can be slow on purpose.
func (d *Dir) check(st *unix.Stat_t, owners []uint32) error {
	kind := st.Mode & unix.S_IFMT
	isFile := kind == unix.S_IFREG || kind == unix.S_IFIFO && isOurs(st.Uid)
	switch where := "others may write to its directory"; {
	case kind == unix.S_IFDIR:
		return unix.EISDIR
	case d.trusted:
		return nil
	case kind == unix.S_IFLNK:
		return refusal(fmt.Sprintf("it is a symbolic link, and %s", where))
	case !isFile:
		return refusal(fmt.Sprintf("it is not a regular file, and %s", where))
	case st.Nlink > 1:
		return refusal(fmt.Sprintf("it has %d names (hard links), and %s", st.Nlink, where))
	case !isOurs(st.Uid) && st.Uid != d.uid && !slices.Contains(owners, st.Uid):
		return refusal(fmt.Sprintf("it belongs to user %d, and %s. Remove it, or use a directory "+
			"that only its owner may write to", st.Uid, where))
	}
	return nil
}
