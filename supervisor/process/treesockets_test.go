package process

import (
	"net/netip"
	"testing"

	"tp0/supervisor/event"
	"tp0/supervisor/process/proof"
	"tp0/supervisor/procfs"
	"tp0/supervisor/sockdiag"
)

func tcpEnd(num int, local, remote string) procfs.FD {
	return procfs.FD{Num: num, Kind: "socket", Socket: &sockdiag.Endpoint{
		Connection: true, Local: netip.MustParseAddrPort(local),
		Remote: netip.MustParseAddrPort(remote),
	}}
}

// TestPeersInTree checks that the peer of a socket is found in a scan of any process of the tree.
func TestPeersInTree(t *testing.T) {
	const a, b, c = "127.0.0.1:80", "127.0.0.1:4711", "127.0.0.1:4712"
	var s treeSockets
	s.add([]procfs.FD{tcpEnd(3, a, b), {Num: 4, Kind: "file"}})
	s.index(s.take())
	if !s.hasPeer(tcpEnd(5, b, a)) {
		t.Error("the peer in the tree is not found")
	}
	for _, f := range []procfs.FD{tcpEnd(5, a, b), tcpEnd(5, c, a), {Num: 6, Kind: "socket"}} {
		if s.hasPeer(f) {
			t.Errorf("%+v has a peer in the tree, want none", f)
		}
	}
}

// TestSocketIsJudgedOnce checks that only one of two last holders is judged, and that a proof that
// is not exact does not count as a judgement.
func TestSocketIsJudgedOnce(t *testing.T) {
	var tree treeSockets
	sharedSocket := func(p event.Proof) proof.Socket {
		s := search{tree: &tree, result: proof.Result{
			Proof: p, After: []procfs.FD{tcpEnd(3, "127.0.0.1:80", "10.0.0.1:1")},
		}}
		s.recordSockets()
		return s.result.Sockets[3]
	}
	for i, step := range []struct {
		proof  event.Proof
		shared bool
	}{
		{event.ProofSampled, false}, {event.ProofExact, false}, {event.ProofExact, true},
	} {
		if got := sharedSocket(step.proof); got.Shared != step.shared {
			t.Errorf("end %d: shared is %v, want %v", i+1, got.Shared, step.shared)
		}
	}
}
