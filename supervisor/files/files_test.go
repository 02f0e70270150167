package files

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"tp0/supervisor/fixture/needs"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestRead(t *testing.T) {
	dir := t.TempDir()
	var r Reader
	for name, text := range map[string]string{
		"empty": "", "ten": "0123456789", "long": strings.Repeat("x", 100_000),
	} {
		path := filepath.Join(dir, name)
		must(t, os.WriteFile(path, []byte(text), 0o600))
		if got, err := r.Read(path, len(text)); err != nil || string(got) != text {
			t.Errorf("%s: got %d bytes, %v, want %d bytes", name, len(got), err, len(text))
		}
		want := min(6, len(text))
		if got, err := r.Read(path, 5); err != nil || len(got) != want {
			t.Errorf("%s with limit 5: got %d bytes, %v, want %d", name, len(got), err, want)
		}
	}
	b, err := r.Read("/proc/self/status", 1<<20) // a file without a size
	if err != nil || !strings.Contains(string(b), "Pid:") {
		t.Errorf("/proc/self/status: got %q, %v", b, err)
	}
	fifo := filepath.Join(dir, "fifo")
	must(t, unix.Mkfifo(fifo, 0o600))
	if _, err := r.Read(fifo, 10); err == nil || !strings.Contains(err.Error(), "regular") {
		t.Errorf("a FIFO: got error %v", err)
	}
	if _, err := r.Read(filepath.Join(dir, "none"), 10); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a missing file: got error %v", err)
	}
	names, err := r.Names(dir, 100)
	slices.Sort(names)
	if err != nil || !slices.Equal(names, []string{"empty", "fifo", "long", "ten"}) {
		t.Errorf("got names %v, %v", names, err)
	}
	if _, err := r.Names(fifo, 100); !errors.Is(err, unix.ENOTDIR) {
		t.Errorf("the names in a FIFO: got error %v", err)
	}
	if len(r.open) > 0 {
		t.Errorf("descriptors %v are still open", r.open)
	}
}

// TestReadEndlessFile reads the kernel's messages, which have no end.
func TestReadEndlessFile(t *testing.T) {
	needs.Check(t, "root")
	done := make(chan error, 1)
	go func() {
		var r Reader
		_, err := r.Read("/proc/kmsg", 1<<30)
		done <- err
	}()
	select {
	case err := <-done:
		if err == nil {
			t.Error("the read succeeded")
		}
	case <-time.After(10 * time.Second):
		t.Error("the read blocks")
	}
}

// TestAbandon abandons a read that blocks. Its descriptor is closed. Another file that gets the
// same number afterwards is neither read nor closed.
func TestAbandon(t *testing.T) {
	fifo := filepath.Join(t.TempDir(), "fifo")
	must(t, unix.Mkfifo(fifo, 0o600))
	w, err := os.OpenFile(fifo, os.O_RDWR, 0) // with a writer, a read blocks
	must(t, err)
	var r Reader
	fd, err := r.openFile(fifo, 0)
	must(t, err)
	started, done := make(chan struct{}), make(chan error, 1)
	go func() {
		close(started)
		_, err := r.read(fd, make([]byte, 1))
		r.close(fd)
		done <- err
	}()
	<-started
	start := time.Now()
	if !r.Abandon() {
		t.Error("no descriptor was open")
	}
	if took := time.Since(start); took > 10*time.Second {
		t.Errorf("Abandon took %v, want at most 10s", took)
	}
	if _, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err != unix.EBADF {
		t.Errorf("the descriptor is open: got %v, want EBADF", err)
	}
	other, err := unix.Open("/dev/zero", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	must(t, err)
	if other != fd {
		must(t, unix.Dup3(other, fd, unix.O_CLOEXEC))
	}
	if _, err := w.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	w.Close()
	if err := <-done; !errors.Is(err, ErrAbandoned) {
		t.Errorf("the read that blocked: got error %v, want %v", err, ErrAbandoned)
	}
	if _, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err != nil {
		t.Errorf("the other file with that number was closed: %v", err)
	}
	must(t, unix.Close(fd))
	if _, err := r.Read("/proc/self/stat", 10); !errors.Is(err, ErrAbandoned) {
		t.Errorf("a read after Abandon: got error %v, want %v", err, ErrAbandoned)
	}
}
