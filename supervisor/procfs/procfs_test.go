package procfs

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"tp0/supervisor/sockdiag"
)

func find(fds []FD, num int) *FD {
	for i := range fds {
		if fds[i].Num == num {
			return &fds[i]
		}
	}
	return nil
}

func own(t *testing.T) []FD {
	t.Helper()
	fds, err := OwnFDs()
	if err != nil {
		t.Fatal(err)
	}
	names, err := sockdiag.List()
	if err != nil {
		t.Fatal(err)
	}
	Resolve(fds, names)
	return fds
}

// open makes a descriptor and looks at it in our own table.
func open(t *testing.T, make func() (int, error)) (int, FD) {
	t.Helper()
	fd, err := make()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	f := find(own(t), fd)
	if f == nil {
		t.Fatalf("descriptor %d is not listed", fd)
	}
	return fd, *f
}

func TestKinds(t *testing.T) {
	for kind, make := range map[string]func() (int, error){
		"epoll":   func() (int, error) { return unix.EpollCreate1(unix.EPOLL_CLOEXEC) },
		"eventfd": func() (int, error) { return unix.Eventfd(0, unix.EFD_CLOEXEC) },
		"timerfd": func() (int, error) { return unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_CLOEXEC) },
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
		"socket": func() (int, error) { return unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0) },
	} {
		if _, f := open(t, make); f.Kind != kind {
			t.Errorf("%s is taken for %s (%s)", kind, f.Kind, f.Target)
		}
	}
}

// A file is the same one after it was renamed or deleted, and another one of
// the same name is not.
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
		t.Errorf("deleted: %+v is not %+v", after, before)
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
		t.Errorf("another file: %+v passes for %+v", after, before)
	}
}

func TestSocketsInPlainWords(t *testing.T) {
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
	if got, want := target(c.(*net.TCPConn)), "tcp "+c.LocalAddr().String()+" -> "+l.Addr().String(); got != want {
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

func TestParseStat(t *testing.T) {
	tail := " S 7 9 3 4 5 4194560 1 2 3 4 5 6 7 8 20 0 1 0 999 12 13"
	for name, line := range map[string]string{"plain": "plain", "a) S 1 (b": "a) S 1 (b", "": ""} {
		s, err := parseStat([]byte("42 (" + line + ")" + tail))
		if err != nil || s != (Stat{Pid: 42, Comm: name, State: 'S', PPid: 7, PGrp: 9, Session: 3, Flags: 4194560, StartTime: 999}) {
			t.Errorf("%q: %+v, %v", name, s, err)
		}
	}
	for _, bad := range []string{"", "(", ")(", "1 (x)", "1 (x) S", "x (x)" + tail, "1 (x) SS 1 2"} {
		if s, err := parseStat([]byte(bad)); err == nil {
			t.Errorf("%q passes for %+v", bad, s)
		}
	}
}

func FuzzParseStat(f *testing.F) {
	f.Add([]byte("42 (x) S 7 9 3 4 5 4194560 1 2 3 4 5 6 7 8 20 0 1 0 999 12 13"))
	f.Fuzz(func(t *testing.T, line []byte) { _, _ = parseStat(line) })
}

func TestSelf(t *testing.T) {
	s, err := ReadStat(os.Getpid())
	if err != nil || s.PPid != os.Getppid() || s.Dead() || s.Stopped() {
		t.Errorf("%+v, %v", s, err)
	}
	if now, err := Uptime(); err != nil || now < s.StartTime {
		t.Errorf("we began at %d, and it is %d (%v)", s.StartTime, now, err)
	}
	if alive, livesOn := LiveSiblings(os.Getpid(), nil); alive == 0 || livesOn == 0 {
		t.Errorf("%d threads of ours are alive, live on: %v", alive, livesOn)
	}
	if IsGone(os.Getpid()) {
		t.Error("we are gone")
	}
}

// A process with one thread is known by the links of its task directory; ours,
// which has more, is not taken for one.
func TestSmall(t *testing.T) {
	cmd := exec.Command("cat")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		in.Close()
		_ = cmd.Wait()
	}()
	pid := cmd.Process.Pid
	if got := Threads(pid); !slices.Equal(got, []int{pid}) || !slices.Equal(got, numbers(fmt.Sprintf("/proc/%d/task", pid))) {
		t.Errorf("threads %v of %d", got, pid)
	}
	if info, err := os.Stat("/proc/self/fd"); err != nil || info.Size() == 0 {
		if HasFewFDs(pid, 1<<20) {
			t.Error("small, though the kernel does not say")
		}
		return
	}
	if fds, err := ReadFDs(pid, pid); err != nil || !HasFewFDs(pid, len(fds)) || HasFewFDs(pid, len(fds)-1) {
		t.Errorf("with %d descriptors (%v): small %t, with fewer %t", len(fds), err, HasFewFDs(pid, len(fds)), HasFewFDs(pid, len(fds)-1))
	}
	if self := os.Getpid(); len(Threads(self)) < 2 || HasFewFDs(self, 1<<20) {
		t.Errorf("we have the threads %v, and are small: %t", Threads(self), HasFewFDs(self, 1<<20))
	}
}
