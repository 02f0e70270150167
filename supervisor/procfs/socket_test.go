package procfs

import (
	"fmt"
	"net"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"tp0/supervisor/fixture/needs"
	"tp0/supervisor/sockdiag"
)

// conn is a connection or a listener.
type conn interface {
	SyscallConn() (syscall.RawConn, error)
}

// look finds a connection in our own table.
func look(t *testing.T, c any) FD {
	t.Helper()
	raw, err := c.(conn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var num int
	if err := raw.Control(func(fd uintptr) { num = int(fd) }); err != nil {
		t.Fatal(err)
	}
	return *find(own(t), num)
}

func say(t *testing.T, c net.Conn, text string) {
	t.Helper()
	if _, err := c.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
}

// hear reads until a text has come: it is then known that all before it has.
func hear(t *testing.T, c net.Conn, n int) {
	t.Helper()
	for got := 0; got < n; {
		m, err := c.Read(make([]byte, n-got))
		if err != nil {
			t.Fatal(err)
		}
		got += m
	}
}

// becomes looks until a socket is in a state; what waits there arrives some
// time after it was sent.
func becomes(t *testing.T, c any, want FDDetail) {
	t.Helper()
	var got FDDetail
	defer func() {
		if t.Failed() {
			t.Logf("got %+v, want %+v", got, want)
		}
	}()
	eventually(t, "a socket's detail", func() bool { got = look(t, c).Detail; return got == want })
}

func TestTCPDetails(t *testing.T) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	becomes(t, l, FDDetail{State: "listen"})
	client, err := net.Dial("tcp4", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	becomes(t, l, FDDetail{State: "listen, 1 not accepted"})
	server, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	becomes(t, l, FDDetail{State: "listen"})
	becomes(t, client, FDDetail{State: "established"})
	say(t, client, "12345")
	becomes(t, server, FDDetail{State: "established", Unread: 5})
	// The FIN that comes after the text is no byte of it, and neither is ours.
	if err := client.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	becomes(t, server, FDDetail{State: "close-wait", Unread: 5})
	becomes(t, client, FDDetail{State: "fin-wait-2"})
	hear(t, server, 5)
	becomes(t, server, FDDetail{State: "close-wait"})
}

// What the other side does not read is not acknowledged at some point.
func TestTCPUnsent(t *testing.T) {
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
	server, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	raw, _ := client.(*net.TCPConn).SyscallConn()
	sent := 0
	err = raw.Write(func(fd uintptr) bool {
		for {
			n, err := unix.Write(int(fd), make([]byte, 64<<10))
			if err != nil {
				return true // full
			}
			sent += n
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "all that was sent waits somewhere", func() bool {
		a, b := look(t, client).Detail, look(t, server).Detail
		return a.Unsent > 0 && b.Unread > 0 && a.Unsent+b.Unread == uint64(sent)
	})
}

func TestBoundTCP(t *testing.T) {
	fd, _ := open(t, func() (int, error) { return unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0) })
	if f := find(own(t), fd); f.Resolved() {
		t.Errorf("one that is neither bound nor connected is called %q", f.Target)
	}
	if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	f := find(own(t), fd)
	if !f.Resolved() {
		needs.Skip(t, "Linux 6.8", "an older kernel does not list a socket that is bound and not connected")
	}
	if !strings.HasPrefix(f.Target, "tcp 127.0.0.1:") || !strings.HasSuffix(f.Target, " bound") || f.Detail.State != "bound" {
		t.Errorf("it is called %q, %+v", f.Target, f.Detail)
	}
}

func TestUDPDetails(t *testing.T) {
	a, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	becomes(t, a, FDDetail{})
	b, err := net.Dial("udp4", a.LocalAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	becomes(t, b, FDDetail{State: "established"})
	say(t, b, "12345")
	eventually(t, "it waits", func() bool { return look(t, a).Detail.Unread >= 5 })
}

func TestUnixDetails(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	for network, word := range map[string]string{"unix": "", "unixpacket": "seqpacket, "} {
		l, err := net.Listen(network, path)
		if err != nil {
			t.Fatal(err)
		}
		client, err := net.Dial(network, path)
		if err != nil {
			t.Fatal(err)
		}
		becomes(t, l, FDDetail{State: word + "listen, 1 not accepted"})
		becomes(t, client, FDDetail{State: word + "established"}) // though its peer has no inode yet
		server, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		becomes(t, l, FDDetail{State: word + "listen"})
		say(t, client, "12345")
		becomes(t, server, FDDetail{State: word + "established", Unread: 5})
		becomes(t, client, FDDetail{State: word + "established", Unsent: 5})
		if f := look(t, server); f.Target != "unix "+path {
			t.Errorf("%s: the server's is called %q", network, f.Target)
		}
		if f := look(t, client); f.Target != "unix (unnamed)" {
			t.Errorf("%s: the client's is called %q", network, f.Target)
		}
		client.Close()
		becomes(t, server, FDDetail{State: word + "peer closed", Unread: 5})
		server.Close()
		l.Close()
	}
}

func TestUnixDatagrams(t *testing.T) {
	path := filepath.Join(t.TempDir(), "d")
	a, err := net.ListenPacket("unixgram", path)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	becomes(t, a, FDDetail{State: "dgram"})
	b, err := net.Dial("unixgram", path)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	say(t, b, "12345")
	becomes(t, a, FDDetail{State: "dgram", Unread: 5})
	becomes(t, b, FDDetail{State: "dgram, established"})
}

// Nobody can make his socket look like another's, or two of one.
func TestHostileUnixNames(t *testing.T) {
	dir := t.TempDir()
	victim, _ := open(t, func() (int, error) { return unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0) })
	inode := find(own(t), victim).Inode()
	for _, path := range []string{
		filepath.Join(dir, "a  b (c) [d]"),
		filepath.Join(dir, " x\t"),
		"@abstract\x00name",
		dir + "/x\n0: 00000002 00000000 00010000 0001 01 " + fmt.Sprint(inode) + " y",
	} {
		if len(path) > 107 {
			t.Fatalf("%q is too long", path)
		}
		fd, _ := open(t, func() (int, error) { return unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0) })
		if err := unix.Bind(fd, &unix.SockaddrUnix{Name: path}); err != nil {
			t.Fatal(err)
		}
		want := "unix " + strings.ReplaceAll(path, "\x00", "@")
		if f := find(own(t), fd); f.Target != want {
			t.Errorf("got %q, want %q", f.Target, want)
		}
	}
	if f := find(own(t), victim); f.Target != "unix (unnamed)" {
		t.Errorf("the victim is called %q", f.Target)
	}
}

func TestOtherFamilies(t *testing.T) {
	for want, args := range map[string][3]int{
		"netlink route port ":          {unix.AF_NETLINK, unix.SOCK_RAW, unix.NETLINK_ROUTE},
		"netlink kobject_uevent port ": {unix.AF_NETLINK, unix.SOCK_DGRAM, unix.NETLINK_KOBJECT_UEVENT},
		"netlink sock_diag port ":      {unix.AF_NETLINK, unix.SOCK_DGRAM, unix.NETLINK_SOCK_DIAG},
		"packet protocol 0x0003":       {unix.AF_PACKET, unix.SOCK_RAW, 0x0300},
		"raw 0.0.0.0 protocol 1":       {unix.AF_INET, unix.SOCK_RAW, unix.IPPROTO_ICMP},
		"raw :: protocol 58":           {unix.AF_INET6, unix.SOCK_RAW, unix.IPPROTO_ICMPV6},
	} {
		t.Run(want, func(t *testing.T) {
			_, f := open(t, func() (int, error) {
				fd, err := unix.Socket(args[0], args[1]|unix.SOCK_CLOEXEC, args[2])
				if err != nil {
					needs.Skip(t, "root", err)
				}
				if args[0] == unix.AF_NETLINK { // the kernel gives it a port
					err = unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK})
				}
				return fd, err
			})
			if !strings.HasPrefix(f.Target, want) {
				t.Errorf("got %q", f.Target)
			}
		})
	}
}

// A child in a network namespace of its own is none of sock_diag's business.
func TestForeignNamespace(t *testing.T) {
	needs.Check(t, "root")
	cmd, said := start(t, "listen", func(cmd *exec.Cmd) {
		cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET}
	})
	num, addr, _ := cutInt(said)
	pid := cmd.Process.Pid
	fds, err := ReadFDs(pid, pid)
	if err != nil {
		t.Fatal(err)
	}
	sockets, err := sockdiag.List()
	if err != nil {
		t.Fatal(err)
	}
	Resolve(fds, sockets)
	if f := find(fds, num); f.Resolved() {
		t.Fatalf("our dump has a socket of another namespace: %+v", f)
	}
	foreign, err := sockdiag.ListForeign(pid)
	if err != nil {
		t.Fatal(err)
	}
	Resolve(fds, foreign)
	if f := find(fds, num); f.Target != "tcp "+addr+" listen" || f.Detail.State != "listen" {
		t.Errorf("got %+v, want %s", f, addr)
	}
}

func BenchmarkOwn(b *testing.B) {
	for range b.N {
		if _, err := OwnFDs(); err != nil {
			b.Fatal(err)
		}
	}
}
