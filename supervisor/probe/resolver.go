package probe

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"sync"
	"time"
)

const dialTimeout = time.Second

// lookup resolves a host and leaves no goroutine and no socket behind. net.DefaultResolver
// does: when its context ends, it continues in a goroutine until the timeout of the name server.
func lookup(ctx context.Context, host string) ([]netip.Addr, error) {
	var s sockets
	defer s.close()
	return s.resolver().LookupNetIP(ctx, "ip", host)
}

// dial connects to a TCP address and closes the connection.
func dial(ctx context.Context, address string) error {
	var s sockets
	defer s.close()
	d := net.Dialer{Timeout: dialTimeout, Resolver: s.resolver()}
	c, err := d.DialContext(ctx, "tcp", address)
	if err != nil {
		return err
	}
	return c.Close()
}

// sockets are the sockets that a lookup opened.
type sockets struct {
	mu     sync.Mutex
	closed bool
	all    []net.Conn
}

func (s *sockets) resolver() *net.Resolver {
	return &net.Resolver{PreferGo: true, Dial: s.dialServer}
}

var errLookupClosed = errors.New("the lookup was cancelled")

// dialServer connects to a name server. It holds the lock during the connect: over UDP, the usual
// case, a connect does not block; over TCP the resolver's context ends it before close needs the
// lock.
func (s *sockets) dialServer(ctx context.Context, network, address string) (net.Conn, error) {
	var d net.Dialer
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, errLookupClosed
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
		_ = c.Close() // the resolver has closed most of them already
	}
}
