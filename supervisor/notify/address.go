package notify

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"
)

// openSocket opens the socket at the address that it returns: a file in the directory, or an
// abstract name for a nil one.
func openSocket(d *directory, p Process) (fd int, address string, err error) {
	fd, err = unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, "", fmt.Errorf("cannot open a notification socket: %w", err)
	}
	if d == nil {
		address = "@supervisor/notify/" + randomHex(8)
		// Before bind(2), so that each datagram has the credentials of its sender.
		err = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_PASSCRED, 1)
		if err == nil {
			err = unix.Bind(fd, &unix.SockaddrUnix{Name: address})
		}
	} else {
		address = d.file(p)
		err = bindFile(fd, address, p.UID)
	}
	if err != nil {
		err = fmt.Errorf("cannot open the notification socket %s: %w", address, err)
		return -1, "", errors.Join(err, unix.Close(fd))
	}
	return fd, address, nil
}

// file returns the path of the socket of a process. A long name is cut.
func (d *directory) file(p Process) string {
	number := "-" + strconv.FormatUint(p.Number, 10)
	room := maxPath - len(d.path) - 1 - len(number)
	return filepath.Join(d.path, p.Name[:min(len(p.Name), room)]+number)
}

// bindFile binds a socket to a path that only a user can write to.
func bindFile(fd int, path string, uid int) error {
	// bind(2) creates the file with the mode of the socket, so no other user can ever write to it.
	if err := unix.Fchmod(fd, 0o600); err != nil {
		return err
	}
	if err := unix.Bind(fd, &unix.SockaddrUnix{Name: path}); err != nil {
		return err
	}
	err := unix.Chmod(path, 0o600) // the umask applies to bind(2)
	if err == nil && uid != os.Geteuid() {
		err = unix.Lchown(path, uid, -1)
	}
	if err != nil {
		_ = unix.Unlink(path)
	}
	return err
}
