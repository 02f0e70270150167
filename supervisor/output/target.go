package output

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// A target is what a sink writes to.
type target interface {
	// write writes the beginning of bufs and returns the number of bytes. It may wait until the
	// destination accepts a byte, but not once the relay is closed. 0 without an error means
	// that the caller tries again.
	write(bufs [][]byte) (int, error)
}

const (
	// maxVector is the largest number of buffers in one write. x/sys/unix keeps a vector of
	// this size on the stack.
	maxVector = 8
	// pipeChunk is PIPE_BUF: a pipe that poll(2) reports as writable accepts this many bytes
	// without blocking (pipe(7)).
	pipeChunk = 4096
	// ttyChunk is smaller than pipeChunk: a terminal that poll(2) reports as writable can have
	// room for a part of a write only, and the write then blocks.
	ttyChunk = 1024
	// emptyWritePause is the pause, in milliseconds, after repeated writes that returned EAGAIN
	// although poll(2) reported the descriptor as writable.
	emptyWritePause = 5
	// maxEmptyWrites is the number of such writes in a row without a pause.
	maxEmptyWrites = 2
)

// A descriptor writes to a file descriptor that it does not own. It calls write(2) directly:
// os.File kills the process with SIGPIPE when descriptor 1 or 2 is a broken pipe, while the Go
// runtime ignores the SIGPIPE of a direct write.
//
// The file status flags of an inherited descriptor are shared with the process that passed it,
// so O_NONBLOCK is neither set nor expected. Pipes (since Linux 6.4) and sockets are written
// with RWF_NOWAIT (pwritev2(2)), which does not block. Other pipes, sockets and terminals are
// written in small chunks after poll(2). Regular files are written directly. A write can block
// for long only on a terminal that is stopped (Ctrl-S) during a chunk, or on a disk that hangs.
type descriptor struct {
	fd        int
	ended     int      // an eventfd, readable once the relay is closed; -1 if there is none
	file      *os.File // keeps the file of fd from being finalized; nil if there is none
	rwfNowait bool     // try RWF_NOWAIT
	rwfAppend bool     // try RWF_APPEND
	terminal  bool
	noWait    bool // return at once if the destination accepts nothing
	chunk     int  // bytes of one write after poll(2); 0 writes everything without poll(2)
	empty     int  // consecutive writes that returned EAGAIN after poll(2) reported writable
}

// newDescriptor chooses how to write to fd by its type.
func newDescriptor(fd, ended int, f *os.File) *descriptor {
	d := &descriptor{fd: fd, ended: ended, file: f}
	var st unix.Stat_t
	if unix.Fstat(fd, &st) != nil {
		return d // the first write returns the error
	}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFIFO, unix.S_IFSOCK:
		d.rwfNowait, d.chunk = true, pipeChunk
	case unix.S_IFREG:
		d.rwfAppend = true
	case unix.S_IFCHR:
		if _, err := unix.IoctlGetTermios(fd, unix.TCGETS); err == nil {
			d.terminal, d.chunk = true, ttyChunk
		}
	}
	return d
}

func (d *descriptor) write(bufs [][]byte) (int, error) {
	if d.rwfNowait {
		n, err := unix.Pwritev2(d.fd, bufs, -1, unix.RWF_NOWAIT)
		switch err {
		case unix.EOPNOTSUPP, unix.ENOSYS, unix.EPERM:
			d.rwfNowait = false // an older kernel, or a seccomp filter without the call
		default:
			return d.result(n, err)
		}
	}
	if d.rwfAppend {
		n, err := unix.Pwritev2(d.fd, bufs, -1, unix.RWF_APPEND)
		switch err {
		case unix.EOPNOTSUPP, unix.ENOSYS, unix.EPERM, unix.EINVAL:
			d.rwfAppend = false
		default:
			return d.result(n, err)
		}
	}
	if d.chunk == 0 {
		return d.result(unix.Writev(d.fd, bufs))
	}
	if ready, err := d.wait(-1, unix.POLLOUT); !ready {
		return 0, err
	}
	return d.result(unix.Write(d.fd, bufs[0][:min(len(bufs[0]), d.chunk)]))
}

// result converts the result of a write. After EAGAIN it waits until the descriptor is writable.
func (d *descriptor) result(n int, err error) (int, error) {
	switch err {
	case nil:
		d.empty = 0
		return n, nil
	case unix.EINTR:
		return 0, nil
	case unix.EAGAIN:
		if d.empty++; d.empty > maxEmptyWrites {
			_, err := d.wait(emptyWritePause, 0)
			return 0, err
		}
		_, err := d.wait(-1, unix.POLLOUT)
		return 0, err
	default:
		return 0, err
	}
}

// wait returns true once the descriptor is ready for events or broken, and false after timeout
// milliseconds (negative: no timeout) or once the relay is closed.
func (d *descriptor) wait(timeout int, events int16) (bool, error) {
	fds := [2]unix.PollFd{{Fd: int32(d.ended), Events: unix.POLLIN},
		{Fd: int32(d.fd), Events: events}}
	n := len(fds)
	if events == 0 {
		n = 1 // poll(2) would return at once for a broken descriptor
	}
	if d.noWait {
		timeout = 0
	}
	if d.ended < 0 && timeout < 0 {
		timeout = 100 // no eventfd: the caller checks whether the relay is closed
	}
	if _, err := unix.Poll(fds[:n], timeout); err != nil {
		if errors.Is(err, unix.EINTR) {
			err = nil
		}
		return false, err
	}
	return fds[0].Revents == 0 && fds[1].Revents != 0, nil
}

// takeUnread takes and returns what is left in a pipe that has no reader any more: the pipe
// accepted it, but no reader takes it. The result is empty for anything else, and for a FIFO of a
// file system, which a later reader can open.
func (d *descriptor) takeUnread() []byte {
	size, err := unix.IoctlGetInt(d.fd, unix.TIOCINQ) // FIONREAD, pipe(7)
	if err != nil || size <= 0 || !isAnonymousPipe(d.fd) {
		return nil
	}
	fds := []unix.PollFd{{Fd: int32(d.fd), Events: unix.POLLOUT}}
	if n, err := unix.Poll(fds, 0); n != 1 || err != nil || fds[0].Revents&unix.POLLERR == 0 {
		return nil // there is a reader
	}
	fd, err := unix.Open(fmt.Sprint("/proc/self/fd/", d.fd),
		unix.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil // the pipe belongs to another user
	}
	defer unix.Close(fd)
	left := make([]byte, size)
	n, err := unix.Read(fd, left)
	if err != nil {
		return nil
	}
	return left[:n]
}

// number returns the descriptor of f, or -1 if f is nil or closed. Unlike [os.File.Fd] it never
// changes the descriptor to blocking mode.
func number(f *os.File) int {
	fd := -1
	if conn, err := f.SyscallConn(); err == nil {
		_ = conn.Control(func(n uintptr) { fd = int(n) }) // an error means that f is closed
	}
	return fd
}

// An identity is the same for all paths and descriptors of one pipe, terminal or file.
type identity struct{ dev, inode uint64 }

func identityOf(st *unix.Stat_t) identity { return identity{st.Dev, st.Ino} }

// sameFile reports whether two descriptors refer to the same pipe, terminal or file.
func sameFile(a, b int) bool {
	var x, y unix.Stat_t
	return unix.Fstat(a, &x) == nil && unix.Fstat(b, &y) == nil && identityOf(&x) == identityOf(&y)
}

// leadsTo reports whether a path leads to what a descriptor refers to: /dev/stdout, for example.
func leadsTo(path string, fd int) bool {
	var x, y unix.Stat_t
	return unix.Stat(path, &x) == nil && unix.Fstat(fd, &y) == nil &&
		identityOf(&x) == identityOf(&y)
}
