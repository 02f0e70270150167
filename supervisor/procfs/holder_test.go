package procfs

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// TestFindHolders finds a child that inherited a file and a socket.
func TestFindHolders(t *testing.T) {
	dir := tmpfsDir(t)
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
	unshared, _ := open(t, unixSocket)
	null, _ := open(t, func() (int, error) {
		return unix.Open(os.DevNull, unix.O_RDWR|unix.O_CLOEXEC, 0)
	})
	cmd, _ := start(t, "idle", func(cmd *exec.Cmd) { cmd.ExtraFiles = []*os.File{file, shared} })
	if err := os.Remove(file.Name()); err != nil { // the file counts, not its name
		t.Fatal(err)
	}
	leaked := []FD{}
	fds := own(t)
	for _, num := range []int{int(file.Fd()), int(shared.Fd()), unshared, null, int(peer.Fd())} {
		leaked = append(leaked, *find(fds, num))
	}
	var got map[int]Holder
	// The search ends after 100 ms, which can be too short on a busy machine.
	eventually(t, "two descriptors have a holder", func() bool {
		got = FindHolders(t.Context(), leaked, []int{os.Getpid()})
		return len(got) >= 2
	})
	for i, f := range leaked {
		h, held := got[i]
		if want := i < 2; held != want || held && (h.Pid != cmd.Process.Pid || h.Comm == "") {
			t.Errorf("%s (%s): got holder %+v, %v, want process %d, %v",
				f.Kind, f.Target, h, held, cmd.Process.Pid, want)
		}
	}
	// A socket that the kernel does not list any more has no holder.
	gone := leaked[1]
	gone.link, gone.Target = "socket:[4294967290]", "unix (unnamed)"
	if got := holdable([]FD{gone}); len(got) != 0 {
		t.Errorf("got %v for a socket that does not exist any more, want nothing", got)
	}
	if got := FindHolders(t.Context(), nil, nil); len(got) != 0 {
		t.Errorf("got holders %v of nothing", got)
	}
}
