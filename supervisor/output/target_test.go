package output

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"tp0/supervisor/files"
	"tp0/supervisor/fixture/needs"
)

// ender returns an eventfd like that of the relay, and a function that makes it readable.
func ender(t *testing.T) (fd int, end func()) {
	t.Helper()
	fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	return fd, func() { unix.Write(fd, []byte{1, 0, 0, 0, 0, 0, 0, 0}) }
}

func pipe(t *testing.T, blocking bool) (r, w int) {
	t.Helper()
	var p [2]int
	if err := unix.Pipe2(p[:], unix.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	if err := unix.SetNonblock(p[1], !blocking); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		unix.Close(p[0])
		unix.Close(p[1])
	})
	return p[0], p[1]
}

// TestPipeWrite checks that a write to a pipe with little room writes what fits, so the sink sees
// progress, and that the close of the relay ends the wait for a full pipe.
func TestPipeWrite(t *testing.T) {
	for _, blocking := range []bool{true, false} {
		for _, nowait := range []bool{true, false} {
			t.Run(fmt.Sprintf("blocking=%t,nowait=%t", blocking, nowait), func(t *testing.T) {
				ended, end := ender(t)
				r, w := pipe(t, blocking)
				d := newDescriptor(w, ended, nil)
				d.rwfNowait = nowait
				data := bytes.Repeat([]byte("x"), 100<<10)
				bufs := [][]byte{data[:1000], data[1000:]}
				total := 0
				for total < 64<<10 {
					n, err := d.write([][]byte{data})
					if err != nil {
						t.Fatal(err)
					}
					total += n
				}
				if total != 64<<10 {
					t.Errorf("an empty pipe accepted %d bytes", total)
				}

				written := make(chan int)
				write := func() {
					n, err := 0, error(nil)
					for range 2 { // the first may return 0 after its wait
						if n, err = d.write(bufs); n > 0 || err != nil {
							break
						}
					}
					if err != nil {
						t.Error(err)
					}
					written <- n
				}
				go write()
				buf := make([]byte, 4096)
				for total = 0; total < len(buf); {
					n, err := unix.Read(r, buf[total:])
					if err != nil {
						t.Fatal(err)
					}
					total += n
				}
				if n := <-written; n == 0 || n > 4096 {
					t.Errorf("a page of room accepted %d bytes", n)
				}
				go write()
				end()
				<-written // write returns, with or without room
			})
		}
	}
}

func TestWriteErrors(t *testing.T) {
	ended, _ := ender(t)
	r, w := pipe(t, true)
	_, closed := pipe(t, true)
	other, err := unix.FcntlInt(uintptr(closed), unix.F_DUPFD_CLOEXEC, 3)
	if err != nil {
		t.Fatal(err)
	}
	d := newDescriptor(w, ended, nil)
	unix.Close(r)
	gone := newDescriptor(other, ended, nil)
	unix.Close(other)
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer full.Close()
	for _, c := range []struct {
		d    *descriptor
		want error
	}{
		{d, unix.EPIPE},
		{gone, unix.EBADF},
		{newDescriptor(-1, ended, nil), unix.EBADF},
		{newDescriptor(number(full), ended, nil), unix.ENOSPC},
	} {
		if n, err := c.d.write([][]byte{[]byte("x")}); n != 0 || err != c.want {
			t.Errorf("got %d bytes and error %v, want error %v", n, err, c.want)
		}
	}
	for _, nowait := range []bool{true, false} {
		d.rwfNowait = nowait
		if _, err := d.write([][]byte{[]byte("x")}); err != unix.EPIPE {
			t.Errorf("nowait=%t: %v", nowait, err)
		}
	}
}

// TestWriteKinds writes to a file, a terminal, a socket and a FIFO.
func TestWriteKinds(t *testing.T) {
	ended, _ := ender(t)
	data := [][]byte{bytes.Repeat([]byte("a"), 700), bytes.Repeat([]byte("b"), 700)}

	file, err := os.CreateTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if n, err := newDescriptor(number(file), ended, nil).write(data); n != 1400 || err != nil {
		t.Errorf("file: got %d bytes and error %v", n, err)
	}

	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(pair[0])
	defer unix.Close(pair[1])
	if n, err := newDescriptor(pair[0], ended, nil).write(data); n != 1400 || err != nil {
		t.Errorf("socket: got %d bytes and error %v", n, err)
	}

	path := filepath.Join(t.TempDir(), "fifo")
	if err := unix.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	r, err := unix.Open(path, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(r)
	w, err := files.Append(path, newFileMode)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(w)
	if n, err := newDescriptor(w, ended, nil).write(data); n < 700 || err != nil {
		t.Errorf("fifo: got %d bytes and error %v", n, err)
	}
}

// TestTerminalWrite checks that a terminal without reader does not block a write.
func TestTerminalWrite(t *testing.T) {
	master, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		needs.Skip(t, "devpts", err)
	}
	defer unix.Close(master)
	if err := unix.IoctlSetPointerInt(master, unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(master, unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	slave, err := unix.Open(fmt.Sprintf("/dev/pts/%d", n), unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC,
		0)
	if err != nil {
		needs.Skip(t, "devpts", err)
	}
	defer unix.Close(slave)
	ended, end := ender(t)
	d := newDescriptor(slave, ended, nil)
	if d.chunk != ttyChunk {
		t.Errorf("got chunk %d", d.chunk)
	}
	if n, err := d.write([][]byte{bytes.Repeat([]byte("a"), 700)}); n != 700 || err != nil {
		t.Errorf("terminal: got %d bytes and error %v", n, err)
	}
	// Stop the output, as Ctrl-S does.
	if err := unix.IoctlSetInt(slave, unix.TCXONC, unix.TCOOFF); err != nil {
		t.Fatal(err)
	}
	done := make(chan int)
	go func() {
		n, _ := d.write([][]byte{[]byte("stopped\n")})
		done <- n
	}()
	end()
	if n := <-done; n != 0 {
		t.Errorf("a stopped terminal accepted %d bytes", n)
	}
}

// TestFileWithoutAppend checks that a file that a shell opened without O_APPEND is appended to all
// the same: others write to it, and it can be truncated after a copy.
func TestFileWithoutAppend(t *testing.T) {
	path := filepath.Join(t.TempDir(), "out")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	d := newDescriptor(int(f.Fd()), -1, f)
	steps := []func() error{
		func() error { _, err := d.write([][]byte{[]byte("1\n")}); return err },
		func() error { return appendTo(path, "other\n") },
		func() error { _, err := d.write([][]byte{[]byte("2\n"), []byte("3\n")}); return err },
		func() error { return os.Truncate(path, 2) },
		func() error { _, err := d.write([][]byte{[]byte("4\n")}); return err },
	}
	for _, step := range steps {
		if err := step(); err != nil {
			t.Fatal(err)
		}
		text, _ := os.ReadFile(path)
		t.Logf("%q", text)
	}
	if text, err := os.ReadFile(path); string(text) != "1\n4\n" {
		t.Errorf("got %q and error %v", text, err)
	}
}

func appendTo(path, text string) error {
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = f.WriteString(text)
	return err
}
