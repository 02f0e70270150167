package notify

import (
	"fmt"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"tp0/supervisor/fdledger"
)

// lingering is a TCP socket whose close waits: it has bytes that nobody takes, and
// SO_LINGER. unlinger ends that.
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
	return fd, func() { // a reset ends the linger
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

// A descriptor whose close would wait keeps neither messages nor the end waiting.
func TestPassedDescriptorThatLingers(t *testing.T) {
	book, got, gate := fdledger.New(sinkless{}), make(chan came, 10), make(chan struct{})
	n, err := Listen(book, func(pids []int, m Message) {
		got <- came{pids, m}
		<-gate
	})
	must(t, err)
	c, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	must(t, err)
	defer unix.Close(c)
	to := &unix.SockaddrUnix{Name: n.Name()}
	must(t, unix.Sendto(c, []byte("X=1"), 0, to))
	<-got // it is read, and the next ones are not until the gate opens
	for range 2 * mostClosers {
		fd, unlinger := lingering(t)
		defer unlinger()
		must(t, unix.Sendmsg(c, []byte("X=1"), unix.UnixRights(fd), to, 0))
		must(t, unix.Close(fd)) // the message has the last reference
	}
	must(t, unix.Sendto(c, []byte("WATCHDOG=1"), 0, to))
	close(gate)
	for range 2 * mostClosers {
		<-got
	}
	select {
	case m := <-got:
		if !m.m.KeepAlive {
			t.Errorf("%+v", m)
		}
	case <-time.After(limit):
		t.Fatal("nothing is read any more")
	}
	begin := time.Now()
	n.Close()
	if took := time.Since(begin); took > limit/2 {
		t.Errorf("the end took %v", took)
	}
}

// All that a datagram can bring fits, and is closed.
func TestMostPassedDescriptors(t *testing.T) {
	book, got := fdledger.New(sinkless{}), make(chan came, 1)
	n, err := Listen(book, func(pids []int, m Message) { got <- came{pids, m} })
	must(t, err)
	c, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	must(t, err)
	defer unix.Close(c)
	r, w, err := os.Pipe()
	must(t, err)
	defer r.Close()
	fds := make([]int, mostPassed)
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
		t.Error("not all are closed", n, err)
	}
	n.Close()
}

// Closes that never end take two goroutines, and the rest waits, up to a bound at
// which nobody may pass a descriptor any more.
func TestCloserIsBounded(t *testing.T) {
	var refused, allowed atomic.Int32
	c := newCloser(func(ok bool) {
		if ok {
			allowed.Add(1)
		} else {
			refused.Add(1)
		}
	})
	c.most = 0 // none is closed for now
	var fds []int
	for range mostKept + 1 {
		fd, err := unix.Open("/dev/null", unix.O_RDONLY|unix.O_CLOEXEC, 0)
		must(t, err)
		fds = append(fds, fd)
	}
	c.close(fds[:mostKept])
	if refused.Load() != 0 {
		t.Error("refused too early")
	}
	c.close(fds[mostKept:])
	if refused.Load() != 1 {
		t.Error("not refused")
	}
	c.mu.Lock()
	c.most = mostClosers
	c.work()
	busy := c.busy
	c.mu.Unlock()
	if busy != mostClosers {
		t.Errorf("%d goroutines", busy)
	}
	c.end()
	if allowed.Load() != 1 {
		t.Error("not allowed again")
	}
	for _, fd := range fds {
		if _, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err == nil {
			t.Fatal(fmt.Sprint(fd, " is open"))
		}
	}
}
