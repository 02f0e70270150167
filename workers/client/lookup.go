package main

import (
	"context"
	"net"
	"net/netip"
	"sync"
)

// lookup finds the addresses of a host. Unlike the resolver by itself, which leaves a question that
// was given up to a goroutine, it returns once the last socket is closed, which is at once when ctx
// is done.
func lookup(ctx context.Context, host string) ([]netip.Addr, error) {
	q := questions{ctx: ctx}
	return q.ask(host, q.dial)
}

// questions are the connections to name servers. Once ctx is done there are no new ones, and the
// resolver gives up for want of them.
type questions struct {
	ctx context.Context

	mu   sync.Mutex
	open []net.Conn
	over bool
}

func (q *questions) ask(host string, dial func(ctx context.Context, network,
	address string) (net.Conn, error)) ([]netip.Addr, error) {
	defer context.AfterFunc(q.ctx, q.end)()
	resolver := net.Resolver{PreferGo: true, Dial: dial}
	addresses, err := resolver.LookupNetIP(context.WithoutCancel(q.ctx), "ip", host)
	if q.ctx.Err() != nil {
		return nil, q.ctx.Err()
	}
	return addresses, err
}

func (q *questions) dial(ctx context.Context, network, address string) (net.Conn, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.over {
		return nil, net.ErrClosed
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(q.ctx, cancel)()
	conn, err := new(net.Dialer).DialContext(ctx, network, address)
	if err == nil {
		q.open = append(q.open, conn)
	}
	return conn, err
}

func (q *questions) end() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.over = true
	for _, conn := range q.open {
		_ = conn.Close() // the resolver closes it too
	}
}
