package guard

import (
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// writePoll is the time between two checks: whether the descriptor has room again, and whether the
// other thread is done.
const writePoll = time.Millisecond

// Write writes text to a descriptor that may block, and gives up after d. The caller's thread
// writes to descriptors that support RWF_NOWAIT: pipes and sockets. Another thread writes to the
// rest: a terminal, or a file on a file system that does not respond. That thread may stay blocked
// after Write returns. A file is appended to: standard error can be a file that is not opened with
// O_APPEND, and others can have written to it.
func Write(fd int, text []byte, d time.Duration) {
	end := time.Now().Add(d)
	for len(text) > 0 {
		n, err := unix.Pwritev2(fd, [][]byte{text}, -1, unix.RWF_NOWAIT|unix.RWF_APPEND)
		switch {
		case err == nil && n > 0:
			text = text[n:]
		case err == unix.EINTR:
		case err == unix.EAGAIN:
			if !time.Now().Before(end) {
				return
			}
			pollWritable(fd)
		case err == unix.EPIPE || err == unix.EBADF:
			return
		default: // the descriptor does not support RWF_NOWAIT
			writeOnThread(fd, text, end)
			return
		}
	}
}

// pollWritable waits until a descriptor can be written to, for writePoll at most.
func pollWritable(fd int) {
	fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLOUT}}
	_, _ = unix.Poll(fds, int(writePoll/time.Millisecond))
}

// writeOnThread writes on another thread, which Write does not wait for after end.
func writeOnThread(fd int, text []byte, end time.Time) {
	var done atomic.Bool
	go func() {
		defer done.Store(true)
		for len(text) > 0 && time.Now().Before(end) {
			n, err := unix.Pwritev2(fd, [][]byte{text}, -1, unix.RWF_APPEND)
			if err == unix.EOPNOTSUPP || err == unix.ENOSYS || err == unix.EPERM {
				n, err = unix.Write(fd, text)
			}
			switch {
			case err == unix.EINTR:
			case err == unix.EAGAIN:
				pollWritable(fd)
			case err != nil:
				return
			}
			text = text[max(n, 0):]
		}
	}()
	for !done.Load() && time.Now().Before(end) {
		pause(writePoll)
	}
}
