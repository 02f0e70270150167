package process

import (
	"os"
	"runtime"
	"strconv"
	"testing"

	"golang.org/x/sys/unix"
)

// Who looks goes first where we may, and no thread of ours does afterwards.
func TestLookersGoFirst(t *testing.T) {
	nice, err := niceness()
	if err != nil {
		t.Fatal(err)
	}
	may := canGoFirst(nice)
	k := newLookers()
	told := make(chan int, mostLooks)
	for range mostLooks {
		k.do(func() {
			n, _ := niceness()
			told <- n
		})
	}
	k.all.Wait()
	want := nice
	if may {
		want -= ahead
	}
	for range mostLooks {
		if n := <-told; n != want {
			t.Errorf("one looked at %d, want %d", n, want)
		}
	}
	threads, err := os.ReadDir("/proc/self/task")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range threads {
		tid, _ := strconv.Atoi(e.Name())
		if raw, err := unix.Getpriority(unix.PRIO_PROCESS, tid); err == nil && 20-raw != nice {
			t.Errorf("thread %d is at %d, want %d", tid, 20-raw, nice)
		}
	}
}

// canGoFirst tries it.
func canGoFirst(nice int) bool {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if unix.Setpriority(unix.PRIO_PROCESS, 0, nice-ahead) != nil {
		return false
	}
	return unix.Setpriority(unix.PRIO_PROCESS, 0, nice) == nil
}
