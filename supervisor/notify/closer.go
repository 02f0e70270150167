package notify

import (
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

const (
	maxClosers      = 2    // concurrent closes; each can block its thread without end
	maxPassed       = 253  // descriptors in one datagram: SCM_MAX_FD, unix(7)
	maxQueued       = 1024 // descriptors waiting for their close; above it the socket refuses more
	maxClosersAtEnd = 64   // concurrent closes once drain is called
	drainTimeout    = 50 * time.Millisecond
)

// closer closes the descriptors that senders pass with a datagram. close(2) of such a
// descriptor can block as long as its sender wants: a socket lingers, a FUSE file system does
// not answer. So close queues the descriptors and returns, and goroutines close them.
type closer struct {
	// refuses descriptors when the queue is full, and allows them again
	setPassing func(allowed bool)

	mu      sync.Mutex
	queue   []int
	running int  // goroutines in run
	limit   int  // of running
	refused bool // the last call of setPassing refused descriptors
	stopped *sync.Cond
}

func newCloser(setPassing func(bool)) *closer {
	c := &closer{setPassing: setPassing, limit: maxClosers}
	c.stopped = sync.NewCond(&c.mu)
	return c
}

// close takes ownership of fds and does not block.
func (c *closer) close(fds []int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.queue = append(c.queue, fds...)
	c.startWorkers()
	c.updatePassing()
}

// startWorkers starts goroutines for the queue, up to the limit. The caller holds c.mu.
func (c *closer) startWorkers() {
	for n := len(c.queue); c.running < c.limit && c.running < n; {
		c.running++
		go c.run()
	}
}

func (c *closer) run() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(c.queue) > 0 {
		fd := c.queue[0]
		c.queue = c.queue[1:]
		c.mu.Unlock()
		// Without SO_LINGER the close of a socket does not block. A sender that kept a copy of
		// the descriptor can set the option again, so the close can block all the same.
		_ = unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{})
		_ = unix.Close(fd)
		c.mu.Lock()
		c.updatePassing()
	}
	c.running--
	c.stopped.Broadcast()
}

// updatePassing refuses descriptors above maxQueued and allows them again below half of it.
// The caller holds c.mu.
func (c *closer) updatePassing() {
	refuse := len(c.queue) > maxQueued || c.refused && len(c.queue) > maxQueued/2
	if refuse != c.refused {
		c.refused = refuse
		c.setPassing(!refuse)
	}
}

// drain closes the queued descriptors with more goroutines and waits for them, at most
// drainTimeout. A close that blocks does no harm: the kernel removes a descriptor from the
// table of the process before the close can block.
func (c *closer) drain() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.running == 0 {
		return
	}
	c.limit = maxClosersAtEnd
	c.startWorkers()
	expired := false
	defer time.AfterFunc(drainTimeout, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		expired = true
		c.stopped.Broadcast()
	}).Stop()
	for c.running > 0 && !expired {
		c.stopped.Wait()
	}
}
