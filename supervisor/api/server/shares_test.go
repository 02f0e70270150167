package server

import "testing"

// TestReservedPlaces fills all places that members of the group of the socket can have, with
// requests that are being answered. The owner, who need not be root, still gets one.
func TestReservedPlaces(t *testing.T) {
	const owner = 1000
	var s shares
	for i := range 2 * maxConns {
		c := &seat{uid: 2000 + i%4, pid: 100 + i}
		if _, ok := s.add(c); ok {
			s.setBusy(c, true)
		} else if i < maxOfUser {
			t.Errorf("connection %d of the members is refused, want %d", i, maxOfUser)
		}
	}
	if n := len(s.conns); n != maxOfUser {
		t.Errorf("the members have %d places, want %d", n, maxOfUser)
	}
	for i := range maxConns - maxOfUser {
		c := &seat{uid: owner, pid: 1 + i, trusted: true}
		if evicted, ok := s.add(c); !ok || evicted != nil {
			t.Errorf("connection %d of the owner: got %v, %v", i, evicted, ok)
		}
	}
}
