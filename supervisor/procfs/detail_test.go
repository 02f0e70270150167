package procfs

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"testing"

	"golang.org/x/sys/unix"

	"tp0/supervisor/fixture/needs"
)

// shm is a directory on a tmpfs: what is deleted can be told for sure there.
func shm(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "procfs")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

func TestModes(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x")
	for want, flags := range map[string]int{
		"r": unix.O_RDONLY, "w": unix.O_WRONLY, "rw": unix.O_RDWR,
		"ra": unix.O_RDONLY | unix.O_APPEND, "wa": unix.O_WRONLY | unix.O_APPEND, "rwa": unix.O_RDWR | unix.O_APPEND,
		"": unix.O_PATH,
	} {
		_, f := open(t, func() (int, error) {
			if flags == unix.O_PATH {
				return unix.Open(filepath.Dir(path), flags|unix.O_CLOEXEC, 0)
			}
			return unix.Open(path, flags|unix.O_CREAT|unix.O_CLOEXEC, 0o600)
		})
		if f.Detail != (FDDetail{Mode: want}) {
			t.Errorf("mode %q: %+v", want, f.Detail)
		}
	}
}

func TestLocks(t *testing.T) {
	dir := t.TempDir()
	for want, lock := range map[string]func(fd int) error{
		"flock write": func(fd int) error { return unix.Flock(fd, unix.LOCK_EX) },
		"flock read":  func(fd int) error { return unix.Flock(fd, unix.LOCK_SH) },
		"posix read": func(fd int) error {
			return unix.FcntlFlock(uintptr(fd), unix.F_SETLK, &unix.Flock_t{Type: unix.F_RDLCK})
		},
		"ofd write": func(fd int) error {
			return unix.FcntlFlock(uintptr(fd), unix.F_OFD_SETLK, &unix.Flock_t{Type: unix.F_WRLCK})
		},
		"posix write, flock write": func(fd int) error {
			return errFirst(unix.Flock(fd, unix.LOCK_EX),
				unix.FcntlFlock(uintptr(fd), unix.F_SETLK, &unix.Flock_t{Type: unix.F_WRLCK}))
		},
	} {
		_, f := open(t, func() (int, error) {
			fd, err := unix.Open(filepath.Join(dir, want), unix.O_RDWR|unix.O_CREAT|unix.O_CLOEXEC, 0o600)
			return fd, errFirst(err, lock(fd))
		})
		if got := f.Detail.Lock; got != want && got != "flock write, posix write" {
			t.Errorf("lock %q, want %q", got, want)
		}
	}
	if got := lock("1: -> FLOCK  ADVISORY  WRITE 8188 fe:00:9978032 0 EOF"); got != "" {
		t.Errorf("one that waits is taken for held: %q", got)
	}
	if got := lock("1: LEASE  ACTIVE    READ 8188 fe:00:9978034 0 EOF"); got != "lease read" {
		t.Errorf("a lease is %q", got)
	}
}

func errFirst(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

func TestDeleted(t *testing.T) {
	dir := shm(t)
	create := func(name string) (int, FD) {
		return open(t, func() (int, error) {
			return unix.Open(filepath.Join(dir, name), unix.O_CREAT|unix.O_RDWR|unix.O_CLOEXEC, 0o600)
		})
	}
	check := func(what string, fd int, want bool) {
		t.Helper()
		if f := find(own(t), fd); f.Detail.Deleted != want {
			t.Errorf("%s: deleted is %v (%s)", what, !want, f.Target)
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
	check("one that is called so", hostile, false)
	unlink("x")
	check("one that was deleted", plain, true)
	unlink("x (deleted)")
	check("one that is called so and was deleted", hostile, true)
	linked, _ := create("y")
	if err := os.Link(filepath.Join(dir, "y"), filepath.Join(dir, "z")); err != nil {
		t.Fatal(err)
	}
	unlink("y")
	check("one that has another name", linked, false)
	unlink("z")
	check("one that had another name", linked, true)
	gone := filepath.Join(dir, "d")
	d, _ := open(t, func() (int, error) {
		if err := os.Mkdir(gone, 0o700); err != nil {
			return -1, err
		}
		return unix.Open(gone, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	})
	check("a directory", d, false)
	unlink("d")
	check("a directory that was deleted", d, true)
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
		t.Errorf("it is taken for %s (%s)", f.Kind, f.Target)
	}
}

func TestPidfd(t *testing.T) {
	cmd, _ := start(t, "hold", nil)
	fd, f := open(t, func() (int, error) { return unix.PidfdOpen(cmd.Process.Pid, 0) })
	if want := "pid " + strconv.Itoa(cmd.Process.Pid); f.Target != want {
		t.Errorf("got %q, want %q", f.Target, want)
	}
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	if g := find(own(t), fd); g.Target != "pid (reaped)" || !g.Same(f) {
		t.Errorf("got %+v after %+v", g, f)
	}
}

func TestEpollTargets(t *testing.T) {
	ep, _ := open(t, func() (int, error) { return unix.EpollCreate1(unix.EPOLL_CLOEXEC) })
	var want []int
	for range 3 {
		fd, _ := open(t, func() (int, error) { return unix.Eventfd(0, unix.EFD_CLOEXEC) })
		if err := unix.EpollCtl(ep, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(fd)}); err != nil {
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
		t.Errorf("a descriptor that is not open watches %v", got)
	}
}

// A main thread that ended leaves an empty table behind; the others' is whole.
func TestLiveTable(t *testing.T) {
	cmd, said := start(t, "main-ended", nil)
	pid := cmd.Process.Pid
	eventually(t, "the main thread ends", func() bool {
		s, err := ReadStat(pid)
		return err == nil && s.Dead()
	})
	if fds, _ := ReadFDs(pid, pid); len(fds) != 0 {
		t.Fatalf("the table of its main thread is not empty: %v", fds)
	}
	fds, err := ReadProcessFDs(pid)
	if err != nil {
		t.Fatal(err)
	}
	num, _, _ := cutInt(said)
	if f := find(fds, num); f == nil || f.Kind != "socket" {
		t.Errorf("its listener %s is not in %v", said, fds)
	}
	if _, err := ReadProcessFDs(1 << 30); err == nil {
		t.Error("nobody has a table")
	}
}

func TestParseInfo(t *testing.T) {
	for text, want := range map[string]string{
		"": "0   ",
		"pos:\t0\nflags:\t02000001\nmnt_id:\t27\nino:\t9": "524289 27  ", // cut off
		"mnt_id:\t27\nino:\t9\nPid:\t-1\n":                "0 27 9 -1",
		"lock:\nlock:\t1: X  Y Z 1\nflags:\t9\n":          "0   ",
	} {
		i := parseInfo([]byte(text))
		if got := fmt.Sprintf("%d %s %s %s", i.flags, i.mount, i.inode, i.pid); got != want || i.locks != "" {
			t.Errorf("%q: %q, locks %q", text, got, i.locks)
		}
	}
}

func FuzzParseInfo(f *testing.F) {
	f.Add([]byte("pos:\t0\nflags:\t02102001\nmnt_id:\t27\nino:\t9\nlock:\t1: FLOCK  ADVISORY  WRITE 8 fe:00:9 0 EOF\n"))
	f.Fuzz(func(t *testing.T, b []byte) { parseInfo(b) })
}

func cutInt(s string) (int, string, bool) {
	for i, r := range s {
		if r == ' ' {
			n, err := strconv.Atoi(s[:i])
			return n, s[i+1:], err == nil
		}
	}
	return 0, s, false
}

// Who else holds what a process left: a child that inherited it.
func TestHolders(t *testing.T) {
	dir := shm(t)
	file, err := os.Create(filepath.Join(dir, "shared"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	shared, peer := os.NewFile(uintptr(pair[0]), "a"), os.NewFile(uintptr(pair[1]), "b")
	defer shared.Close()
	defer peer.Close()
	alone, _ := open(t, func() (int, error) { return unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0) })
	null, _ := open(t, func() (int, error) { return unix.Open(os.DevNull, unix.O_RDWR|unix.O_CLOEXEC, 0) })
	cmd, _ := start(t, "hold", func(cmd *exec.Cmd) { cmd.ExtraFiles = []*os.File{file, shared} })
	if err := os.Remove(file.Name()); err != nil { // by its file, not by its name
		t.Fatal(err)
	}
	left := []FD{}
	fds := own(t)
	for _, num := range []int{int(file.Fd()), int(shared.Fd()), alone, null, int(peer.Fd())} {
		left = append(left, *find(fds, num))
	}
	var got map[int]Holder
	eventually(t, "two are held", func() bool { // a look is bounded, and the machine may be busy
		got = FindHolders(t.Context(), left, []int{os.Getpid()})
		return len(got) >= 2
	})
	for i, f := range left {
		h, held := got[i]
		if want := i < 2; held != want || held && (h.Pid != cmd.Process.Pid || h.Comm == "") {
			t.Errorf("%s (%s) is held by %+v", f.Kind, f.Target, h)
		}
	}
	// The kernel lists a socket no more: nobody is asked for it.
	gone := left[1]
	gone.link, gone.Target = "socket:[4294967290]", "unix (unnamed)"
	if got := holdable([]FD{gone}); len(got) != 0 {
		t.Errorf("a socket that is no more is looked for: %v", got)
	}
	if got := FindHolders(t.Context(), nil, nil); len(got) != 0 {
		t.Errorf("nothing is held by %v", got)
	}
}
