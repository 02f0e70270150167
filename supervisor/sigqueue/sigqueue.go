// Package sigqueue passes signals to a channel, as os/signal does. It installs the handler of a
// signal with one system call and without a switch of threads.
//
// In [signal.Notify] a thread of its own unblocks each signal, and the caller waits for it. For the
// 64 signals that exec forwards this took a third of the time until its command was in main, or
// more (docs/decisions/0041). On amd64 a signal handler of this package records the signal and
// writes to an eventfd(2) instead. Elsewhere os/signal is used.
package sigqueue

import (
	"math/bits"
	"os"
	"os/signal"
	"slices"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// Queue passes signals to a channel, and waits while the channel is full. A signal that arrives
// again before it was passed on is passed on once. Of SIGCONT and a stop signal such as SIGTSTP,
// the handler keeps the last one. It drops a SIGPIPE that a write of this process caused: nobody
// sent it. A process has one disposition for a signal, so there must be one queue at most.
type Queue struct {
	to      chan<- os.Signal
	events  *os.File // the eventfd; nil: os/signal is used
	blocked unix.Sigset_t
}

// New returns a queue that catches no signal yet. Call it before the fd ledger is created, because
// the eventfd of the handler is never closed: a handler that is about to write to it can run on any
// thread at any time. For the same reason the goroutine of the queue ends with the process.
func New(to chan<- os.Signal) *Queue {
	q := &Queue{to: to}
	if handlerAddress() == 0 || unix.PthreadSigmask(unix.SIG_BLOCK, nil, &q.blocked) != nil {
		return q
	}
	fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		return q
	}
	atomic.StoreInt32(&eventFD, int32(fd))
	atomic.StoreInt32(&ownPid, int32(os.Getpid()))
	q.events = os.NewFile(uintptr(fd), "signals")
	go q.run()
	return q
}

// faults are the signals of a fault in the program itself. Go's runtime must handle them: it makes
// a panic of the fault, or ends the program. It passes on those that another process sent.
var faults = [...]unix.Signal{
	unix.SIGILL, unix.SIGTRAP, unix.SIGBUS, unix.SIGFPE, unix.SIGSEGV, unix.SIGSTKFLT, unix.SIGSYS,
}

// Catch catches a signal, also if it was ignored. A signal that was blocked when the process
// started is blocked in every thread, and os/signal alone unblocks it.
func (q *Queue) Catch(sig unix.Signal) {
	if q.events == nil || slices.Contains(faults[:], sig) || q.isBlocked(sig) || !install(sig) {
		signal.Notify(q.to, sig)
	}
}

func (q *Queue) isBlocked(sig unix.Signal) bool {
	return q.blocked.Val[0]&(1<<(sig-1)) != 0
}

// run passes on what the handler recorded.
func (q *Queue) run() {
	var count [8]byte
	for {
		if _, err := q.events.Read(count[:]); err != nil {
			return // the file is never closed
		}
		for set := atomic.SwapUint64(&pending, 0); set != 0; set &= set - 1 {
			q.to <- unix.Signal(bits.TrailingZeros64(set) + 1)
		}
	}
}

// The signal handler uses these variables. Only pending changes once a handler is installed.
var (
	eventFD int32
	ownPid  int32
	pending uint64 // the signals that arrived; bit n-1 is signal n
)
