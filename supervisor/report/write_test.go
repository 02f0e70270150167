package report

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// shelf is books that only count.
type shelf struct{ opened, closed int }

func (s *shelf) OpenedInternal(fd int, kind, target string) {
	s.Opened(fd, kind, target)
}

func (s *shelf) Opened(int, string, string) { s.opened++ }
func (s *shelf) Close(_ int, close func() error) error {
	s.closed++
	return close()
}

// written writes a report within a second.
func written(t *testing.T, path string) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	var s shelf
	f, err := Create(ctx, path, &s)
	if err == nil {
		err = f.Write(ctx, aStop())
	}
	if s.opened != s.closed {
		t.Errorf("%s: %d opened, %d closed", path, s.opened, s.closed)
	}
	return err
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestWrite(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"stop.json", "stop.html", strings.Repeat("ñ", 125) + ".html"} {
		path := filepath.Join(dir, name)
		for _, mode := range []fs.FileMode{0, 0o640} { // new, then in place of an older one
			check(t, written(t, path))
			f, err := os.Open(path)
			check(t, err)
			d, err := Read(f)
			if err != nil || len(d.Children) != 2 {
				t.Errorf("%s: %v", name, err)
			}
			if info, err := f.Stat(); err != nil || mode != 0 && info.Mode() != mode {
				t.Errorf("%s: its mode is %v, %v", name, info.Mode(), err)
			}
			f.Close()
			check(t, os.Chmod(path, 0o640))
		}
	}
	if all, _ := os.ReadDir(dir); len(all) != 3 {
		t.Errorf("something else is there: %v", all)
	}
}

// A link stays one; the page or not is what the given name says.
func TestWriteThroughLink(t *testing.T) {
	dir := t.TempDir()
	check(t, os.Mkdir(filepath.Join(dir, "sub"), 0o755))
	target, link := filepath.Join(dir, "sub", "target"), filepath.Join(dir, "stop.html")
	check(t, os.WriteFile(target, []byte("old"), 0o644))
	check(t, os.Symlink(target, link))
	check(t, written(t, link))
	if info, err := os.Lstat(link); err != nil || info.Mode().Type() != fs.ModeSymlink {
		t.Errorf("the link is %v, %v", info.Mode(), err)
	}
	if b, _ := os.ReadFile(target); !strings.HasPrefix(string(b), "<!DOCTYPE html>") {
		t.Errorf("%.40q", b)
	}
}

func TestWriteWhereItCannotBe(t *testing.T) {
	dir := t.TempDir()
	fifo := filepath.Join(dir, "fifo")
	check(t, unix.Mkfifo(fifo, 0o600))
	for path, want := range map[string]syscall.Errno{
		dir: unix.EISDIR, fifo: unix.ENXIO, "/dev/full": unix.ENOSPC, filepath.Join(
			dir, "none", "stop.json",
		): unix.ENOENT,
		"/proc/version": unix.EACCES, "/proc/stop.json": unix.ENOENT,
	} {
		if err := written(t, path); !errors.Is(err, want) && !errors.Is(err, unix.EROFS) &&
			!(path == "/proc/version" && errors.Is(err, unix.EIO)) {
			t.Errorf("%s: %v, want %v", path, err, want)
		} else if !strings.Contains(err.Error(), path) {
			t.Errorf("%v does not name %s", err, path)
		}
	}
	if all, _ := os.ReadDir(dir); len(all) != 1 {
		t.Errorf("something is left: %v", all)
	}
}

// What could not be written whole leaves the older one as it was.
func TestWriteOnFullDisk(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "stop.json")
	check(t, os.WriteFile(path, []byte("old"), 0o644))
	f, err := Create(t.Context(), path, &shelf{})
	check(t, err)
	full, err := unix.Open("/dev/full", unix.O_WRONLY|unix.O_CLOEXEC, 0)
	check(t, err)
	defer unix.Close(full)
	check(t, unix.Dup3(full, f.fd, unix.O_CLOEXEC))
	if err := f.Write(t.Context(), aStop()); !errors.Is(err, unix.ENOSPC) {
		t.Errorf("got %v", err)
	}
	if b, _ := os.ReadFile(path); string(b) != "old" {
		t.Errorf("it became %.40q", b)
	}
	if all, _ := os.ReadDir(dir); len(all) != 1 {
		t.Errorf("something is left: %v", all)
	}
}

// A reader that does not read costs the time that there is, not more.
func TestWriteToSlowReader(t *testing.T) {
	fifo := filepath.Join(t.TempDir(), "fifo")
	check(t, unix.Mkfifo(fifo, 0o600))
	r, err := os.OpenFile(fifo, os.O_RDWR, 0)
	check(t, err)
	defer r.Close()
	fd, err := unix.Open(fifo, unix.O_WRONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	check(t, err)
	defer unix.Close(fd)
	for err == nil {
		_, err = unix.Write(fd, make([]byte, 4096))
	}
	if err := written(t, fifo); err == nil || !strings.Contains(err.Error(), "too slow") {
		t.Errorf("got %v", err)
	}
}

// The file behind /dev/stdout belongs to others, who go on with it.
func TestWriteToDescriptorAppends(t *testing.T) {
	f, err := os.Create(filepath.Join(t.TempDir(), "out"))
	check(t, err)
	defer f.Close()
	_, err = f.WriteString("before\n")
	check(t, err)
	check(t, written(t, filepath.Join("/dev/fd", itoa(f.Fd()))))
	b, err := os.ReadFile(f.Name())
	check(t, err)
	if s := string(b); !strings.HasPrefix(s, "before\n{") || !strings.HasSuffix(s, "}\n") {
		t.Errorf("%.60q", s)
	}
}

func itoa(fd uintptr) string { return number(int(fd)) }

// A file system that hangs holds nobody up.
func TestWithin(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	hang := make(chan struct{})
	cancel()
	if err := runBounded(ctx, func() error { <-hang; return nil }); err != errLate {
		t.Errorf("got %v", err)
	}
	close(hang)
}
