package notify

import (
	"os"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"tp0/supervisor/fdledger"
)

// lingering returns a TCP socket whose close blocks: SO_LINGER is set and its peer does not
// read the queued bytes. unlinger ends the block.
func lingering(t *testing.T) (fd int, unlinger func()) {
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
	return fd, func() { // a reset from the peer ends the linger
		_ = unix.SetsockoptLinger(peer, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1})
		_ = unix.Close(peer)
		_ = unix.Close(l)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// TestBlockingCloseDelaysNothing checks that a passed descriptor whose close blocks delays neither
// later datagrams nor Close.
func TestBlockingCloseDelaysNothing(t *testing.T) {
	ledger, got, gate := fdledger.New(noSink{}), make(chan notification, 10), make(chan struct{})
	n, err := Listen(ledger, func(pids []int, m Message) {
		got <- notification{pids, m}
		<-gate
	})
	must(t, err)
	c, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	must(t, err)
	defer unix.Close(c)
	to := &unix.SockaddrUnix{Name: n.Name()}
	must(t, unix.Sendto(c, []byte("X=1"), 0, to))
	<-got // the handler of the first datagram waits at the gate
	for range 2 * maxClosers {
		fd, unlinger := lingering(t)
		defer unlinger()
		must(t, unix.Sendmsg(c, []byte("X=1"), unix.UnixRights(fd), to, 0))
		must(t, unix.Close(fd)) // the queued message has the last reference
	}
	must(t, unix.Sendto(c, []byte("WATCHDOG=1"), 0, to))
	close(gate)
	for range 2 * maxClosers {
		<-got
	}
	select {
	case m := <-got:
		if !m.m.KeepAlive {
			t.Errorf("%+v", m)
		}
	case <-time.After(limit):
		t.Fatal("the next datagram was not handled")
	}
	start := time.Now()
	n.Close()
	if took := time.Since(start); took > limit/2 {
		t.Errorf("Close took %v, want at most %v", took, limit/2)
	}
}

// TestMaxPassedDescriptors passes the largest number of descriptors in one datagram.
func TestMaxPassedDescriptors(t *testing.T) {
	ledger, got := fdledger.New(noSink{}), make(chan notification, 1)
	n, err := Listen(ledger, func(pids []int, m Message) { got <- notification{pids, m} })
	must(t, err)
	c, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	must(t, err)
	defer unix.Close(c)
	r, w, err := os.Pipe()
	must(t, err)
	defer r.Close()
	fds := make([]int, maxPassed)
	for i := range fds {
		fds[i] = int(w.Fd())
	}
	must(t, unix.Sendmsg(c, []byte("STATUS=many"), unix.UnixRights(fds...),
		&unix.SockaddrUnix{Name: n.Name()}, 0))
	w.Close()
	if m := <-got; m.m.Status != "many" || m.pids[0] != os.Getpid() {
		t.Errorf("%+v", m)
	}
	_ = r.SetReadDeadline(time.Now().Add(limit))
	if n, err := r.Read(make([]byte, 1)); n > 0 || os.IsTimeout(err) {
		t.Errorf("a passed descriptor is still open: read %d bytes, %v", n, err)
	}
	n.Close()
}

// TestCloserIsBounded checks the number of goroutines and the size of the queue, above which
// senders may pass no more descriptors.
func TestCloserIsBounded(t *testing.T) {
	var refused, allowed atomic.Int32
	c := newCloser(func(ok bool) {
		if ok {
			allowed.Add(1)
		} else {
			refused.Add(1)
		}
	})
	c.limit = 0 // no goroutine: all descriptors stay in the queue
	var fds []int
	for range maxQueued + 1 {
		fd, err := unix.Open("/dev/null", unix.O_RDONLY|unix.O_CLOEXEC, 0)
		must(t, err)
		fds = append(fds, fd)
	}
	c.close(fds[:maxQueued])
	if refused.Load() != 0 {
		t.Error("descriptors are refused below the limit of the queue")
	}
	c.close(fds[maxQueued:])
	if refused.Load() != 1 {
		t.Error("descriptors are not refused above the limit of the queue")
	}
	c.mu.Lock()
	c.limit = maxClosers
	c.startWorkers()
	running := c.running
	c.mu.Unlock()
	if running != maxClosers {
		t.Errorf("%d goroutines, want %d", running, maxClosers)
	}
	c.drain()
	if allowed.Load() != 1 {
		t.Error("descriptors are still refused after the queue was drained")
	}
	for _, fd := range fds {
		if _, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err == nil {
			t.Fatalf("descriptor %d is still open", fd)
		}
	}
}
