package output

import (
	"errors"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"tp0/supervisor/limits"
)

// A target takes what a sink writes.
type target interface {
	// write writes what can be taken of bufs without a long wait and returns
	// how many bytes that was. It may wait until something is taken, but not
	// once the hub has ended; 0 without an error means: ask again.
	write(bufs [][]byte) (int, error)
}

const (
	// maxVector is how many buffers go into one write; up to here
	// x/sys/unix keeps the vector on the stack.
	maxVector = 8
	// pipeChunk is PIPE_BUF: a pipe that polls as writable takes this much
	// without blocking (pipe(7)).
	pipeChunk = 4096
	// ttyChunk is smaller, because a terminal that polls as writable may
	// have room for a part only, and the write then blocks for the rest.
	ttyChunk = 1024
	// spinPause is how long, in milliseconds, a descriptor is left alone that
	// polls as writable and takes nothing.
	spinPause = 5
)

// A descriptor writes to a file descriptor, which it does not own, with
// write(2) itself rather than through os.File: that one raises SIGPIPE in the
// process for a broken 1 or 2 that nobody asked to be notified of, while the
// signal which the kernel sends for a plain write is ignored by the runtime.
//
// The file status flags of an inherited descriptor are shared with whoever
// gave it to us, so O_NONBLOCK is neither set nor relied upon. Where the
// kernel has it (pipes since Linux 6.4, sockets) a single write asks not to
// block (RWF_NOWAIT, pwritev2(2)); elsewhere poll(2) comes first and the write
// is small, so that a reader who is slow shows as slow, not as gone. Regular
// files are simply written. What remains that can block for long is a write to
// a terminal stopped in mid-chunk, or to a disk that hangs.
type descriptor struct {
	fd     int
	ended  int      // readable once the hub has ended; below 0: there is none
	keep   *os.File // against its finalizer
	nowait bool     // try RWF_NOWAIT
	brief  bool     // do not wait until something is taken
	chunk  int      // above 0: poll, then write at most this much
	hasty  int      // how often in a row poll said writable and write EAGAIN
}

// newDescriptor looks at what fd is and chooses how to write to it.
func newDescriptor(fd, ended int, keep *os.File) *descriptor {
	d := &descriptor{fd: fd, ended: ended, keep: keep}
	var st unix.Stat_t
	if unix.Fstat(fd, &st) != nil {
		return d // the first write says why
	}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFIFO, unix.S_IFSOCK:
		d.nowait, d.chunk = true, pipeChunk
	case unix.S_IFCHR:
		if _, err := unix.IoctlGetTermios(fd, unix.TCGETS); err == nil {
			d.chunk = ttyChunk
		}
	}
	return d
}

func (d *descriptor) write(bufs [][]byte) (int, error) {
	if d.nowait {
		n, err := unix.Pwritev2(d.fd, bufs, -1, unix.RWF_NOWAIT)
		switch err {
		case unix.EOPNOTSUPP, unix.ENOSYS, unix.EPERM:
			// An older kernel, or a sandbox that does not know the call.
			d.nowait = false
		default:
			return d.written(n, err)
		}
	}
	if d.chunk == 0 {
		return d.written(unix.Writev(d.fd, bufs))
	}
	if ready, err := d.wait(-1, unix.POLLOUT); !ready {
		return 0, err
	}
	return d.written(unix.Write(d.fd, bufs[0][:min(len(bufs[0]), d.chunk)]))
}

// written judges the result of a write; where nothing could be taken it waits
// for that to change.
func (d *descriptor) written(n int, err error) (int, error) {
	switch err {
	case nil:
		d.hasty = 0
		return n, nil
	case unix.EINTR:
		return 0, nil
	case unix.EAGAIN:
		if d.hasty++; d.hasty > 2 {
			_, err := d.wait(spinPause, 0)
			return 0, err
		}
		_, err := d.wait(-1, unix.POLLOUT)
		return 0, err
	default:
		return 0, err
	}
}

// wait waits until the descriptor is ready for events or broken (true), or
// until timeout milliseconds passed (below 0: without end) or the hub ended
// (false).
func (d *descriptor) wait(timeout int, events int16) (bool, error) {
	fds := [2]unix.PollFd{{Fd: int32(d.ended), Events: unix.POLLIN},
		{Fd: int32(d.fd), Events: events}}
	n := len(fds)
	if events == 0 {
		n = 1 // a broken descriptor would be reported at once
	}
	if d.brief {
		timeout = 0
	}
	if d.ended < 0 && timeout < 0 {
		timeout = 100 // nothing will wake us: the caller looks whether the hub has ended
	}
	if _, err := unix.Poll(fds[:n], timeout); err != nil {
		if errors.Is(err, unix.EINTR) {
			err = nil
		}
		return false, err
	}
	return fds[0].Revents == 0 && fds[1].Revents != 0, nil
}

// A file is the target of a log file: threads are bounded, and there can be many
// log files. What is no regular file (a FIFO, a terminal) is asked again and
// again instead of waited for in poll(2).
type file struct{ descriptor }

// fileEvery is how often a file that takes nothing is asked.
const fileEvery = 10 * time.Millisecond

func newFile(fd int) *file {
	f := &file{*newDescriptor(fd, -1, nil)}
	f.brief = true
	return f
}

func (f *file) write(bufs [][]byte) (n int, err error) {
	limits.FileSlots.Run(func() { n, err = f.descriptor.write(bufs) })
	if n == 0 && err == nil {
		time.Sleep(fileEvery)
	}
	return n, err
}

// number returns the descriptor of f and leaves its flags alone, which
// [os.File.Fd] may not; -1 if f is nil or closed.
func number(f *os.File) int {
	fd := -1
	if conn, err := f.SyscallConn(); err == nil {
		_ = conn.Control(func(n uintptr) { fd = int(n) }) // it fails for a closed file only
	}
	return fd
}

// sameFile says whether two descriptors lead to the same pipe, terminal or
// file.
func sameFile(a, b int) bool {
	var x, y unix.Stat_t
	return unix.Fstat(a, &x) == nil && unix.Fstat(b, &y) == nil &&
		x.Dev == y.Dev && x.Ino == y.Ino
}
