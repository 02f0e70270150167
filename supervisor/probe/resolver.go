package probe

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"sync"
)

// lookup resolves a host as net.DefaultResolver does, and leaves nothing behind:
// a lookup of that one that is given up goes on in a goroutine, with its sockets,
// until the name server's time is over.
func lookup(ctx context.Context, host string) ([]netip.Addr, error) {
	var s sockets
	defer s.close()
	return s.resolver().LookupNetIP(ctx, "ip", host)
}

// sockets are those that a lookup opened.
type sockets struct {
	mu     sync.Mutex
	closed bool
	all    []net.Conn
}

func (s *sockets) resolver() *net.Resolver { return &net.Resolver{PreferGo: true, Dial: s.dial} }

var errGivenUp = errors.New("the lookup was given up")

// dial connects to a name server, over UDP as a rule: that takes no time. While it
// takes some nothing is open that close would miss, since the context that the
// resolver gives ends first.
func (s *sockets) dial(ctx context.Context, network, address string) (net.Conn, error) {
	var d net.Dialer
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, errGivenUp
	}
	c, err := d.DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	s.all = append(s.all, c)
	return c, nil
}

func (s *sockets) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	for _, c := range s.all {
		_ = c.Close() // again, mostly
	}
}
