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

// maxConns is the number of connections. A scraper needs one, and each prober one.
const maxConns = 8

// conn is an accepted connection. The ledger has its descriptor until Close.
type conn struct {
	net.Conn
	fd   int
	fds  fdledger.Registrar
	all  *conns
	from *listener
	busy bool // a complete request is being answered; protected by the lock of all
	once sync.Once
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

// conns are the open connections, in the order of their arrival.
type conns struct {
	mu      sync.Mutex
	open    []*conn
	closing bool
}

// add adds a connection. It returns another connection that must be closed for it, or nil: the
// oldest one without a complete request. With ok false there is no place.
func (s *conns) add(c *conn) (evicted *conn, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing {
		return nil, false
	}
	if len(s.open) >= maxConns {
		i := slices.IndexFunc(s.open, func(o *conn) bool { return !o.busy })
		if i < 0 {
			return nil, false
		}
		evicted = s.open[i]
		s.open = slices.Delete(s.open, i, i+1)
	}
	s.open = append(s.open, c)
	return evicted, true
}

func (s *conns) remove(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.open = slices.DeleteFunc(s.open, func(o *conn) bool { return o == c })
}

func (s *conns) setBusy(c *conn, busy bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c.busy = busy
}

// refuse refuses further connections.
func (s *conns) refuse() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closing = true
}

// idle returns the connections that are not busy and whose listener is closed.
func (s *conns) idle() (idle []*conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.open {
		if !c.busy && c.from.closed.Load() {
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
