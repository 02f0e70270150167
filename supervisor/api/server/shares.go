package server

import (
	"io"
	"slices"
	"sync"
)

// Limits of connections. A health check of root or of the owner always gets one: a client that
// waits for its request loses its connection to a new one, and streams take half at most.
const (
	maxConns      = 24 // of all users; the last maxConns-maxOfUser are for root and the owner
	maxOfUser     = 16 // of one user
	maxOfProcess  = 8  // of one process
	maxStreamsOf  = 8  // streams of one user: operations that are waited for, events, logs
	maxBackground = 16 // operations that nobody waits for
)

// seat is the place of a connection.
type seat struct {
	uid, pid     int
	trusted      bool // root or the owner, not a member of the group of the socket
	io.Closer         // of the connection
	busy, stream bool // protected by the lock of shares
}

// shares has the places of the open connections and limits them.
type shares struct {
	mu         sync.Mutex
	conns      []*seat // in the order of their arrival
	closing    bool
	background int
}

// add adds a connection. It returns another connection that must be closed for it, or nil. With ok
// false there is no place.
func (s *shares) add(c *seat) (evicted *seat, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing {
		return nil, false
	}
	count := func(same func(*seat) bool) (n int, waiting *seat) {
		for _, other := range s.conns {
			if !same(other) {
				continue
			}
			n++
			if !other.busy && waiting == nil {
				waiting = other
			}
		}
		return n, waiting
	}
	ofUser := func(o *seat) bool { return o.uid == c.uid }
	ofProcess := func(o *seat) bool { return ofUser(o) && o.pid == c.pid }
	all := maxConns
	if !c.trusted {
		all = maxOfUser
	}
	for _, limit := range []struct {
		same func(*seat) bool
		max  int
	}{
		{ofProcess, maxOfProcess},
		{ofUser, maxOfUser},
		{func(o *seat) bool { return c.trusted || !o.trusted }, all},
	} {
		if n, waiting := count(limit.same); n >= limit.max && evicted == nil {
			if waiting == nil {
				return nil, false
			}
			evicted = waiting
		}
	}
	if evicted != nil {
		s.drop(evicted)
	}
	s.conns = append(s.conns, c)
	return evicted, true
}

func (s *shares) drop(c *seat) {
	s.conns = slices.DeleteFunc(s.conns, func(o *seat) bool { return o == c })
}

// remove removes a connection.
func (s *shares) remove(c *seat) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.drop(c)
}

// setBusy says whether a connection has a complete request that is being answered.
func (s *shares) setBusy(c *seat, busy bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c.busy = busy
	if !busy {
		c.stream = false
	}
}

// startStream reports whether a connection may become a stream.
func (s *shares) startStream(c *seat) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for _, o := range s.conns {
		if o.stream && o.uid == c.uid {
			n++
		}
	}
	c.stream = n < maxStreamsOf
	return c.stream
}

// startBackground reports whether an operation that nobody waits for may start.
func (s *shares) startBackground() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.background == maxBackground {
		return false
	}
	s.background++
	return true
}

func (s *shares) endBackground() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.background--
}

// close refuses further connections, and returns those that wait for a request.
func (s *shares) close() (waiting []*seat) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closing = true
	for _, c := range s.conns {
		if !c.busy {
			waiting = append(waiting, c)
		}
	}
	return waiting
}
