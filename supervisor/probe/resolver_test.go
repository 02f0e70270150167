package probe

import (
	"context"
	"net"
	"testing"
	"time"

	"tp0/supervisor/procfs"
)

// TestLookupLeavesNothing checks that a cancelled lookup has no open socket, although the name
// server never responds.
func TestLookupLeavesNothing(t *testing.T) {
	silent, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	var s sockets
	asked := make(chan struct{}, 10)
	r := net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn,
		error) {
		defer func() { asked <- struct{}{} }()
		return s.dialServer(ctx, "udp", silent.LocalAddr().String())
	}}
	before := openSockets(t)
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	go func() {
		<-asked
		cancel()
	}()
	start := time.Now()
	if _, err := r.LookupNetIP(ctx, "ip", "nobody.invalid.example."); err == nil {
		t.Fatal("the lookup succeeded")
	}
	s.close()
	if took := time.Since(start); took > limit/2 {
		t.Errorf("the lookup took %v, want at most %v", took, limit/2)
	}
	if after := openSockets(t); after != before {
		t.Errorf("%d sockets are open, want %d", after, before)
	}
	if _, err := s.dialServer(t.Context(), "udp", silent.LocalAddr().String()); err == nil {
		t.Error("a connection was opened after the close")
	}
}

// openSockets returns the number of open sockets of this process.
func openSockets(t *testing.T) (n int) {
	t.Helper()
	fds, err := procfs.OwnFDs()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range fds {
		if f.Kind == "socket" {
			n++
		}
	}
	return n
}
