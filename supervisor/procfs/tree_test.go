package procfs

import (
	"fmt"
	"os"
	"slices"
	"testing"
)

func TestLiveSiblings(t *testing.T) {
	if alive, survivor := LiveSiblings(os.Getpid(), nil); alive == 0 || survivor == 0 {
		t.Errorf("got %d live threads of ours and survivor %d", alive, survivor)
	}
	if IsGone(os.Getpid()) {
		t.Error("we count as gone")
	}
}

// TestOneThread checks what the task directory and the fd directory say of their size. Our own
// process has several threads, and the child has one.
func TestOneThread(t *testing.T) {
	pid := startCat(t)
	listed := listNumbers(fmt.Sprintf("/proc/%d/task", pid))
	if got := Threads(pid); !slices.Equal(got, []int{pid}) || !slices.Equal(got, listed) {
		t.Errorf("got threads %v, want %d only; the task directory has %v", got, pid, listed)
	}
	if info, err := os.Stat("/proc/self/fd"); err != nil || info.Size() == 0 {
		if HasFewFDs(pid, 1<<20) {
			t.Error("the child counts as small although the kernel does not report its size")
		}
		return
	}
	fds, err := ReadFDs(pid, pid)
	if n := len(fds); err != nil || !HasFewFDs(pid, n) || HasFewFDs(pid, n-1) {
		t.Errorf("with %d descriptors (%v): HasFewFDs(%d) is %t, HasFewFDs(%d) is %t",
			n, err, n, HasFewFDs(pid, n), n-1, HasFewFDs(pid, n-1))
	}
	if self := os.Getpid(); len(Threads(self)) < 2 || HasFewFDs(self, 1<<20) {
		t.Errorf("we have the threads %v, and HasFewFDs is %t",
			Threads(self), HasFewFDs(self, 1<<20))
	}
}
