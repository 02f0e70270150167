package notify

import (
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"tp0/supervisor/fdledger"
)

func TestPlaces(t *testing.T) {
	for _, c := range []struct {
		uid             int
		runtime, xdgDir string
		want            []string
	}{
		{0, "", "", []string{"/run/supervisor"}},
		{0, "/run/web:/run/other", "/run/user/0",
			[]string{"/run/supervisor", "/run/web", "/run/user/0/supervisor"}},
		{1000, "", "", nil},
		{1000, "run/web", "./x", nil},
		{1000, "", "/run/user/1000/", []string{"/run/user/1000/supervisor"}},
	} {
		env := map[string]string{"RUNTIME_DIRECTORY": c.runtime, "XDG_RUNTIME_DIR": c.xdgDir}
		got := Places(c.uid, func(name string) string { return env[name] })
		if !slices.Equal(got, c.want) {
			t.Errorf("user %d, %v: got %v, want %v", c.uid, env, got, c.want)
		}
	}
}

// TestStaleDirectories checks that the files of a supervisor that was killed are removed, and those
// of a running one are not.
func TestStaleDirectories(t *testing.T) {
	dir := place(t)
	running := newReceiver(t, dir)
	used := running.socket(os.Geteuid()).Address()
	stale := filepath.Join(dir, directoryPrefix+"0123abcd")
	must(t, os.Mkdir(stale, 0o711))
	l, err := net.ListenUnixgram("unixgram",
		&net.UnixAddr{Name: filepath.Join(stale, "web-1"), Net: "unixgram"})
	must(t, err)
	must(t, l.Close())
	foreign := filepath.Join(dir, directoryPrefix+"link")
	must(t, os.Symlink(t.TempDir(), foreign))
	kept := filepath.Join(dir, directoryPrefix+"kept")
	must(t, os.Mkdir(kept, 0o711))
	must(t, os.WriteFile(filepath.Join(kept, "note"), nil, 0o600))

	second := NewReceiver([]string{dir}, fdledger.New(noSink{}), func(err error) { t.Error(err) })
	_, err = second.Open(Process{Name: "web", Number: 1, UID: os.Geteuid()})
	must(t, err)
	if _, err := os.Lstat(stale); !os.IsNotExist(err) {
		t.Errorf("the stale directory still exists: %v", err)
	}
	for _, path := range []string{used, foreign, filepath.Join(kept, "note")} {
		if _, err := os.Lstat(path); err != nil {
			t.Errorf("removed without reason: %v", err)
		}
	}
	second.Close()
	if _, err := os.Lstat(used); err != nil {
		t.Errorf("the end of the second supervisor removed a socket of the first one: %v", err)
	}
	must(t, os.Remove(foreign))
	must(t, os.RemoveAll(kept))
}

// TestUntrustedPlaces checks that a directory in which another user could replace a file is not
// used, and why.
func TestUntrustedPlaces(t *testing.T) {
	dir := t.TempDir()
	writable, file := filepath.Join(dir, "writable"), filepath.Join(dir, "file")
	must(t, os.Mkdir(writable, 0o755))
	must(t, os.Chmod(writable, 0o777|os.ModeSticky))
	below := filepath.Join(writable, "web")
	must(t, os.Mkdir(below, 0o755))
	must(t, os.WriteFile(file, nil, 0o600))
	long := filepath.Join(dir, strings.Repeat("x", 100))
	must(t, os.Mkdir(long, 0o755))
	open := filepath.Join(dir, "open")
	must(t, os.Mkdir(open, 0o755))
	must(t, os.Chmod(open, 0o775))
	missing := filepath.Join(dir, "missing", "web")
	for place, want := range map[string]string{
		writable: "others than its owner may write to " + writable,
		below:    "", // no other user can rename it: its parent has the sticky bit
		open:     "others than its owner may write to " + open,
		file:     "is not a directory",
		long:     "is too long for a socket",
		missing:  "",
	} {
		d, err := openDirectory([]string{place}, fdledger.New(noSink{}))
		if got := err != nil && strings.Contains(err.Error(), want); want != "" && !got {
			t.Errorf("%s: error %v, want %q", place, err, want)
		} else if want == "" && err != nil {
			t.Errorf("%s: error %v, want none", place, err)
		}
		if usable := d != nil; usable != (place == below) {
			t.Errorf("%s: usable is %v", place, usable)
		}
		if d != nil {
			d.remove()
		}
	}
	if os.Geteuid() != 0 {
		return
	}
	foreign := filepath.Join(dir, "foreign")
	must(t, os.Mkdir(foreign, 0o755))
	must(t, os.Chown(foreign, nobody, -1))
	if _, err := openDirectory([]string{foreign}, fdledger.New(noSink{})); err == nil ||
		!strings.Contains(err.Error(), "belongs to user 65534") {
		t.Errorf("a directory of another user: error %v", err)
	}
}

// TestLink checks that a place behind a symbolic link is used by its real path.
func TestLink(t *testing.T) {
	dir := t.TempDir()
	must(t, os.Mkdir(filepath.Join(dir, "real"), 0o755))
	must(t, os.Symlink("real", filepath.Join(dir, "link")))
	d, err := openDirectory([]string{filepath.Join(dir, "link")}, fdledger.New(noSink{}))
	must(t, err)
	if want := filepath.Join(dir, "real"); d.parent != want {
		t.Errorf("the directory is in %s, want %s", d.parent, want)
	}
	d.remove()
}

// TestLongName checks that the name of a process is cut to what an address has room for.
func TestLongName(t *testing.T) {
	d := &directory{path: "/" + strings.Repeat("d", maxPath-1-1-minFileName)}
	name := strings.Repeat("n", 64)
	for _, number := range []uint64{1, 1<<64 - 1} {
		path := d.file(Process{Name: name, Number: number})
		if len(path) > maxPath {
			t.Errorf("%s has %d bytes, want %d at most", path, len(path), maxPath)
		}
	}
	a, b := d.file(Process{Name: name, Number: 1}), d.file(Process{Name: name, Number: 2})
	if a == b {
		t.Errorf("two processes have the path %s", a)
	}
}

// TestNoPlace checks that a read-only or missing place gives abstract names without a warning.
func TestNoPlace(t *testing.T) {
	r := newReceiver(t, filepath.Join(t.TempDir(), "missing", "web"))
	s := r.socket(os.Geteuid())
	if s.Address()[0] != '@' {
		t.Errorf("the address is %s, want an abstract name", s.Address())
	}
	c := client(t)
	send(t, c, s, "READY=1")
	if m, _ := r.next(s, 0); len(m) != 1 {
		t.Errorf("got %+v, want READY", m)
	}
}
