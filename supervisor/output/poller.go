package output

import (
	"errors"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"tp0/supervisor/fdledger"
)

// maxReadable is how many readable pipes the poller takes at a time.
const maxReadable = 32

// A waker is told what the poller finds. Its methods must not block.
type waker interface {
	wake()   // the pipe is readable
	finish() // the pipe is empty and at EOF (EPOLLHUP without EPOLLIN, epoll_ctl(2))
}

// A poller waits for all quiet pipes with one goroutine. The poller of the runtime alone needs a
// goroutine for each of them, with its stack.
//
// The pipes are in an epoll set (epoll(7)), and the poller of the runtime waits for the set. A pipe
// is reported once for each call of await (EPOLLONESHOT), so pipes that have a goroutine cause no
// work here.
type poller struct {
	ledger fdledger.Registrar

	mu     sync.Mutex
	fd     int      // the epoll set
	file   *os.File // the same; nil until the first pipe
	closed bool
	pipes  map[int]waker // by descriptor
	ended  chan struct{} // closed when the goroutine has ended
}

func newPoller(ledger fdledger.Registrar) *poller {
	return &poller{ledger: ledger, pipes: make(map[int]waker), ended: make(chan struct{})}
}

// add adds a pipe. Its waker is called after await, and also before it if the other end is closed.
// The caller calls remove before it closes the pipe.
func (p *poller) add(fd int, w waker) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return errClosed
	}
	if p.file == nil {
		if err := p.open(); err != nil {
			return err
		}
	}
	err := unix.EpollCtl(p.fd, unix.EPOLL_CTL_ADD, fd,
		&unix.EpollEvent{Events: unix.EPOLLONESHOT, Fd: int32(fd)})
	if err != nil {
		return os.NewSyscallError("epoll_ctl", err)
	}
	p.pipes[fd] = w
	return nil
}

// open creates the epoll set, and starts the goroutine. The caller holds p.mu.
func (p *poller) open() error {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return os.NewSyscallError("epoll_create1", err)
	}
	if err = unix.SetNonblock(fd, true); err != nil { // os.NewFile polls only such descriptors
		return errors.Join(os.NewSyscallError("fcntl", err), unix.Close(fd))
	}
	file := os.NewFile(uintptr(fd), "epoll")
	// An error means that the poller of the runtime did not accept the descriptor.
	err = file.SetReadDeadline(time.Time{})
	conn, _ := file.SyscallConn() // an error means a nil file
	if err != nil {
		_ = file.Close() // it reports no lost data
		return err
	}
	p.fd, p.file = fd, file
	p.ledger.OpenedInternal(fd, "epoll", "pipes of the output")
	go p.run(conn)
	return nil
}

// await makes the poller report the pipe once, as soon as it is readable.
func (p *poller) await(fd int) {
	// The pipe is in the set, so an error is not possible.
	_ = unix.EpollCtl(p.fd, unix.EPOLL_CTL_MOD, fd,
		&unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLONESHOT, Fd: int32(fd)})
}

// remove forgets a pipe, which the close of its descriptor then removes from the set.
func (p *poller) remove(fd int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.pipes, fd)
}

// run is the goroutine of the poller. It ends when the set is closed.
func (p *poller) run(conn syscall.RawConn) {
	defer close(p.ended)
	var events [maxReadable]unix.EpollEvent
	_ = conn.Read(func(fd uintptr) bool {
		n := maxReadable
		for n == maxReadable {
			n, _ = unix.EpollWait(int(fd), events[:], 0) // it does not wait, so it has no error
			for _, e := range events[:max(n, 0)] {
				switch w := p.waker(int(e.Fd)); {
				case w == nil:
				case e.Events&(unix.EPOLLIN|unix.EPOLLHUP) == unix.EPOLLHUP:
					w.finish()
				default:
					w.wake()
				}
			}
		}
		return false // wait; a later event makes the set readable again
	})
}

// waker returns the waker of a pipe, or nil if the pipe was closed. A later pipe can have the same
// number: its waker then looks for bytes or an end that are not there.
func (p *poller) waker(fd int) waker {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.pipes[fd]
}

// close ends the poller and waits for its goroutine. Call it when all streams have ended.
func (p *poller) close() {
	p.mu.Lock()
	file := p.file
	ended := p.closed || file == nil
	p.closed = true
	p.mu.Unlock()
	if ended {
		return
	}
	_ = p.ledger.Close(p.fd, file.Close) // it reports no lost data
	<-p.ended
}
