package procfs

import (
	"io"
	"net"
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"tp0/supervisor/sockdiag"
)

// closeLater closes c at the end of the test. A non-nil err fails the test.
func closeLater(t *testing.T, c io.Closer, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
}

// TestResolveKnown compares the description of a single socket with that in the list of all. It
// also checks that NeedsSocketPart finds the part that has the socket.
func TestResolveKnown(t *testing.T) {
	var sockets []any
	var peers []net.Conn
	for _, at := range [][2]string{
		{"tcp4", "127.0.0.1:0"}, {"tcp6", "[::1]:0"}, {"tcp", "[::]:0"},
		{"unix", filepath.Join(t.TempDir(), "s")},
	} {
		l, err := net.Listen(at[0], at[1])
		closeLater(t, l, err)
		c, err := net.Dial(at[0], l.Addr().String())
		closeLater(t, c, err)
		s, err := l.Accept()
		closeLater(t, s, err)
		sockets, peers = append(sockets, l, c, s), append(peers, c)
	}
	for _, at := range [][2]string{{"udp4", "127.0.0.1:0"}, {"udp6", "[::1]:0"}, {"udp", ":0"}} {
		p, err := net.ListenPacket(at[0], at[1])
		closeLater(t, p, err)
		_, port, _ := net.SplitHostPort(p.LocalAddr().String())
		host := map[string]string{"udp4": "127.0.0.1", "udp6": "::1", "udp": "127.0.0.1"}[at[0]]
		c, err := net.Dial(at[0], net.JoinHostPort(host, port))
		closeLater(t, c, err)
		sockets = append(sockets, p, c)
	}
	before := own(t)
	for _, c := range peers { // a change after the first scan
		write(t, c, "12345")
	}
	for _, s := range sockets {
		num := fdOf(t, s).Num
		eventually(t, "both descriptions are equal", func() bool {
			fds, err := OwnFDs()
			if err != nil {
				t.Fatal(err)
			}
			unresolved := *find(fds, num)
			for part := range sockdiag.Parts {
				sockets, err := sockdiag.ListPart(part)
				if err != nil {
					t.Fatal(err)
				}
				one := []FD{unresolved}
				needed := NeedsSocketPart(os.Getpid(), one, part)
				if Resolve(one, sockets); one[0].Resolved() && !needed {
					t.Fatalf("%s is in part %d, which is not needed", one[0].Target, part)
				}
			}
			ResolveKnown(fds, before)
			got, want := *find(fds, num), fdOf(t, s)
			if !got.Resolved() {
				t.Fatalf("the kernel does not find %s", want.Target)
			}
			return reflect.DeepEqual(got, want)
		})
	}
	if NeedsSocketPart(os.Getpid(), before, 0) {
		t.Error("a part is needed although every socket is resolved")
	}
}
