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

// countingLedger is a registrar of descriptors that only counts.
type countingLedger struct{ opened, closed int }

func (s *countingLedger) OpenedInternal(fd int, kind, target string) {
	s.Opened(fd, kind, target)
}

func (s *countingLedger) Opened(int, string, string) { s.opened++ }
func (s *countingLedger) Close(_ int, close func() error) error {
	s.closed++
	return close()
}

// writeReport writes a report to a path, with a timeout of one second.
func writeReport(t *testing.T, path string) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	var s countingLedger
	f, err := Create(ctx, path, &s)
	if err == nil {
		err = f.Write(ctx, fullStop())
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
	var file unix.Statfs_t
	check(t, unix.Statfs(dir, &file))
	longest := strings.Repeat("ñ", (int(file.Namelen)-len(".html"))/len("ñ")) + ".html"
	for _, name := range []string{"stop.json", "stop.html", longest} {
		path := filepath.Join(dir, name)
		for _, mode := range []fs.FileMode{0, 0o640} { // a new file, then a replaced one
			check(t, writeReport(t, path))
			f, err := os.Open(path)
			check(t, err)
			d, err := Read(f)
			if err != nil || len(d.Children) != 2 {
				t.Errorf("%s: got %v, want a document with two children", name, err)
			}
			if info, err := f.Stat(); err != nil || mode != 0 && info.Mode() != mode {
				t.Errorf("%s: its mode is %v, %v", name, info.Mode(), err)
			}
			f.Close()
			check(t, os.Chmod(path, 0o640))
		}
	}
	if all, _ := os.ReadDir(dir); len(all) != 3 {
		t.Errorf("the directory has other files: %v", all)
	}
}

// TestWriteThroughLink checks that a symbolic link stays a link, and that its own name decides the
// form of the document.
func TestWriteThroughLink(t *testing.T) {
	dir := t.TempDir()
	check(t, os.Mkdir(filepath.Join(dir, "sub"), 0o755))
	target, link := filepath.Join(dir, "sub", "target"), filepath.Join(dir, "stop.html")
	check(t, os.WriteFile(target, []byte("old"), 0o644))
	check(t, os.Symlink(target, link))
	check(t, writeReport(t, link))
	if info, err := os.Lstat(link); err != nil || info.Mode().Type() != fs.ModeSymlink {
		t.Errorf("the link is %v, %v", info.Mode(), err)
	}
	if b, _ := os.ReadFile(target); !strings.HasPrefix(string(b), "<!DOCTYPE html>") {
		t.Errorf("got %.40q, want a page", b)
	}
}

// TestWriteErrors checks the error for paths that cannot be written.
func TestWriteErrors(t *testing.T) {
	dir := t.TempDir()
	fifo := filepath.Join(dir, "fifo")
	check(t, unix.Mkfifo(fifo, 0o600))
	for path, want := range map[string]syscall.Errno{
		dir: unix.EISDIR, fifo: unix.ENXIO, "/dev/full": unix.ENOSPC,
		filepath.Join(dir, "none", "stop.json"): unix.ENOENT,
		"/proc/version":                         unix.EACCES,
		"/proc/stop.json":                       unix.ENOENT,
	} {
		if err := writeReport(t, path); !errors.Is(err, want) && !errors.Is(err, unix.EROFS) &&
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

// TestWriteOnFullDisk checks that a failed write leaves the older report unchanged.
func TestWriteOnFullDisk(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "stop.json")
	check(t, os.WriteFile(path, []byte("old"), 0o644))
	f, err := Create(t.Context(), path, &countingLedger{})
	check(t, err)
	full, err := unix.Open("/dev/full", unix.O_WRONLY|unix.O_CLOEXEC, 0)
	check(t, err)
	defer unix.Close(full)
	check(t, unix.Dup3(full, f.fd, unix.O_CLOEXEC))
	if err := f.Write(t.Context(), fullStop()); !errors.Is(err, unix.ENOSPC) {
		t.Errorf("got %v", err)
	}
	if b, _ := os.ReadFile(path); string(b) != "old" {
		t.Errorf("the older report became %.40q", b)
	}
	if all, _ := os.ReadDir(dir); len(all) != 1 {
		t.Errorf("something is left: %v", all)
	}
}

// TestWriteToSlowReader checks that a write to a full FIFO ends at the deadline.
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
	if err := writeReport(t, fifo); err == nil || !strings.Contains(err.Error(), "too slow") {
		t.Errorf("got %v, want an error about a slow reader", err)
	}
}

// TestWriteToDescriptorAppends checks that a report is appended to the file of a descriptor, which
// has other writers.
func TestWriteToDescriptorAppends(t *testing.T) {
	f, err := os.Create(filepath.Join(t.TempDir(), "out"))
	check(t, err)
	defer f.Close()
	_, err = f.WriteString("before\n")
	check(t, err)
	check(t, writeReport(t, filepath.Join("/dev/fd", itoa(f.Fd()))))
	b, err := os.ReadFile(f.Name())
	check(t, err)
	if s := string(b); !strings.HasPrefix(s, "before\n{") || !strings.HasSuffix(s, "}\n") {
		t.Errorf("got %.60q, want the document after the first line", s)
	}
}

func itoa(fd uintptr) string { return nonZero(int(fd)) }

// TestRunBounded checks that a call which does not return is abandoned.
func TestRunBounded(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	hang := make(chan struct{})
	cancel()
	if err := runBounded(ctx, func() error { <-hang; return nil }); err != errTimeout {
		t.Errorf("got %v", err)
	}
	close(hang)
}
