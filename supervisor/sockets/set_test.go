package sockets

import (
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"tp0/supervisor/config"
)

// ledger records the open descriptors.
type ledger struct {
	t    *testing.T
	open map[int]string
}

func (b *ledger) OpenedInternal(fd int, kind, target string) {
	b.Opened(fd, kind, target)
}

func (b *ledger) Opened(fd int, kind, target string) {
	if b.open[fd] != "" || kind != "socket" {
		b.t.Errorf("descriptor %d was opened twice, or is a %s", fd, kind)
	}
	b.open[fd] = target
}

func (b *ledger) Close(fd int, close func() error) error {
	if b.open[fd] == "" {
		b.t.Errorf("descriptor %d was closed and is not open", fd)
	}
	delete(b.open, fd)
	return close()
}

func newSockets(t *testing.T) (*Set, *ledger) {
	b := &ledger{t, map[int]string{}}
	s := New(b)
	t.Cleanup(func() {
		s.Keep(func(string) bool { return false })
		if len(b.open) > 0 || !s.Empty() {
			t.Errorf("still open: %v", b.open)
		}
	})
	return s, b
}

// freePort returns an address on which no process listens.
func freePort(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func tcp(address string) config.Listen {
	return config.Listen{Name: "x", TCP: address,
		Backlog: 16}
}

func file(path string, mode os.FileMode) config.Listen {
	return config.Listen{Name: "x", Unix: path, Mode: mode, Backlog: 16}
}

// connects returns nil if a connection succeeds.
func connects(network, address string) error {
	c, err := net.Dial(network, address)
	if err == nil {
		err = c.Close()
	}
	return err
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestOpenAndKeep(t *testing.T) {
	s, b := newSockets(t)
	a, path := freePort(t), filepath.Join(t.TempDir(), "s")
	want := []config.Listen{tcp(a), file(path, 0o640)}
	fds, err := s.Take(want)
	must(t, err)
	if b.open[fds[0]] != "tcp "+a+" listen" || b.open[fds[1]] != "unix "+path+" listen" {
		t.Errorf("the ledger has %v", b.open)
	}
	for _, fd := range fds {
		if flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err != nil ||
			flags&unix.FD_CLOEXEC == 0 {
			t.Errorf("descriptor %d is not close-on-exec: %v", fd, err)
		}
		if flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0); err != nil ||
			flags&unix.O_NONBLOCK != 0 {
			t.Errorf("descriptor %d is non-blocking: %v", fd, err)
		}
	}
	must(t, connects("tcp", a))
	must(t, connects("unix", path))
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o640 {
		t.Errorf("got %v, %v, want the mode 0640", info.Mode(), err)
	}
	second, err := s.Take(want)
	must(t, err)
	if second[0] != fds[0] || second[1] != fds[1] {
		t.Errorf("the descriptors are %v, want %v as before", second, fds)
	}
	s.Keep(func(address string) bool { return address == a })
	must(t, connects("tcp", a))
	if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the file still exists: %v", err)
	}
}

// TestExistingPath checks that an unused socket is replaced, and nothing else.
func TestExistingPath(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "s")
	stale, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	must(t, err)
	stale.SetUnlinkOnClose(false)
	s, _ := newSockets(t)
	if err := s.Open([]config.Listen{file(path, 0o600)}); !errors.Is(err, unix.EADDRINUSE) {
		t.Errorf("a socket in use: error %v, want EADDRINUSE", err)
	}
	must(t, connects("unix", path))
	must(t, stale.Close())
	must(t, s.Open([]config.Listen{file(path, 0o600)}))
	must(t, connects("unix", path))

	notes := filepath.Join(dir, "notes")
	must(t, os.WriteFile(notes, []byte("text"), 0o600))
	err = s.Open([]config.Listen{file(notes, 0o600)})
	if text, e := os.ReadFile(notes); err == nil || e != nil || string(text) != "text" {
		t.Errorf("a regular file: error %v; its content is %q, %v", err, text, e)
	}
	link := filepath.Join(dir, "link")
	must(t, os.Symlink(path, link))
	if err = s.Open([]config.Listen{file(link, 0o600)}); err == nil ||
		!strings.Contains(err.Error(), "not a socket") {
		t.Errorf("a symbolic link: error %v", err)
	}
	if err = s.Open([]config.Listen{file(filepath.Join(dir, "missing", "s"),
		0o600)}); !errors.Is(err, unix.ENOENT) {
		t.Errorf("no directory: error %v, want ENOENT", err)
	}
}

// TestOpenFails checks that a failed Open changes nothing and names the address.
func TestOpenFails(t *testing.T) {
	dir := t.TempDir()
	path, other := filepath.Join(dir, "s"), filepath.Join(dir, "other")
	s, b := newSockets(t)
	must(t, s.Open([]config.Listen{file(path, 0o640)}))
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer taken.Close()
	err = s.Open([]config.Listen{file(path, 0o600), file(other, 0o600), tcp(taken.Addr().String())})
	if !errors.Is(err, unix.EADDRINUSE) || !strings.Contains(err.Error(), taken.Addr().String()) {
		t.Errorf("error %v, want EADDRINUSE with the address", err)
	}
	if len(b.open) != 1 {
		t.Errorf("open: %v", b.open)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o640 {
		t.Errorf("got %v, %v, want the mode 0640", info.Mode(), err)
	}
	if _, err := os.Lstat(other); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the file of the other socket exists: %v", err)
	}
	must(t, s.Open([]config.Listen{file(path, 0o600)}))
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("got %v, %v, want the mode 0600", info.Mode(), err)
	}
}

// TestForeignFile checks that a file which replaced ours is neither changed nor removed.
func TestForeignFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	s, _ := newSockets(t)
	must(t, s.Open([]config.Listen{file(path, 0o600)}))
	must(t, os.Remove(path))
	l, err := net.Listen("unix", path)
	must(t, err)
	defer l.Close()
	if err := s.Open([]config.Listen{file(path, 0o666)}); err == nil {
		t.Error("the mode of a foreign file was changed")
	}
	s.Keep(func(string) bool { return false })
	must(t, connects("unix", path))
}

// TestBothFamilies checks that a socket without a host accepts IPv4 and IPv6.
func TestBothFamilies(t *testing.T) {
	_, port, _ := net.SplitHostPort(freePort(t))
	s, _ := newSockets(t)
	fds, err := s.Take([]config.Listen{tcp("[::]:" + port)})
	must(t, err)
	c, err := net.Dial("tcp4", "127.0.0.1:"+port)
	must(t, err)
	defer c.Close()
	conn, _, err := unix.Accept4(fds[0], unix.SOCK_CLOEXEC)
	must(t, err)
	must(t, unix.Close(conn))
	if _, err := io.ReadAll(c); err != nil {
		t.Error(err)
	}
}
