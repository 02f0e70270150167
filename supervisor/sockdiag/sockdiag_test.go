package sockdiag

import (
	"errors"
	"net"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"tp0/supervisor/fixture/needs"
)

// inodeOf returns the inode of a connection or listener of this process.
func inodeOf(t *testing.T, c any) uint64 {
	t.Helper()
	raw, err := c.(interface {
		SyscallConn() (syscall.RawConn, error)
	}).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var st unix.Stat_t
	var statErr error
	err = raw.Control(func(fd uintptr) { statErr = unix.Fstat(int(fd), &st) })
	if err := errors.Join(err, statErr); err != nil {
		t.Fatal(err)
	}
	return st.Ino
}

func TestListeners(t *testing.T) {
	l, err := net.Listen("tcp", "[::]:0")
	if err != nil {
		needs.Skip(t, "IPv6", err)
	}
	defer l.Close()
	all, err := Listeners()
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range all {
		if s.Local.Port() == uint16(l.Addr().(*net.TCPAddr).Port) {
			if !strings.HasSuffix(s.String(), " listen") || s.Inode != inodeOf(t, l) {
				t.Errorf("got %s with inode %d, want state listen and inode %d",
					s, s.Inode, inodeOf(t, l))
			}
			return
		}
	}
	t.Errorf("%s is missing in %v", l.Addr(), all)
}

// TestNetFilesAgree compares the files of /proc/PID/net with sock_diag.
func TestNetFilesAgree(t *testing.T) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	client, err := net.Dial("tcp4", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if _, err := client.Write([]byte("123")); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "a  b ")
	x, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer x.Close()
	six, err := net.ListenPacket("udp6", "[::1]:0")
	if err != nil {
		needs.Skip(t, "IPv6", err)
	}
	defer six.Close()
	lines := map[uint64]Socket{}
	if err := readNetFiles("self", lines, "tcp", "tcp6", "udp", "udp6", "unix"); err != nil {
		t.Fatal(err)
	}
	listed, err := List()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []any{l, client, x, six} {
		inode := inodeOf(t, c)
		if _, ok := listed[inode]; !ok {
			t.Fatalf("sock_diag does not list inode %d of %v", inode, c)
		}
		if _, ok := lines[inode]; !ok {
			t.Fatalf("the files do not list inode %d of %v", inode, c)
		}
		want, got := listed[inode].Describe(), lines[inode].Describe()
		if got.Text != want.Text || got.State != want.State {
			t.Errorf("the files say %+v, sock_diag says %+v", got, want)
		}
	}
}

func FuzzDecodeUnix(f *testing.F) {
	f.Add([]byte("\x01\x01\x0a\x00\x02\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00" +
		"\x08\x00\x02\x00\x02\x00\x00\x00"))
	f.Fuzz(func(t *testing.T, message []byte) {
		if len(message) >= unixMessageSize {
			decodeUnix(message)
		}
	})
}

func FuzzNetFiles(f *testing.F) {
	f.Add("tcp", []byte("   0: 0100007F:07E8 00000000:0000 0A 00000000:00000000 "+
		"00:00000000 00000000     0        0 1134 1 0\n"))
	f.Add("unix", []byte("0: 00000003 00000000 00000000 0001 03 563 /a\n"))
	f.Add("unix", []byte("563: 563 563 563 563 563 563\n"))
	f.Add("packet", []byte("0 3 3 0003 2 1 0 0 77\n"))
	f.Add("netlink", []byte("0 0 1433 00000000 832 0 0 2 0 5128\n"))
	f.Fuzz(func(t *testing.T, name string, line []byte) {
		all := map[uint64]Socket{}
		if kind, ok := netFileKinds[name]; ok {
			parseNetFile(line, kind, all)
		}
		for _, s := range all {
			s.Describe()
		}
	})
}

func FuzzMessages(f *testing.F) {
	f.Add([]byte("\x14\x00\x00\x00\x03\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00" +
		"\x00\x00\x00\x00\x00"))
	f.Fuzz(func(t *testing.T, answer []byte) {
		_, _ = new(conn).parse(answer, func(message []byte) {
			if inetInode(message) != 0 {
				_ = parseInet(message, "tcp").String()
			}
		})
	})
}

func BenchmarkList(b *testing.B) {
	for range b.N {
		if _, err := List(); err != nil {
			b.Fatal(err)
		}
	}
}
