// Package sigchld calls a function when the kernel sends SIGCHLD: a child of the supervisor has
// ended or stopped.
//
// os/signal passes a signal from the thread that gets it to a goroutine of its own, and from there
// to the receiver. So three threads wake up. On amd64 a signal handler of this package writes to an
// eventfd(2) instead. Go's poller watches the eventfd and runs the receiver on the thread that
// waits in epoll_wait(2). With it, and with the goroutine that reaps beside the loop, an orphan
// takes 0.4 times the CPU time (docs/decisions/0042). Elsewhere os/signal is used.
package sigchld

import (
	"fmt"
	"os"
	"os/signal"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// Watch is the receiver of SIGCHLD. A process has one disposition for a signal, so no two watches
// may run at the same time.
type Watch struct {
	events  *os.File       // the eventfd; nil: os/signal is used
	signals chan os.Signal // of os/signal
	quit    chan struct{}
}

// Open catches SIGCHLD also where it was ignored. From then on no signal is lost. It fails if the
// eventfd cannot be created.
func Open() (*Watch, error) { return open(handlerAddress() != 0) }

func open(withHandler bool) (*Watch, error) {
	w := &Watch{quit: make(chan struct{})}
	if !withHandler {
		w.signals = make(chan os.Signal, 1)
		signal.Notify(w.signals, unix.SIGCHLD)
		return w, nil
	}
	var err error
	if w.events, err = OpenEvents(); err != nil {
		return nil, err
	}
	if err := w.events.SetReadDeadline(time.Time{}); err != nil {
		return nil, fmt.Errorf("cannot watch the eventfd of SIGCHLD: %w", err)
	}
	return w, install()
}

// Run calls do after each SIGCHLD, until Close. Signals that arrive during a call are one call.
// Call it once.
func (w *Watch) Run(do func()) {
	if w.events == nil {
		for w.next() {
			do()
		}
		return
	}
	conn, err := w.events.SyscallConn()
	if err != nil {
		return // the file is never closed
	}
	// Read calls the function at once, and then after each write to the eventfd, also after one
	// during a call (epoll(7), EPOLLET). So nothing needs to be read.
	_ = conn.Read(func(uintptr) bool {
		select {
		case <-w.quit:
			return true
		default:
			do()
			return false
		}
	})
}

func (w *Watch) next() bool {
	select {
	case <-w.quit:
		return false
	case <-w.signals:
		return true
	}
}

// Close ends Run. SIGCHLD is still caught.
func (w *Watch) Close() {
	close(w.quit)
	if w.events == nil {
		signal.Stop(w.signals)
		return
	}
	_ = w.events.SetReadDeadline(time.Unix(0, 1)) // wakes Run
}

// OpenEvents returns the eventfd of the signal handler, and creates it with the first call. It is
// never closed: a handler that is about to write to it can run on any thread at any time. So it
// must exist before the fd ledger, and before a thread gets an fd table of its own. It returns nil
// where there is no handler.
func OpenEvents() (*os.File, error) {
	if handlerAddress() == 0 {
		return nil, nil
	}
	return openEvents()
}

var openEvents = sync.OnceValues(func() (*os.File, error) {
	fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		return nil, fmt.Errorf("cannot create an eventfd: %w", err)
	}
	atomic.StoreInt32(&eventFD, int32(fd))
	return os.NewFile(uintptr(fd), "SIGCHLD"), nil
})

// eventFD is the eventfd, for the signal handler. It does not change once the handler is installed.
var eventFD int32
