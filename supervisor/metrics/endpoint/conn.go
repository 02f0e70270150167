package endpoint

import (
	"fmt"
	"net"
	"slices"
	"sync"
	"sync/atomic"

	"tp0/supervisor/control"
	"tp0/supervisor/fdledger"
)

// Limits of all clients. A scraper needs one connection, and each prober one. The other places keep
// the connection of a client until its request has arrived, also while many others connect.
const (
	maxConns   = 64
	maxScrapes = 8 // each keeps the values of all metrics in memory
)

// state is what a connection does.
type state int

const (
	waiting   state = iota // for a complete request
	answering              // the answer is being prepared
	sending                // the client reads the answer, at its own pace
)

// conn is an accepted connection. The ledger has its descriptor until Close.
type conn struct {
	net.Conn
	fd   int
	fds  fdledger.Registrar
	all  *conns
	from *listener
	once sync.Once

	// Protected by the lock of all:
	state  state
	scrape bool // it has the values of all metrics
}

// connKey is the key of the connection in the context of a request.
type connKey struct{}

// Close closes the connection. Any goroutine may call it, more than once.
func (c *conn) Close() (err error) {
	c.once.Do(func() {
		c.all.remove(c)
		err = c.fds.Close(c.fd, c.Conn.Close)
	})
	return err
}

// conns are the open connections. The one that has been in its state for longest is the first.
type conns struct {
	mu      sync.Mutex
	open    []*conn
	closing bool
}

// add adds a connection. It returns another connection that must be closed for it, or nil. With ok
// false there is no place.
func (s *conns) add(c *conn) (evicted *conn, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing {
		return nil, false
	}
	if len(s.open) >= maxConns {
		evicted = s.evict(func(o *conn) bool { return o.state != answering })
		if evicted == nil {
			evicted = s.evict(func(*conn) bool { return true })
		}
	}
	s.open = append(s.open, c)
	return evicted, true
}

// evict removes the first connection that matches, and returns it; nil: there is none.
func (s *conns) evict(matches func(*conn) bool) *conn {
	i := slices.IndexFunc(s.open, matches)
	if i < 0 {
		return nil
	}
	c := s.open[i]
	s.open = slices.Delete(s.open, i, i+1)
	return c
}

func (s *conns) remove(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.open = slices.DeleteFunc(s.open, func(o *conn) bool { return o == c })
}

// set changes the state of a connection.
func (s *conns) set(c *conn, to state) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c.state = to
	if s.evict(func(o *conn) bool { return o == c }) != nil {
		s.open = append(s.open, c)
	}
}

// beginScrape reports whether a connection may have the values of all metrics. It returns another
// one that must be closed for it, or nil: the one whose client has not read its answer for longest.
func (s *conns) beginScrape(c *conn) (evicted *conn, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for _, o := range s.open {
		if o.scrape {
			n++
		}
	}
	if n >= maxScrapes {
		evicted = s.evict(func(o *conn) bool { return o.scrape && o.state == sending })
		if evicted == nil {
			return nil, false
		}
	}
	c.scrape = true
	return evicted, true
}

func (s *conns) endScrape(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c.scrape = false
}

// refuse refuses further connections.
func (s *conns) refuse() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closing = true
}

// idle returns the connections that wait for a request and whose listener is closed.
func (s *conns) idle() (idle []*conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.open {
		if c.state == waiting && c.from.closed.Load() {
			idle = append(idle, c)
		}
	}
	return idle
}

// listener accepts connections.
type listener struct {
	*net.TCPListener
	address string // as the configuration has it
	conns   *conns
	fd      int
	fds     fdledger.Registrar
	once    sync.Once
	closed  atomic.Bool
}

func newListener(
	l *net.TCPListener, address string, c *conns, fds fdledger.Registrar,
) *listener {
	opened := &listener{
		TCPListener: l, address: address, conns: c, fd: control.FD(l), fds: fds,
	}
	fds.Opened(opened.fd, "socket", "tcp "+address+" listen")
	return opened
}

// has reports whether the listener has an address. A nil listener has none.
func (l *listener) has(address string) bool { return l != nil && l.address == address }

// blocks reports whether the listener can be the reason that an address is in use: it has the same
// port.
func (l *listener) blocks(address string) bool {
	if l == nil {
		return false
	}
	_, own, _ := net.SplitHostPort(l.address)
	_, port, _ := net.SplitHostPort(address)
	return own == port
}

// Accept implements net.Listener.
func (l *listener) Accept() (net.Conn, error) {
	for {
		c, err := l.AcceptTCP()
		if err != nil {
			return nil, err
		}
		accepted := &conn{Conn: c, fd: control.FD(c), fds: l.fds, all: l.conns, from: l}
		l.fds.Opened(accepted.fd, "socket", fmt.Sprintf("tcp %s -> %s", l.address, c.RemoteAddr()))
		evicted, ok := l.conns.add(accepted)
		if !ok {
			_ = accepted.Close()
			continue
		}
		if evicted != nil {
			_ = evicted.Close()
		}
		return accepted, nil
	}
}

// Close closes the listener. Any goroutine may call it, more than once.
func (l *listener) Close() (err error) {
	l.once.Do(func() {
		l.closed.Store(true)
		err = l.fds.Close(l.fd, l.TCPListener.Close)
	})
	return err
}
