package guard

import (
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// writePoll is how often Write looks whether there is room again, or whether
// the other thread is done.
const writePoll = time.Millisecond

// Write writes a text to a descriptor that may block, and gives up after d. What
// can be written without waiting (a pipe, a socket) the caller's thread writes;
// the rest (a terminal, a file on a file system that does not answer) another
// one, which stays behind if it has to.
func Write(fd int, text []byte, d time.Duration) {
	end := time.Now().Add(d)
	for len(text) > 0 {
		n, err := unix.Pwritev2(fd, [][]byte{text}, -1, unix.RWF_NOWAIT)
		switch {
		case err == nil && n > 0:
			text = text[n:]
		case err == unix.EINTR:
		case err == unix.EAGAIN:
			if !time.Now().Before(end) {
				return
			}
			_, _ = unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLOUT}}, int(writePoll/time.Millisecond))
		case err == unix.EPIPE || err == unix.EBADF:
			return
		default: // the descriptor knows no RWF_NOWAIT
			writeBeside(fd, text, end)
			return
		}
	}
}

func writeBeside(fd int, text []byte, end time.Time) {
	var done atomic.Bool
	go func() {
		defer done.Store(true)
		for len(text) > 0 && time.Now().Before(end) {
			n, err := unix.Write(fd, text)
			switch {
			case err == unix.EINTR:
			case err == unix.EAGAIN:
				_, _ = unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLOUT}}, int(writePoll/time.Millisecond))
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
