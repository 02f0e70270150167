package guard

import (
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// writePoll is the time between two checks: whether the descriptor has room again, and whether the
// other thread is done.
const writePoll = time.Millisecond

const (
	// startTime is the time that the other thread gets to start, also after the end of the write:
	// a busy machine runs it late.
	startTime = 250 * time.Millisecond
	// attemptTime is the time of its first attempt. A local file takes less than a millisecond.
	attemptTime = 40 * time.Millisecond
)

// Write writes text to a descriptor that may block, and gives up after d. The first attempt is made
// also if d is 0 or negative. The caller's thread writes to descriptors that support RWF_NOWAIT:
// pipes and sockets. Another thread writes to the rest: a terminal, or a file on a file system that
// does not respond. That thread may stay blocked after Write returns. A file is appended to:
// standard error can be a file that is not opened with O_APPEND, and others can have written to it.
func Write(fd int, text []byte, d time.Duration) {
	end := time.Now().Add(d)
	for len(text) > 0 {
		n, err := unix.Pwritev2(fd, [][]byte{text}, -1, unix.RWF_NOWAIT|unix.RWF_APPEND)
		switch {
		case err == nil && n > 0:
			text = text[n:]
		case err == unix.EINTR:
		case err == unix.EAGAIN && isFile(fd): // poll(2) cannot wait for a file
			writeOnThread(fd, text, end)
			return
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

// isFile reports whether a descriptor is that of a regular file.
func isFile(fd int) bool {
	var st unix.Stat_t
	return unix.Fstat(fd, &st) == nil && st.Mode&unix.S_IFMT == unix.S_IFREG
}

// pollWritable waits until a descriptor can be written to, for writePoll at most.
func pollWritable(fd int) {
	fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLOUT}}
	_, _ = unix.Poll(fds, int(writePoll/time.Millisecond))
}

// writeOnThread writes on another thread, which Write does not wait for after end. But the thread
// gets the time for its start and for one attempt: the machine may be so busy that end has passed.
func writeOnThread(fd int, text []byte, end time.Time) {
	var started, done atomic.Bool
	go func() {
		defer done.Store(true)
		started.Store(true)
		for len(text) > 0 {
			n, err := unix.Pwritev2(fd, [][]byte{text}, -1, unix.RWF_APPEND)
			if err == unix.EOPNOTSUPP || err == unix.ENOSYS || err == unix.EPERM {
				n, err = unix.Write(fd, text)
			}
			text = text[max(n, 0):]
			switch {
			case err == unix.EINTR:
				continue
			case err != nil && err != unix.EAGAIN, !time.Now().Before(end):
				return
			case err == unix.EAGAIN:
				pollWritable(fd)
			}
		}
	}()
	for late := time.Now().Add(startTime); !started.Load() && time.Now().Before(late); {
		pause(writePoll)
	}
	limit := later(end, time.Now().Add(attemptTime))
	for !done.Load() && time.Now().Before(limit) {
		pause(writePoll)
	}
}

// later returns the later of two times.
func later(a, b time.Time) time.Time {
	if a.Before(b) {
		return b
	}
	return a
}
