package probe

import (
	"context"
	"net"
	"testing"
	"time"

	"tp0/supervisor/procfs"
)

// A lookup that is given up has no socket open any more, though the name server
// never answers.
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
		return s.dial(ctx, "udp", silent.LocalAddr().String())
	}}
	before := open(t)
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	go func() {
		<-asked
		cancel()
	}()
	begin := time.Now()
	if _, err := r.LookupNetIP(ctx, "ip", "nobody.invalid.example."); err == nil {
		t.Fatal("it is answered")
	}
	s.close()
	if took := time.Since(begin); took > limit/2 {
		t.Errorf("it took %v", took)
	}
	if after := open(t); after != before {
		t.Errorf("%d sockets are open, %d were", after, before)
	}
	if _, err := s.dial(t.Context(), "udp", silent.LocalAddr().String()); err == nil {
		t.Error("it opens another one")
	}
}

// open is how many sockets we have open.
func open(t *testing.T) (n int) {
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
