package procfs

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"tp0/supervisor/sockdiag"
)

// find returns the descriptor with a number, nil if there is none.
func find(fds []FD, num int) *FD {
	for i := range fds {
		if fds[i].Num == num {
			return &fds[i]
		}
	}
	return nil
}

// own returns our own descriptors with resolved sockets.
func own(t *testing.T) []FD {
	t.Helper()
	fds, err := OwnFDs()
	if err != nil {
		t.Fatal(err)
	}
	sockets, err := sockdiag.List()
	if err != nil {
		t.Fatal(err)
	}
	Resolve(fds, sockets)
	return fds
}

// open creates a descriptor and returns it as our fd table has it.
func open(t *testing.T, create func() (int, error)) (int, FD) {
	t.Helper()
	fd, err := create()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	f := find(own(t), fd)
	if f == nil {
		t.Fatalf("descriptor %d is not in our fd table", fd)
	}
	return fd, *f
}

func TestKinds(t *testing.T) {
	for kind, create := range map[string]func() (int, error){
		"epoll":   func() (int, error) { return unix.EpollCreate1(unix.EPOLL_CLOEXEC) },
		"eventfd": func() (int, error) { return unix.Eventfd(0, unix.EFD_CLOEXEC) },
		"timerfd": func() (int, error) {
			return unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_CLOEXEC)
		},
		"inotify": func() (int, error) { return unix.InotifyInit1(unix.IN_CLOEXEC) },
		"memfd":   func() (int, error) { return unix.MemfdCreate("x", unix.MFD_CLOEXEC) },
		"pidfd":   func() (int, error) { return unix.PidfdOpen(os.Getpid(), 0) },
		"file":    func() (int, error) { return unix.Open("/", unix.O_RDONLY|unix.O_CLOEXEC, 0) },
		"signalfd": func() (int, error) {
			return unix.Signalfd(-1, &unix.Sigset_t{}, unix.SFD_CLOEXEC)
		},
		"pipe": func() (int, error) {
			var p [2]int
			err := unix.Pipe2(p[:], unix.O_CLOEXEC)
			unix.Close(p[1])
			return p[0], err
		},
		"socket": func() (int, error) {
			return unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
		},
	} {
		if _, f := open(t, create); f.Kind != kind {
			t.Errorf("got kind %s (%s), want %s", f.Kind, f.Target, kind)
		}
	}
}

// TestSame checks that a deleted file is still the same file, and that another file with the same
// name and number is not.
func TestSame(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x")
	create := func() (int, error) {
		return unix.Open(path, unix.O_CREAT|unix.O_RDWR|unix.O_CLOEXEC, 0o600)
	}
	fd, before := open(t, create)
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if after := find(own(t), fd); !after.Same(before) || after.Target == before.Target {
		t.Errorf("after the deletion: got %+v, want the same file as %+v", after, before)
	}
	other, err := create()
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.Dup3(other, fd, unix.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	unix.Close(other)
	if after := find(own(t), fd); after.Same(before) || after.Target != before.Target {
		t.Errorf("another file: got %+v, want a file other than %+v", after, before)
	}
}

func TestResolve(t *testing.T) {
	target := func(c interface {
		File() (*os.File, error)
	}) string {
		f, err := c.File()
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		return find(own(t), int(f.Fd())).Target
	}
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if got, want := target(l.(*net.TCPListener)), "tcp "+l.Addr().String()+" listen"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	want := "tcp " + c.LocalAddr().String() + " -> " + l.Addr().String()
	if got := target(c.(*net.TCPConn)); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	u, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer u.Close()
	if got, want := target(u.(*net.UDPConn)), "udp "+u.LocalAddr().String(); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	path := filepath.Join(t.TempDir(), "s")
	x, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer x.Close()
	if got, want := target(x.(*net.UnixListener)), "unix "+path+" listen"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// TestLongPaths checks that a scan keeps a part of the long paths of high descriptors only, and
// that two files whose paths differ after this part are not the same.
func TestLongPaths(t *testing.T) {
	path := "/" + strings.Repeat("d", 4000)
	f, g, low := newFD(5000, path+"1"), newFD(5000, path+"2"), newFD(5, path+"1")
	deleted := newFD(5000, path+deletedSuffix)
	for _, f := range []*FD{&f, &g, &low, &deleted} {
		f.shorten()
	}
	switch {
	case len(f.Target) > maxLink+10 || len(f.link) > maxLink+10 ||
		!strings.HasSuffix(f.Target, "…"):
		t.Errorf("got a path of %d bytes, want %d and an ellipsis", len(f.Target), maxLink)
	case f.Same(g):
		t.Error("two files are the same")
	case low.Target != path+"1":
		t.Errorf("the path of descriptor 5 has %d bytes, want all", len(low.Target))
	case !strings.HasSuffix(deleted.link, "…"+deletedSuffix):
		t.Errorf("got %q, want a deleted file", deleted.link)
	}
	again := newFD(5000, path+"1")
	if again.shorten(); !f.Same(again) {
		t.Error("two scans of a file differ")
	}
}

// TestManyFDs scans a table that does not fit into the first list.
func TestManyFDs(t *testing.T) {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil || limit.Cur < 4000 {
		t.Skipf("the limit of descriptors is %d, %v", limit.Cur, err)
	}
	null, err := os.Open("/dev/null")
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	for range 3000 {
		fd, err := unix.FcntlInt(null.Fd(), unix.F_DUPFD_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Close(fd)
	}
	fds, err := ReadFDs(os.Getpid(), os.Getpid())
	if err != nil || len(fds) < 3000 || cap(fds) > len(fds)+100 {
		t.Errorf("got %d descriptors, room for %d, %v, want 3000 or more and little room", len(fds),
			cap(fds), err)
	}
	for i, f := range fds {
		if at, ok := SearchFD(fds, f.Num); !ok || at != i {
			t.Fatalf("descriptor %d is found at %d, want %d", f.Num, at, i)
		}
	}
}
