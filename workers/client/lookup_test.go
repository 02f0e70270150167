package main

import (
	"context"
	"net"
	"os"
	"testing"
	"time"
)

// TestLookupThatHangs checks that a lookup without an answer ends with its context and leaks no
// socket.
func TestLookupThatHangs(t *testing.T) {
	silent, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	count := func() int {
		all, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		return len(all)
	}
	before := count()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	q := queries{ctx: ctx}
	asked := make(chan struct{}, 100)
	ended := make(chan error, 1)
	go func() {
		_, err := q.ask("nowhere.example", func(ctx context.Context, _, _ string) (net.Conn,
			error) {
			asked <- struct{}{}
			return q.dial(ctx, "udp", silent.LocalAddr().String())
		})
		ended <- err
	}()
	<-asked
	if _, _, err := silent.ReadFrom(make([]byte, 1024)); err != nil { // the query was sent
		t.Fatal(err)
	}
	cancel()
	select {
	case err := <-ended:
		if err == nil {
			t.Error("an address out of nothing")
		}
	case <-time.After(20 * time.Second):
		t.Fatal("the lookup did not end with its context")
	}
	if after := count(); after != before {
		t.Errorf("got %[2]d descriptors after the lookup, want %[1]d", before, after)
	}
}
