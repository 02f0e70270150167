package notify

import (
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// lingering returns a TCP socket whose release blocks for ten minutes: SO_LINGER is set and its
// peer does not read the queued bytes. The cleanup of the test ends the block.
func lingering(t *testing.T) (fd int) {
	t.Helper()
	l, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	must(t, err)
	must(t, unix.SetsockoptInt(l, unix.SOL_SOCKET, unix.SO_RCVBUF, 2048))
	must(t, unix.Bind(l, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}))
	must(t, unix.Listen(l, 1))
	at, err := unix.Getsockname(l)
	must(t, err)
	fd, err = unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	must(t, err)
	must(t, unix.Connect(fd, at))
	peer, _, err := unix.Accept(l)
	must(t, err)
	must(t, unix.SetNonblock(fd, true))
	for {
		if _, err := unix.Write(fd, make([]byte, 1<<16)); err != nil {
			break
		}
	}
	must(t, unix.SetNonblock(fd, false))
	must(t, unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER,
		&unix.Linger{Onoff: 1, Linger: 600}))
	t.Cleanup(func() { // a reset from the peer ends the linger
		_ = unix.SetsockoptLinger(peer, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1})
		_ = unix.Close(peer)
		_ = unix.Close(l)
	})
	return fd
}

// inQueue returns a unix socket whose queue has the last reference to fd.
func inQueue(t *testing.T, fd int) int {
	t.Helper()
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	must(t, err)
	must(t, unix.Sendmsg(pair[0], []byte("x"), unix.UnixRights(fd), nil, 0))
	must(t, unix.Close(fd))
	must(t, unix.Close(pair[0]))
	return pair[1]
}

// passLingering sends messages whose descriptors block at their release.
func passLingering(t *testing.T, c int, s *Inbox, n int) {
	t.Helper()
	for i := range n {
		fds := []int{lingering(t), lingering(t)}
		if i%2 == 1 {
			fds = []int{inQueue(t, fds[0]), inQueue(t, inQueue(t, fds[1]))}
		}
		send(t, c, s, "X=1", fds...)
		for _, fd := range fds {
			// The message has the last reference, so this close rarely blocks. If it does, it
			// blocks beside the test.
			go unix.Close(fd)
		}
	}
}

// TestLingeringDescriptors checks that passed descriptors whose release blocks delay neither the
// messages after them, nor those of another process, nor the end.
func TestLingeringDescriptors(t *testing.T) {
	r := newReceiver(t, place(t))
	s, other, c := r.socket(os.Geteuid()), r.socket(os.Geteuid()), client(t)
	start := time.Now()
	passLingering(t, c, s, 6)
	send(t, c, other, "WATCHDOG=1")
	if m, _ := r.next(other, 0); len(m) != 1 || !m[0].KeepAlive {
		t.Errorf("another process: got %+v, want WATCHDOG", m)
	}
	send(t, c, s, "WATCHDOG=1")
	if m, _ := r.next(s, 0); len(m) != 1 || !m[0].KeepAlive {
		t.Errorf("the sender: got %+v, want WATCHDOG", m)
	}
	if took := time.Since(start); took > limit/2 {
		t.Errorf("the messages took %v, want at most %v", took, limit/2)
	}
}

// TestLingeringAtTheEnd closes a socket with descriptors in its queue whose release blocks.
func TestLingeringAtTheEnd(t *testing.T) {
	r := newReceiver(t, place(t))
	s, c := r.socket(os.Geteuid()), client(t)
	free := s.slot.take() // the socket is not read
	passLingering(t, c, s, 6)
	s.Close()
	free()
}

// TestInterruptible checks that only a call that blocks is late, and that it ends.
func TestInterruptible(t *testing.T) {
	if interruptible(func() {}) {
		t.Log("the machine is busy: a call without effect was late")
	}
	fd, start := lingering(t), time.Now()
	late := interruptible(func() { _ = unix.Close(fd) })
	if took := time.Since(start); !late || took > limit/2 {
		t.Errorf("late is %v after %v, want true within %v", late, took, limit/2)
	}
}
