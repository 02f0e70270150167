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
	for name, text := range map[string]string{"empty": "", "ten": "0123456789", "long": strings.Repeat("x", 100_000)} {
		path := filepath.Join(dir, name)
		must(t, os.WriteFile(path, []byte(text), 0o600))
		if got, err := r.Read(path, len(text)); err != nil || string(got) != text {
			t.Errorf("%s: %d bytes, %v", name, len(got), err)
		}
		if got, err := r.Read(path, 5); err != nil || len(got) != min(6, len(text)) {
			t.Errorf("%s: %d bytes of 5, %v", name, len(got), err)
		}
	}
	if b, err := r.Read("/proc/self/status", 1<<20); err != nil || !strings.Contains(string(b), "Pid:") {
		t.Errorf("a file without a size: %v", err)
	}
	fifo := filepath.Join(dir, "fifo")
	must(t, unix.Mkfifo(fifo, 0o600))
	if _, err := r.Read(fifo, 10); err == nil || !strings.Contains(err.Error(), "regular") {
		t.Error(err)
	}
	if _, err := r.Read(filepath.Join(dir, "none"), 10); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
	names, err := r.Names(dir, 100)
	slices.Sort(names)
	if err != nil || !slices.Equal(names, []string{"empty", "fifo", "long", "ten"}) {
		t.Errorf("%v, %v", names, err)
	}
	if _, err := r.Names(fifo, 100); !errors.Is(err, unix.ENOTDIR) {
		t.Error(err)
	}
	if len(r.open) > 0 {
		t.Errorf("open: %v", r.open)
	}
}

// What is read of the kernel's messages has no end to wait for.
func TestReadOfWhatComesLater(t *testing.T) {
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
			t.Error("it ended")
		}
	case <-time.After(10 * time.Second):
		t.Error("it waits")
	}
}

// A read that never returns: its descriptor is gone, and its number may be another
// file's, which is neither read nor closed.
func TestAbandon(t *testing.T) {
	fifo := filepath.Join(t.TempDir(), "fifo")
	must(t, unix.Mkfifo(fifo, 0o600))
	w, err := os.OpenFile(fifo, os.O_RDWR, 0) // so that a read waits
	must(t, err)
	var r Reader
	fd, err := r.openFile(fifo, 0)
	must(t, err)
	began, done := make(chan struct{}), make(chan error, 1)
	go func() {
		close(began)
		_, err := r.read(fd, make([]byte, 1))
		r.close(fd)
		done <- err
	}()
	<-began
	begin := time.Now()
	if !r.Abandon() {
		t.Error("nothing was open")
	}
	if took := time.Since(begin); took > 10*time.Second {
		t.Errorf("it took %v", took)
	}
	if _, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err != unix.EBADF {
		t.Errorf("it is open: %v", err)
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
		t.Error(err)
	}
	if _, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err != nil {
		t.Errorf("the other file of that number was closed: %v", err)
	}
	must(t, unix.Close(fd))
	if _, err := r.Read("/proc/self/stat", 10); !errors.Is(err, ErrAbandoned) {
		t.Error(err)
	}
}
