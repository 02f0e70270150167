package procfs

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"

	"golang.org/x/sys/unix"

	"tp0/supervisor/fixture/needs"
)

// tmpfsDir returns a directory on a tmpfs, where the number of links of a file is known.
func tmpfsDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "procfs")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

func TestOpenMode(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x")
	for want, flags := range map[string]int{
		"r": unix.O_RDONLY, "w": unix.O_WRONLY, "rw": unix.O_RDWR,
		"ra": unix.O_RDONLY | unix.O_APPEND, "wa": unix.O_WRONLY | unix.O_APPEND,
		"rwa": unix.O_RDWR | unix.O_APPEND, "": unix.O_PATH,
	} {
		_, f := open(t, func() (int, error) {
			if flags == unix.O_PATH {
				return unix.Open(filepath.Dir(path), flags|unix.O_CLOEXEC, 0)
			}
			return unix.Open(path, flags|unix.O_CREAT|unix.O_CLOEXEC, 0o600)
		})
		if f.Detail != (FDDetail{Mode: want}) {
			t.Errorf("got %+v, want mode %q", f.Detail, want)
		}
	}
}

func TestLocks(t *testing.T) {
	dir := t.TempDir()
	for want, take := range map[string]func(fd int) error{
		"flock write": func(fd int) error { return unix.Flock(fd, unix.LOCK_EX) },
		"flock read":  func(fd int) error { return unix.Flock(fd, unix.LOCK_SH) },
		"posix read": func(fd int) error {
			return unix.FcntlFlock(uintptr(fd), unix.F_SETLK, &unix.Flock_t{Type: unix.F_RDLCK})
		},
		"ofd write": func(fd int) error {
			return unix.FcntlFlock(uintptr(fd), unix.F_OFD_SETLK, &unix.Flock_t{Type: unix.F_WRLCK})
		},
		"posix write, flock write": func(fd int) error {
			return errors.Join(unix.Flock(fd, unix.LOCK_EX),
				unix.FcntlFlock(uintptr(fd), unix.F_SETLK, &unix.Flock_t{Type: unix.F_WRLCK}))
		},
	} {
		_, f := open(t, func() (int, error) {
			path := filepath.Join(dir, want)
			fd, err := unix.Open(path, unix.O_RDWR|unix.O_CREAT|unix.O_CLOEXEC, 0o600)
			return fd, errors.Join(err, take(fd))
		})
		if got := f.Detail.Lock; got != want && got != "flock write, posix write" {
			t.Errorf("got lock %q, want %q", got, want)
		}
	}
	for line, want := range map[string]string{
		"1: -> FLOCK  ADVISORY  WRITE 8188 fe:00:9978032 0 EOF": "", // waits for the lock
		"1: LEASE  ACTIVE    READ 8188 fe:00:9978034 0 EOF":     "lease read",
	} {
		if got := describeLock(line); got != want {
			t.Errorf("%q: got lock %q, want %q", line, got, want)
		}
	}
}

func TestDeleted(t *testing.T) {
	dir := tmpfsDir(t)
	create := func(name string) (int, FD) {
		return open(t, func() (int, error) {
			const flags = unix.O_CREAT | unix.O_RDWR | unix.O_CLOEXEC
			return unix.Open(filepath.Join(dir, name), flags, 0o600)
		})
	}
	check := func(what string, fd int, want bool) {
		t.Helper()
		if f := find(own(t), fd); f.Detail.Deleted != want {
			t.Errorf("%s (%s): deleted is %v, want %v", what, f.Target, !want, want)
		}
	}
	unlink := func(name string) {
		t.Helper()
		if err := os.Remove(filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	plain, _ := create("x")
	check("a file", plain, false)
	hostile, _ := create("x (deleted)")
	check("a file named x (deleted)", hostile, false)
	unlink("x")
	check("a deleted file", plain, true)
	unlink("x (deleted)")
	check("a deleted file named x (deleted)", hostile, true)
	linked, _ := create("y")
	if err := os.Link(filepath.Join(dir, "y"), filepath.Join(dir, "z")); err != nil {
		t.Fatal(err)
	}
	unlink("y")
	check("a file with another name", linked, false)
	unlink("z")
	check("a file with all names deleted", linked, true)
	gone := filepath.Join(dir, "d")
	d, _ := open(t, func() (int, error) {
		if err := os.Mkdir(gone, 0o700); err != nil {
			return -1, err
		}
		return unix.Open(gone, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	})
	check("a directory", d, false)
	unlink("d")
	check("a deleted directory", d, true)
}

func TestSecretMemory(t *testing.T) {
	_, f := open(t, func() (int, error) {
		fd, _, errno := unix.Syscall(unix.SYS_MEMFD_SECRET, unix.O_CLOEXEC, 0, 0)
		if errno != 0 {
			needs.Skip(t, "memfd_secret", errno)
		}
		return int(fd), nil
	})
	if f.Kind != "secretmem" {
		t.Errorf("got kind %s (%s), want secretmem", f.Kind, f.Target)
	}
}

func TestPidfd(t *testing.T) {
	cmd, _ := start(t, "idle", nil)
	fd, f := open(t, func() (int, error) { return unix.PidfdOpen(cmd.Process.Pid, 0) })
	if want := "pid " + strconv.Itoa(cmd.Process.Pid); f.Target != want {
		t.Errorf("got %q, want %q", f.Target, want)
	}
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	if g := find(own(t), fd); g.Target != "pid (reaped)" || !g.Same(f) {
		t.Errorf("got %+v, want the pidfd %+v with target \"pid (reaped)\"", g, f)
	}
}

func TestEpollTargets(t *testing.T) {
	ep, _ := open(t, func() (int, error) { return unix.EpollCreate1(unix.EPOLL_CLOEXEC) })
	var want []int
	for range 3 {
		fd, _ := open(t, func() (int, error) { return unix.Eventfd(0, unix.EFD_CLOEXEC) })
		in := unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(fd)}
		if err := unix.EpollCtl(ep, unix.EPOLL_CTL_ADD, fd, &in); err != nil {
			t.Fatal(err)
		}
		want = append(want, fd)
	}
	got, err := EpollTargets(os.Getpid(), os.Getpid(), ep)
	slices.Sort(got)
	slices.Sort(want)
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("got %v, %v, want %v", got, err, want)
	}
	if got, err := EpollTargets(os.Getpid(), os.Getpid(), 999999); err == nil {
		t.Errorf("a descriptor that is not open: got %v, want an error", got)
	}
}

// TestMainThreadEnded reads a process whose main thread has ended. The table of the main thread is
// empty, and that of the other threads is complete.
func TestMainThreadEnded(t *testing.T) {
	cmd, line := start(t, "main-ended", nil)
	pid := cmd.Process.Pid
	eventually(t, "the main thread ends", func() bool {
		s, err := ReadStat(pid)
		return err == nil && s.Dead()
	})
	if fds, _ := ReadFDs(pid, pid); len(fds) != 0 {
		t.Fatalf("the table of the main thread has %v, want nothing", fds)
	}
	fds, err := ReadProcessFDs(pid)
	if err != nil {
		t.Fatal(err)
	}
	num, _, _ := cutInt(line)
	if f := find(fds, num); f == nil || f.Kind != "socket" {
		t.Errorf("the listener %s is missing in %v", line, fds)
	}
	if fds, err := ReadProcessFDs(1 << 30); err == nil {
		t.Errorf("a process that does not exist has %v", fds)
	}
}

func TestParseFDInfo(t *testing.T) {
	for text, want := range map[string]string{
		"": "0   ",
		"pos:\t0\nflags:\t02000001\nmnt_id:\t27\nino:\t9": "524289 27  ", // cut off
		"mnt_id:\t27\nino:\t9\nPid:\t-1\n":                "0 27 9 -1",
		"lock:\nlock:\t1: X  Y Z 1\nflags:\t9\n":          "0   ",
	} {
		i := parseFDInfo([]byte(text))
		got := fmt.Sprintf("%d %s %s %s", i.flags, i.mount, i.inode, i.pid)
		if got != want || len(i.locks) > 0 {
			t.Errorf("%q: got %q and locks %q, want %q", text, got, i.locks, want)
		}
	}
}

func FuzzParseFDInfo(f *testing.F) {
	f.Add([]byte("pos:\t0\nflags:\t02102001\nmnt_id:\t27\nino:\t9\n" +
		"lock:\t1: FLOCK  ADVISORY  WRITE 8 fe:00:9 0 EOF\n"))
	f.Fuzz(func(t *testing.T, b []byte) { parseFDInfo(b) })
}

// cutInt splits "3 text" into the number and the text.
func cutInt(s string) (int, string, bool) {
	for i, r := range s {
		if r == ' ' {
			n, err := strconv.Atoi(s[:i])
			return n, s[i+1:], err == nil
		}
	}
	return 0, s, false
}
