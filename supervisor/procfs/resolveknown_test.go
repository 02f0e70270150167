package procfs

import (
	"io"
	"net"
	"os"
	"path/filepath"
	"testing"

	"tp0/supervisor/sockdiag"
)

// closes has a test close what it opened.
func closes(t *testing.T, c io.Closer, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
}

// What the kernel says of one socket is what it says of it among all, and
// protocols tell where it is to be found.
func TestResolveAgain(t *testing.T) {
	var sockets []any
	var peers []net.Conn
	for _, at := range [][2]string{{"tcp4", "127.0.0.1:0"}, {"tcp6", "[::1]:0"}, {"tcp", "[::]:0"}, {"unix", filepath.Join(t.TempDir(), "s")}} {
		l, err := net.Listen(at[0], at[1])
		closes(t, l, err)
		c, err := net.Dial(at[0], l.Addr().String())
		closes(t, c, err)
		s, err := l.Accept()
		closes(t, s, err)
		sockets, peers = append(sockets, l, c, s), append(peers, c)
	}
	for _, at := range [][2]string{{"udp4", "127.0.0.1:0"}, {"udp6", "[::1]:0"}, {"udp", ":0"}} {
		p, err := net.ListenPacket(at[0], at[1])
		closes(t, p, err)
		_, port, _ := net.SplitHostPort(p.LocalAddr().String())
		host := map[string]string{"udp4": "127.0.0.1", "udp6": "::1", "udp": "127.0.0.1"}[at[0]]
		c, err := net.Dial(at[0], net.JoinHostPort(host, port))
		closes(t, c, err)
		sockets = append(sockets, p, c)
	}
	before := own(t)
	for _, c := range peers { // a change that the first look cannot have seen
		say(t, c, "12345")
	}
	for _, s := range sockets {
		was := look(t, s)
		eventually(t, "the same of one as among all", func() bool {
			again, err := OwnFDs()
			if err != nil {
				t.Fatal(err)
			}
			fresh := *find(again, was.Num)
			for part := range sockdiag.Parts {
				known, err := sockdiag.ListPart(part)
				if err != nil {
					t.Fatal(err)
				}
				one := []FD{fresh}
				if Resolve(one, known); one[0].Resolved() && !NeedsSocketPart(os.Getpid(), []FD{fresh}, part) {
					t.Fatalf("%s is in part %d", one[0].Target, part)
				}
			}
			ResolveKnown(again, before)
			got, want := *find(again, was.Num), look(t, s)
			if !got.Resolved() {
				t.Fatalf("%s is not found", want.Target)
			}
			return got == want
		})
	}
	if NeedsSocketPart(os.Getpid(), before, 0) {
		t.Error("what is named is looked for")
	}
}
