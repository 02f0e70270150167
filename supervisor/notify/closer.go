package notify

import (
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

const (
	mostClosers = 2    // closes at a time, each of which may take a thread for ever
	mostPassed  = 253  // descriptors of a datagram: SCM_MAX_FD, unix(7)
	mostKept    = 1024 // descriptors that wait to be closed; beyond it nobody may pass any
	mostAtEnd   = 64   // goroutines that close what is left in the end
	endLimit    = 50 * time.Millisecond
)

// closer closes descriptors that somebody passed to us. close(2) of such a one can
// wait for as long as its sender likes: a socket lingers, a file system of the
// sender's answers when it wants to. So nobody waits for a closer.
type closer struct {
	passing func(allowed bool) // told when there are too many, and when there is room again

	mu      sync.Mutex
	waiting []int
	busy    int  // goroutines
	most    int  // of them
	refuses bool // as passing was told last
	idle    *sync.Cond
}

func newCloser(passing func(bool)) *closer {
	c := &closer{passing: passing, most: mostClosers}
	c.idle = sync.NewCond(&c.mu)
	return c
}

// close takes descriptors over, and does not wait.
func (c *closer) close(fds []int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.waiting = append(c.waiting, fds...)
	c.work()
	c.judge()
}

// work begins goroutines for what waits. c.mu is held.
func (c *closer) work() {
	for n := len(c.waiting); c.busy < c.most && c.busy < n; {
		c.busy++
		go c.run()
	}
}

func (c *closer) run() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(c.waiting) > 0 {
		fd := c.waiting[0]
		c.waiting = c.waiting[1:]
		c.mu.Unlock()
		// A sender that kept a copy can set it again, so the close may wait still.
		_ = unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{})
		_ = unix.Close(fd)
		c.mu.Lock()
		c.judge()
	}
	c.busy--
	c.idle.Broadcast()
}

// judge allows and refuses the passing of descriptors. c.mu is held.
func (c *closer) judge() {
	refuses := len(c.waiting) > mostKept || c.refuses && len(c.waiting) > mostKept/2
	if refuses != c.refuses {
		c.refuses = refuses
		c.passing(!refuses)
	}
}

// end closes what is left, and waits for that, though not for long: a descriptor
// is out of our table before its close waits for anything.
func (c *closer) end() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.busy == 0 {
		return
	}
	c.most = mostAtEnd
	c.work()
	late := false
	defer time.AfterFunc(endLimit, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		late = true
		c.idle.Broadcast()
	}).Stop()
	for c.busy > 0 && !late {
		c.idle.Wait()
	}
}
