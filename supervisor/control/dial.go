package control

import (
	"errors"
	"fmt"
	"net"
	"os"

	"golang.org/x/sys/unix"
)

// MaxPath is the longest path of a unix socket in bytes (unix(7), sun_path with its final NUL).
const MaxPath = 107

// ErrNoSupervisor says that no process listens on an address.
var ErrNoSupervisor = errors.New("no supervisor has this address")

// dialer connects to addresses in turn. connect(2) leaves a socket usable if no process listens, so
// one socket is enough for all of them, and none waits: the socket is non-blocking.
type dialer struct{ fd int }

// Dial connects to the first address that a process listens on, and to the next one when it is
// called again. After the last one it returns [ErrNoSupervisor]. Close must be called.
func newDialer() *dialer { return &dialer{-1} }

func (d *dialer) close() {
	if d.fd >= 0 {
		_ = unix.Close(d.fd)
	}
}

// dial connects to an address: a path, or an abstract name with a leading @. Without a process that
// listens the error is [ErrNoSupervisor].
func (d *dialer) dial(address string) (*net.UnixConn, error) {
	if len(address) > MaxPath {
		return nil, fmt.Errorf("the path %.40s… has %d bytes, a socket can have %d at most",
			address, len(address), MaxPath)
	}
	if d.fd < 0 {
		const flags = unix.SOCK_STREAM | unix.SOCK_NONBLOCK | unix.SOCK_CLOEXEC
		fd, err := unix.Socket(unix.AF_UNIX, flags, 0)
		if err != nil {
			return nil, os.NewSyscallError("socket", err)
		}
		d.fd = fd
	}
	switch err := unix.Connect(d.fd, &unix.SockaddrUnix{Name: address}); {
	case errors.Is(err, unix.ECONNREFUSED), errors.Is(err, unix.ENOENT),
		errors.Is(err, unix.ENOTDIR), errors.Is(err, unix.EPROTOTYPE):
		return nil, ErrNoSupervisor
	case errors.Is(err, unix.EAGAIN):
		return nil, fmt.Errorf("the queue of the control socket %s is full", address)
	case err != nil:
		return nil, fmt.Errorf("cannot connect to the control socket %s: %w", address, err)
	}
	f := os.NewFile(uintptr(d.fd), address)
	d.fd = -1
	defer f.Close() // FileConn duplicates the descriptor
	c, err := net.FileConn(f)
	if err != nil {
		return nil, err
	}
	return c.(*net.UnixConn), nil
}

// Dial connects to an address: a path, or an abstract name with a leading @. It never waits. If no
// process listens, the error is [ErrNoSupervisor].
func Dial(address string) (*net.UnixConn, error) {
	d := newDialer()
	defer d.close()
	return d.dial(address)
}
