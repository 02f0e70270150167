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

// unixSocket creates a unix socket that is not connected.
func unixSocket() (int, error) {
	return unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
}

// fdOf returns the descriptor of a connection or listener of ours.
func fdOf(t *testing.T, c any) FD {
	t.Helper()
	raw, err := c.(syscall.Conn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var num int
	if err := raw.Control(func(fd uintptr) { num = int(fd) }); err != nil {
		t.Fatal(err)
	}
	return *find(own(t), num)
}

func write(t *testing.T, c net.Conn, text string) {
	t.Helper()
	if _, err := c.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
}

// read reads n bytes.
func read(t *testing.T, c net.Conn, n int) {
	t.Helper()
	for got := 0; got < n; {
		m, err := c.Read(make([]byte, n-got))
		if err != nil {
			t.Fatal(err)
		}
		got += m
	}
}

// awaitDetail waits until a socket has a detail. Bytes arrive some time after they were sent.
func awaitDetail(t *testing.T, c any, want FDDetail) {
	t.Helper()
	var got FDDetail
	defer func() {
		if t.Failed() {
			t.Logf("got %+v, want %+v", got, want)
		}
	}()
	eventually(t, "the socket has the detail", func() bool {
		got = fdOf(t, c).Detail
		return got == want
	})
}

func TestTCPDetails(t *testing.T) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	awaitDetail(t, l, FDDetail{State: "listen"})
	client, err := net.Dial("tcp4", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	awaitDetail(t, l, FDDetail{State: "listen, 1 not accepted"})
	server, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	awaitDetail(t, l, FDDetail{State: "listen"})
	awaitDetail(t, client, FDDetail{State: "established"})
	write(t, client, "12345")
	awaitDetail(t, server, FDDetail{State: "established", Unread: 5})
	// The kernel counts a FIN as a byte, on both sides.
	if err := client.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	awaitDetail(t, server, FDDetail{State: "close-wait", Unread: 5})
	awaitDetail(t, client, FDDetail{State: "fin-wait-2"})
	read(t, server, 5)
	awaitDetail(t, server, FDDetail{State: "close-wait"})
}

// TestTCPUnsent sends until the buffers of both sides are full.
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
	eventually(t, "the unsent and unread bytes are those that were sent", func() bool {
		a, b := fdOf(t, client).Detail, fdOf(t, server).Detail
		return a.Unsent > 0 && b.Unread > 0 && a.Unsent+b.Unread == uint64(sent)
	})
}

func TestBoundTCP(t *testing.T) {
	fd, _ := open(t, func() (int, error) {
		return unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	})
	if f := find(own(t), fd); f.Resolved() {
		t.Errorf("an unbound socket is listed as %q", f.Target)
	}
	if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	f := find(own(t), fd)
	if !f.Resolved() {
		needs.Skip(t, "Linux 6.8", "older kernels do not list a socket that is only bound")
	}
	if !strings.HasPrefix(f.Target, "tcp 127.0.0.1:") || !strings.HasSuffix(f.Target, " bound") ||
		f.Detail.State != "bound" {
		t.Errorf("got %q, %+v, want a bound socket on 127.0.0.1", f.Target, f.Detail)
	}
}

func TestUDPDetails(t *testing.T) {
	a, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	awaitDetail(t, a, FDDetail{})
	b, err := net.Dial("udp4", a.LocalAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	awaitDetail(t, b, FDDetail{State: "established"})
	write(t, b, "12345")
	eventually(t, "five bytes are unread", func() bool { return fdOf(t, a).Detail.Unread >= 5 })
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
		awaitDetail(t, l, FDDetail{State: word + "listen, 1 not accepted"})
		awaitDetail(t, client, FDDetail{State: word + "established"}) // its peer has no inode yet
		server, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		awaitDetail(t, l, FDDetail{State: word + "listen"})
		write(t, client, "12345")
		awaitDetail(t, server, FDDetail{State: word + "established", Unread: 5})
		awaitDetail(t, client, FDDetail{State: word + "established", Unsent: 5})
		if f := fdOf(t, server); f.Target != "unix "+path {
			t.Errorf("%s: the server's target is %q, want %q", network, f.Target, "unix "+path)
		}
		if f := fdOf(t, client); f.Target != "unix (unnamed)" {
			t.Errorf("%s: the client's target is %q, want unix (unnamed)", network, f.Target)
		}
		client.Close()
		awaitDetail(t, server, FDDetail{State: word + "peer closed", Unread: 5})
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
	awaitDetail(t, a, FDDetail{State: "dgram"})
	b, err := net.Dial("unixgram", path)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	write(t, b, "12345")
	awaitDetail(t, a, FDDetail{State: "dgram", Unread: 5})
	awaitDetail(t, b, FDDetail{State: "dgram, established"})
}

// TestHostileUnixNames binds sockets to paths that look like lines of /proc/net/unix.
func TestHostileUnixNames(t *testing.T) {
	dir := t.TempDir()
	victim, _ := open(t, unixSocket)
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
		fd, _ := open(t, unixSocket)
		if err := unix.Bind(fd, &unix.SockaddrUnix{Name: path}); err != nil {
			t.Fatal(err)
		}
		want := "unix " + strings.ReplaceAll(path, "\x00", "@")
		if f := find(own(t), fd); f.Target != want {
			t.Errorf("got %q, want %q", f.Target, want)
		}
	}
	if f := find(own(t), victim); f.Target != "unix (unnamed)" {
		t.Errorf("the target of the unnamed socket is %q, want unix (unnamed)", f.Target)
	}
}

func TestOtherFamilies(t *testing.T) {
	const kobjectUevent = unix.NETLINK_KOBJECT_UEVENT
	for want, args := range map[string][3]int{
		"netlink route port ":          {unix.AF_NETLINK, unix.SOCK_RAW, unix.NETLINK_ROUTE},
		"netlink kobject_uevent port ": {unix.AF_NETLINK, unix.SOCK_DGRAM, kobjectUevent},
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
				t.Errorf("got target %q, want the prefix %q", f.Target, want)
			}
		})
	}
}

// TestForeignNamespace resolves the socket of a child in a network namespace of its own, which
// sock_diag does not list.
func TestForeignNamespace(t *testing.T) {
	needs.Check(t, "admin")
	cmd, line := start(t, "listen", func(cmd *exec.Cmd) {
		cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET}
	})
	num, addr, _ := cutInt(line)
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
		t.Fatalf("the list of our namespace has the socket of another one: %+v", f)
	}
	foreign, err := sockdiag.ListForeign(pid)
	if err != nil {
		t.Fatal(err)
	}
	Resolve(fds, foreign)
	if f := find(fds, num); f.Target != "tcp "+addr+" listen" || f.Detail.State != "listen" {
		t.Errorf("got %+v, want a listener on %s", f, addr)
	}
}

func BenchmarkOwn(b *testing.B) {
	for range b.N {
		if _, err := OwnFDs(); err != nil {
			b.Fatal(err)
		}
	}
}
