package sigaction

import (
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestInstall installs the handler of Go's runtime with the restorer of this package. The handler
// must work as before: each signal arrives, and the interrupted code continues.
func TestInstall(t *testing.T) {
	in, goAction := caught(t)
	if err := Install(unix.SIGUSR1, goAction.Handler); err != nil {
		t.Fatal(err)
	}
	got, err := Get(unix.SIGUSR1)
	if err != nil {
		t.Fatal(err)
	}
	if got.Handler != goAction.Handler || got.flags != goAction.flags {
		t.Errorf("got action %+v, want the handler and the flags of %+v", got, goAction)
	}
	if own := restorerAddress(); got.restorer != own || own == goAction.restorer {
		t.Errorf("got restorer %#x, want that of this package, %#x", got.restorer, own)
	}
	const neverBlocked = 1<<(unix.SIGKILL-1) | 1<<(unix.SIGSTOP-1)
	if got.mask|neverBlocked != ^uint64(0) {
		t.Errorf("got mask %#x, want all signals that can be blocked", got.mask)
	}
	for range 100 {
		if err := unix.Kill(unix.Getpid(), unix.SIGUSR1); err != nil {
			t.Fatal(err)
		}
		select {
		case <-in:
		case <-time.After(20 * time.Second):
			t.Fatal("the signal did not arrive within 20 s")
		}
	}
}

// TestNoAllocations checks that neither Install nor Get uses the heap.
func TestNoAllocations(t *testing.T) {
	_, goAction := caught(t)
	if n := testing.AllocsPerRun(100, func() {
		if err := Install(unix.SIGUSR1, goAction.Handler); err != nil {
			t.Error(err)
		}
		if _, err := Get(unix.SIGUSR1); err != nil {
			t.Error(err)
		}
	}); n != 0 {
		t.Errorf("got %v allocations, want none", n)
	}
}
