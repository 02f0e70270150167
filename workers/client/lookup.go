package main

import (
	"context"
	"net"
	"net/netip"
	"sync"
)

// lookup resolves a host. net.Resolver alone leaves a cancelled query to a goroutine; lookup
// returns once the last socket is closed, which is at once when ctx ends.
func lookup(ctx context.Context, host string) ([]netip.Addr, error) {
	q := queries{ctx: ctx}
	return q.ask(host, q.dial)
}

// queries are the connections to name servers. No connection is opened once ctx has ended, which
// ends the resolver.
type queries struct {
	ctx context.Context

	mu   sync.Mutex
	open []net.Conn
	over bool
}

func (q *queries) ask(host string, dial func(ctx context.Context, network,
	address string) (net.Conn, error)) ([]netip.Addr, error) {
	defer context.AfterFunc(q.ctx, q.end)()
	resolver := net.Resolver{PreferGo: true, Dial: dial}
	addresses, err := resolver.LookupNetIP(context.WithoutCancel(q.ctx), "ip", host)
	if q.ctx.Err() != nil {
		return nil, q.ctx.Err()
	}
	return addresses, err
}

func (q *queries) dial(ctx context.Context, network, address string) (net.Conn, error) {
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

func (q *queries) end() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.over = true
	for _, conn := range q.open {
		_ = conn.Close() // the resolver closes it too
	}
}
