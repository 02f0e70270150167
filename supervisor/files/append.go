package files

import (
	"golang.org/x/sys/unix"
)

// appendTries is the number of attempts to open or create a file that another process removes and
// creates all the time.
const appendTries = 8

// Append opens a file to append to it, and creates it if the name does not exist. The new file
// belongs to the supervisor and has the mode, without the bits of the umask. An existing file keeps
// its mode and its owner.
//
// An existing file is refused, see [IsRefused], if others may have put it into the directory to
// make the supervisor write to it. owners are the users besides the supervisor whose files are
// accepted there. Append refuses a directory, and follows no link but those of a trusted directory
// in /proc.
func (d *Dir) Append(name string, mode uint32, owners ...uint32) (fd int, created bool, err error) {
	for range appendTries {
		fd, err = d.appendExisting(name, owners)
		if !isOneOf(err, unix.ENOENT) {
			return fd, false, err
		}
		const flags = unix.O_WRONLY | unix.O_APPEND | unix.O_CREAT | unix.O_EXCL | unix.O_NOFOLLOW
		fd, err = d.open(name, flags, mode)
		if !isOneOf(err, unix.EEXIST) {
			return fd, err == nil, err
		}
	}
	return -1, false, err
}

// AppendExisting is Append for a file that must exist.
func (d *Dir) AppendExisting(name string, owners ...uint32) (fd int, err error) {
	return d.appendExisting(name, owners)
}

func (d *Dir) appendExisting(name string, owners []uint32) (fd int, err error) {
	flags := unix.O_WRONLY | unix.O_APPEND | unix.O_NOFOLLOW
	if isMagic(d.path) && d.trusted {
		flags &^= unix.O_NOFOLLOW // an open file of a process, such as /proc/self/fd/1
	} else {
		st, err := d.Stat(name) // because the open of a device can have an effect
		if err != nil {
			return -1, err
		}
		if err := d.check(&st, owners); err != nil {
			return -1, d.failed("open", name, err)
		}
	}
	fd, err = d.open(name, flags, 0)
	if err != nil {
		return -1, err
	}
	var st unix.Stat_t
	if err = unix.Fstat(fd, &st); err == nil {
		err = d.check(&st, owners) // another file can have the name since the first check
	}
	if err != nil {
		_ = unix.Close(fd)
		return -1, d.failed("open", name, err)
	}
	return fd, nil
}

// Append opens the file at a path to append to it: [OpenParent] and [Dir.Append].
func Append(path string, mode uint32, owners ...uint32) (fd int, err error) {
	d, name, err := OpenParent(path)
	if err != nil {
		return -1, err
	}
	defer d.Close()
	fd, _, err = d.Append(name, mode, owners...)
	return fd, err
}
