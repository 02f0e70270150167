package spawn

import (
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"tp0/supervisor/procfs"
)

func newHandover(t *testing.T) *Handover {
	t.Helper()
	h, err := NewHandover(newLedger(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.Close)
	return h
}

func closeAll(fds []int) {
	for _, fd := range fds {
		_ = unix.Close(fd)
	}
}

// memfds returns n files with the names "file 0" and so on.
func memfds(t *testing.T, n int) (fds []int) {
	t.Helper()
	t.Cleanup(func() { closeAll(fds) })
	for i := range n {
		fd, err := unix.MemfdCreate(fmt.Sprint("file ", i), unix.MFD_CLOEXEC)
		if err != nil {
			t.Fatal(err)
		}
		fds = append(fds, fd)
	}
	return fds
}

// TestHandoverIntoOwnTable hands over more descriptors than fit into one message. They arrive in
// order, in a table that does not have the descriptors of the other threads.
func TestHandoverIntoOwnTable(t *testing.T) {
	if err := OpenPoller(); err != nil {
		t.Fatal(err)
	}
	h := newHandover(t)
	files := memfds(t, 3*maxRights+1)
	var transfers []Transfer
	h.Give(files, func(x Transfer) { transfers = append(transfers, x) })
	h.Give(files[:1], func(x Transfer) { transfers = append(transfers, x) })
	taken := make(chan error)
	go func() {
		runtime.LockOSThread() // the thread ends with the goroutine
		if unix.Gettid() == os.Getpid() {
			// The main thread must keep the shared table, so another thread takes the files.
			inner := make(chan error)
			go func() {
				runtime.LockOSThread()
				inner <- takeIntoOwnTable(h, transfers, len(files))
			}()
			err := <-inner
			runtime.UnlockOSThread()
			taken <- err
			return
		}
		taken <- takeIntoOwnTable(h, transfers, len(files))
	}()
	if err := <-taken; err != nil {
		t.Error(err)
	}
	for _, fd := range files {
		if _, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err != nil {
			t.Fatalf("the shared table has lost descriptor %d: %v", fd, err)
		}
	}
}

// takeIntoOwnTable takes n files and then one file, on a thread with an fd table of its own.
func takeIntoOwnTable(h *Handover, transfers []Transfer, n int) error {
	if err := h.UnshareTable(); err != nil {
		return err
	}
	table, err := procfs.ReadFDs(os.Getpid(), unix.Gettid())
	if err != nil {
		return err
	}
	for _, f := range table {
		if strings.Contains(f.Target, "memfd:") {
			return fmt.Errorf("the table of the thread has %s after UnshareTable", f.Target)
		}
	}
	own, err := h.Take(transfers[0])
	defer closeAll(own)
	if err != nil || len(own) != n {
		return fmt.Errorf("took %d of %d descriptors: %w", len(own), n, err)
	}
	for i, fd := range own {
		link, err := os.Readlink(fmt.Sprintf("/proc/thread-self/fd/%d", fd))
		if want := fmt.Sprintf("/memfd:file %d (deleted)", i); err != nil || link != want {
			return fmt.Errorf("descriptor %d is %q (%v), want %q", i, link, err, want)
		}
	}
	one, err := h.Take(transfers[1])
	defer closeAll(one)
	if err != nil || len(one) != 1 {
		return fmt.Errorf("took %d of 1 descriptors: %w", len(one), err)
	}
	return nil
}

// TestGiveDoesNotBlock fills the socket. The next Give fails, and the earlier transfers can be
// taken.
func TestGiveDoesNotBlock(t *testing.T) {
	h := newHandover(t)
	var transfers []Transfer
	for range 100_000 { // far more messages than fit into the socket
		h.Give([]int{0}, func(t Transfer) { transfers = append(transfers, t) })
		if transfers[len(transfers)-1].err != nil {
			break
		}
	}
	last := len(transfers) - 1
	for i, transfer := range transfers {
		own, err := h.Take(transfer)
		closeAll(own)
		if (err != nil) != (i == last) || len(own) != 1 && i < last {
			t.Fatalf("transfer %d of %d has %d descriptors, error %v",
				i, len(transfers), len(own), err)
		}
	}
}

// TestGiveAfterClose checks that a closed handover does not use descriptors that got its old
// numbers.
func TestGiveAfterClose(t *testing.T) {
	h := newHandover(t)
	h.Close()
	others, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer closeAll(others[:])
	h.Give([]int{0}, func(x Transfer) {
		if own, err := h.Take(x); err == nil || len(own) > 0 {
			t.Errorf("took %d descriptors, %v, want an error", len(own), err)
		}
	})
}

func TestGaps(t *testing.T) {
	const end = ^uint(0)
	for name, tt := range map[string]struct {
		keep []uint
		want []fdRange
	}{
		"nothing else":   {[]uint{0, 1, 2}, []fdRange{{3, end}}},
		"one":            {[]uint{0, 1, 2, 7}, []fdRange{{3, 6}, {8, end}}},
		"adjacent":       {[]uint{0, 1, 2, 3, 5}, []fdRange{{4, 4}, {6, end}}},
		"not in order":   {[]uint{9, 0, 2, 1, 4}, []fdRange{{3, 3}, {5, 8}, {10, end}}},
		"no stream":      {[]uint{0, 2}, []fdRange{{1, 1}, {3, end}}},
		"none":           {nil, nil},
		"highest fd":     {[]uint{0, end}, []fdRange{{1, end - 1}}},
		"kept two times": {[]uint{0, 1, 1}, []fdRange{{2, end}}},
	} {
		if got := gaps(tt.keep); !slices.Equal(got, tt.want) {
			t.Errorf("%s: got %v, want %v", name, got, tt.want)
		}
	}
}

// TestNotCloseOnExec checks that only descriptors without close-on-exec are returned, and no
// standard stream.
func TestNotCloseOnExec(t *testing.T) {
	fds := memfds(t, 2)
	if _, err := unix.FcntlInt(uintptr(fds[1]), unix.F_SETFD, 0); err != nil {
		t.Fatal(err)
	}
	all, err := NotCloseOnExec()
	if err != nil {
		t.Fatal(err)
	}
	has := func(fd int) bool {
		return slices.ContainsFunc(all, func(f procfs.FD) bool { return f.Num == fd })
	}
	if has(fds[0]) || !has(fds[1]) || has(0) || has(1) || has(2) {
		t.Errorf("got %v, want %d and neither %d nor a standard stream", all, fds[1], fds[0])
	}
}
