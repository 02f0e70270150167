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

// TestOneThread checks what the task directory says of its size. Our own
// process has several threads, and the child has one.
func TestOneThread(t *testing.T) {
	pid := startCat(t)
	listed := listNumbers(fmt.Sprintf("/proc/%d/task", pid))
	if got := Threads(pid); !slices.Equal(got, []int{pid}) || !slices.Equal(got, listed) {
		t.Errorf("got threads %v, want %d only; the task directory has %v", got, pid, listed)
	}
	if self := os.Getpid(); len(Threads(self)) < 2 {
		t.Errorf("we have the threads %v", Threads(self))
	}
}
