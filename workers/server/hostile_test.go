package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"tp0/workers/internal/trial"
)

// hang keeps n connections to address open, from the given local address, until the end of the
// test. Each sends begun and then nothing, and connects again when the server closes it.
func hang(t *testing.T, n int, local, address, begun string) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(local)}}
	var clients, connected sync.WaitGroup
	connected.Add(n)
	for range n {
		clients.Go(func() {
			once := sync.OnceFunc(connected.Done)
			for ctx.Err() == nil {
				conn, err := dialer.DialContext(ctx, "tcp", address)
				once()
				if err != nil {
					continue
				}
				interrupted := context.AfterFunc(ctx, func() { _ = conn.Close() })
				_, _ = io.WriteString(conn, begun)
				_, _ = conn.Read(make([]byte, 1))
				interrupted()
				_ = conn.Close()
			}
		})
	}
	t.Cleanup(func() {
		cancel()
		clients.Wait()
	})
	connected.Wait()
}

// TestHangingClients checks that honest clients are answered while 500 clients hold every place,
// from another address and from the address of the honest ones.
func TestHangingClients(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct{ local, begun string }{
		"nothing sent from another address":   {"127.0.0.2", ""},
		"half a line from another address":    {"127.0.0.2", "half"},
		"half a line from the honest address": {"127.0.0.1", "half"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, address := start(t, "SERVER_MAX_CONNECTIONS=100", "SERVER_LISTEN_BACKLOG=512",
				"SERVER_IDLE_TIMEOUT="+hour)
			hang(t, 500, tt.local, address, tt.begun)
			for i := range 10 {
				ask(t, address, fmt.Sprint("honest ", i))
			}
			p.Signal(term)
			stop(t, p)
			if p.Count("receive_message | result: success | ip: 127.0.0.1") != 10 {
				t.Error("want 10 messages of honest clients")
			}
		})
	}
}

// sendUnread sends the longest line and reads nothing. Segments of 88 bytes and a small receive
// buffer keep the kernel from buffering the whole answer (tcp_sndbuf_expand in net/ipv4/tcp_input.c
// multiplies the size of a segment): it takes 42 KB of the 64 KiB.
func sendUnread(t *testing.T, address string) {
	t.Helper()
	dialer := net.Dialer{Timeout: trial.Bound, Control: func(_, _ string, c syscall.RawConn) error {
		var err error
		_ = c.Control(func(fd uintptr) {
			err = errors.Join(unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_MAXSEG, 88),
				unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF, 1))
		})
		return err
	}}
	conn, err := dialer.DialContext(t.Context(), "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	send(t, conn.(*net.TCPConn), strings.Repeat("x", maxLine)+"\n")
}

// TestSlowReaders checks that clients that do not read their answers neither keep a place for ever,
// nor keep other clients out, nor delay a stop.
func TestSlowReaders(t *testing.T) {
	t.Parallel()
	const unsent = "send_message | result: fail | ip: 127.0.0.1 | error: "
	t.Run("others need the place", func(t *testing.T) {
		t.Parallel()
		p, address := start(t, "SERVER_MAX_CONNECTIONS=2", "SERVER_IDLE_TIMEOUT="+hour,
			"SERVER_DRAIN_TIMEOUT=200ms")
		sendUnread(t, address)
		sendUnread(t, address)
		ask(t, address, "honest")
		p.Await(unsent + errEvicted.Error())
		p.Signal(term)
		stop(t, p)
	})
	t.Run("nobody needs the place", func(t *testing.T) {
		t.Parallel()
		p, address := start(t, "SERVER_IDLE_TIMEOUT=300ms")
		sendUnread(t, address)
		p.Await(unsent + "write tcp " + address)
		p.Await("action: close | result: success | resource: connection")
		p.Signal(term)
		stop(t, p)
	})
	t.Run("the server stops", func(t *testing.T) {
		t.Parallel()
		p, address := start(t, "SERVER_IDLE_TIMEOUT="+hour, "SERVER_DRAIN_TIMEOUT=200ms")
		sendUnread(t, address)
		p.Await("receive_message | result: success")
		p.Signal(term)
		stop(t, p)
		if p.Count(unsent) != 1 {
			t.Errorf("the server sent the whole answer; the output:\n%.2000s", p.Output())
		}
	})
}

// TestEvictionOrder checks which connection loses its place: the oldest without a whole line, at
// the network with most connections.
func TestEvictionOrder(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		open     []client
		newcomer string
		want     int // the index of the victim
	}{
		"the oldest": {[]client{{"10.0.0.1", 2, false}, {"10.0.0.1", 3, false}}, "10.0.0.1", 1},
		"the largest network": {[]client{{"10.0.0.1", 9, false}, {"10.0.0.2", 3, false},
			{"10.0.0.2", 2, false}}, "10.0.0.3", 1},
		"the newcomer counts": {[]client{{"10.0.0.1", 9, false}, {"10.0.0.2", 3, false}},
			"10.0.0.2", 1},
		"no line before a line": {[]client{{"10.0.0.1", 9, true}, {"10.0.0.1", 3, false}},
			"10.0.0.1", 1},
		"the oldest with a line": {[]client{{"10.0.0.1", 4, true}, {"10.0.0.1", 9, true}},
			"10.0.0.1", 1},
		"one network of IPv6": {[]client{{"10.0.0.1", 9, false}, {"2001:db8::1", 3, false},
			{"2001:db8::2", 2, false}}, "10.0.0.3", 1},
		"IPv4 in the form of IPv6": {[]client{{"10.0.0.2", 9, false},
			{"::ffff:10.0.0.1", 3, false}, {"10.0.0.1", 2, false}}, "10.0.0.3", 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := newAdmission(len(tt.open))
			var all []*connection
			for _, o := range tt.open {
				c := o.connection()
				a.admit(c, t.Context())
				c.accepted = time.Now().Add(-time.Duration(o.age) * time.Second)
				all = append(all, c)
			}
			c := client{ip: tt.newcomer}.connection()
			if _, admitted := a.try(c, false); admitted {
				t.Fatal("admitted beyond the limit")
			}
			for i, o := range all {
				if evicted := o.hurry.Err() != nil; evicted != (i == tt.want) {
					t.Errorf("connection %d: evicted is %v", i, evicted)
				}
			}
			if _, admitted := a.try(c, false); admitted || a.evicted != 1 {
				t.Error("admitted, or one more is evicted, before the first one has ended")
			}
			a.release(all[tt.want])
			if _, admitted := a.try(c, false); !admitted {
				t.Error("not admitted to a free place")
			}
		})
	}
}

// client is an open connection: the address of its client, its age in seconds, and whether its
// line has arrived.
type client struct {
	ip    string
	age   int
	whole bool
}

func (o client) connection() *connection {
	c := &connection{network: network(&net.TCPAddr{IP: net.ParseIP(o.ip)})}
	c.whole.Store(o.whole)
	c.hurry, c.cancel = context.WithCancelCause(context.Background())
	return c
}

// TestNoEvictionOfYoungConnections checks that a connection has its place for evictAfter.
func TestNoEvictionOfYoungConnections(t *testing.T) {
	t.Parallel()
	a := newAdmission(1)
	first := client{ip: "10.0.0.1"}.connection()
	a.admit(first, t.Context())
	next, admitted := a.try(client{ip: "10.0.0.2"}.connection(), false)
	if admitted || first.hurry.Err() != nil || next <= 0 || next > evictAfter {
		t.Errorf("admitted is %v, the next try is in %v; want a try within %v", admitted, next,
			evictAfter)
	}
}

// TestFlood checks that a single place goes from one silent client to the next.
func TestFlood(t *testing.T) {
	t.Parallel()
	p, address := start(t, "SERVER_MAX_CONNECTIONS=1", "SERVER_IDLE_TIMEOUT="+hour)
	var silents []*net.TCPConn
	for range 3 {
		silents = append(silents, connect(t, address))
	}
	ask(t, address, "honest")
	for _, conn := range silents {
		answered(t, conn, "")
	}
	p.Signal(term)
	stop(t, p)
	if n := p.Count("receive_message | result: fail", errEvicted.Error()); n != 3 {
		t.Errorf("%d connections were evicted, want 3", n)
	}
}
