package control

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"tp0/supervisor/fixture/needs"
)

// TestListenPath checks that a socket has its mode from the start, replaces an unused socket of our
// own, and nothing else.
func TestListenPath(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	old := unix.Umask(0)
	defer unix.Umask(old)
	first, err := ListenPath(at("live"), NoGroup)
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Lstat(at("live")); err != nil || info.Mode() != os.ModeSocket|0o600 {
		t.Errorf("got %v, %v, want the mode 0600", info.Mode(), err)
	}
	makeStale(t, at("stale"))
	if err := os.WriteFile(at("file"), []byte("text"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(at("stale"), at("link")); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ path, want string }{
		{at("live"), "a process listens on it already (pid"},
		{at("file"), "not a socket"},
		{at("link"), "not a socket"},
		{at("none/s"), "no such file"},
		{"relative", "must be absolute"},
		{at(strings.Repeat("x", 200)), "a socket can have 107 at most"},
	} {
		l, err := ListenPath(c.path, NoGroup)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q", c.path, err, c.want)
			l.Close()
		}
	}
	if text, err := os.ReadFile(at("file")); err != nil || string(text) != "text" {
		t.Errorf("the file has %q, %v", text, err)
	}
	again, err := ListenPath(at("stale"), NoGroup)
	if err != nil {
		t.Fatal(err)
	}
	c, err := Dial(at("stale"))
	if err != nil {
		t.Fatal(err)
	}
	if p, err := PeerOf(c); err != nil || p.Pid != os.Getpid() || !p.Trusted() {
		t.Errorf("the peer is %+v, %v", p, err)
	}
	c.Close()
	again.Close()
	again.Remove()
	first.Close()
	first.Remove()
	for _, name := range []string{"live", "stale"} {
		if _, err := os.Lstat(at(name)); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s is still there: %v", name, err)
		}
	}
}

// TestForeignSocket checks that the socket of another user stays, even if nobody listens on it.
func TestForeignSocket(t *testing.T) {
	needs.Check(t, "root")
	path := filepath.Join(t.TempDir(), "s")
	makeStale(t, path)
	if err := os.Chown(path, 4711, 4711); err != nil {
		t.Fatal(err)
	}
	const want = "a socket of another user (uid 4711)"
	if l, err := ListenPath(path, NoGroup); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("got %v, %v, want %q", l, err, want)
	}
	if _, err := os.Lstat(path); err != nil {
		t.Errorf("the file is gone: %v", err)
	}
}

// makeStale leaves a socket on which no process listens.
func makeStale(t *testing.T, path string) {
	t.Helper()
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	l.Close()
}

// TestReplacedFile checks that a file which replaced that of a socket keeps its mode and stays.
func TestReplacedFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	l, err := ListenPath(path, NoGroup)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, nil, 0o604); err != nil {
		t.Fatal(err)
	}
	if err := l.SetGroup(os.Getgid()); err == nil {
		t.Error("the group of a foreign file was changed")
	}
	l.Remove()
	if info, err := os.Lstat(path); err != nil || info.Mode() != 0o604 {
		t.Errorf("got %v, %v, want the file as it was", info, err)
	}
}

// TestGroup checks the mode of a socket for a group, and that it can be taken away again.
func TestGroup(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	gid := os.Getgid()
	if os.Geteuid() == 0 {
		gid = 4711
	}
	l, err := ListenPath(path, gid)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	check := func(mode uint32, gid int) {
		t.Helper()
		var st unix.Stat_t
		if err := unix.Lstat(path, &st); err != nil || st.Mode&0o777 != mode || int(st.Gid) != gid {
			t.Errorf("got %o of group %d, %v, want %o of group %d", st.Mode&0o777, st.Gid, err,
				mode, gid)
		}
	}
	check(0o660, gid)
	if err := l.SetGroup(NoGroup); err != nil {
		t.Fatal(err)
	}
	check(0o600, gid)
}

// TestSharedDirectory checks that no socket is opened by default where another user may create
// files.
func TestSharedDirectory(t *testing.T) {
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	own := filepath.Join(t.TempDir(), "own")
	dirs := []string{filepath.Join(dir, "no", "such"), dir}
	if l, err := ListenIn(dirs, Name("/x"), NoGroup); l != nil || err == nil ||
		!strings.Contains(err.Error(), "no such file") || !strings.Contains(err.Error(), dir) {
		t.Fatalf("got %v, %v, want the reasons of both directories", l, err)
	}
	l, err := ListenIn(append(dirs, own), Name("/x"), NoGroup)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Remove()
	defer l.Close()
	if want := filepath.Join(own, FileName(Name("/x"))); l.Path != want {
		t.Errorf("got %s, want %s", l.Path, want)
	}
}

// TestStaleSockets checks that a start removes the sockets of supervisors that were killed, and no
// other file.
func TestStaleSockets(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	live, err := ListenPath(at("0123456789abcdef.sock"), NoGroup)
	if err != nil {
		t.Fatal(err)
	}
	defer live.Close()
	stale := []string{"0000000000000001.sock", "0000000000000002-15.sock"}
	kept := []string{"echo.sock", "0000000000000003.sock.d", "0123456789abcdef.sock"}
	for _, name := range append(stale, kept[:2]...) {
		makeStale(t, at(name))
	}
	if err := os.WriteFile(at("0000000000000004.sock"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	l, err := ListenIn([]string{dir}, Name("/x"), NoGroup)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for _, name := range stale {
		if _, err := os.Lstat(at(name)); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s is still there: %v", name, err)
		}
	}
	for _, name := range append(kept, "0000000000000004.sock", FileName(Name("/x"))) {
		if _, err := os.Lstat(at(name)); err != nil {
			t.Errorf("%s was removed: %v", name, err)
		}
	}
}

// TestStaleSocketsAtTheSameTime checks that no start removes the socket of another one: a socket
// that is bound and does not listen yet looks like a stale one.
func TestStaleSocketsAtTheSameTime(t *testing.T) {
	dir := t.TempDir()
	var starts sync.WaitGroup
	for i := range 50 {
		starts.Go(func() {
			l, err := ListenIn([]string{dir}, Name(fmt.Sprint(i)), NoGroup)
			if err != nil {
				t.Errorf("start %d: %v", i, err)
				return
			}
			if _, err := os.Lstat(l.Path); err != nil {
				t.Errorf("start %d: %v", i, err)
			}
			t.Cleanup(func() {
				if c, err := Dial(l.Path); err != nil {
					t.Errorf("start %d: %v", i, err)
				} else {
					c.Close()
				}
				l.Close()
			})
		})
	}
	starts.Wait()
}
