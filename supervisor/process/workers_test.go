package process

import (
	"os"
	"runtime"
	"strconv"
	"testing"

	"golang.org/x/sys/unix"
)

// TestWorkerPriority: workers run with raised priority if permitted, and no thread keeps it
// afterwards.
func TestWorkerPriority(t *testing.T) {
	nice, err := niceness()
	if err != nil {
		t.Fatal(err)
	}
	may := canRaisePriority(nice)
	p := newWorkerPool()
	values := make(chan int, maxWorkers)
	for range maxWorkers {
		p.submit(func() {
			n, _ := niceness()
			values <- n
		})
	}
	p.goroutines.Wait()
	want := nice
	if may {
		want -= priorityBoost
	}
	for range maxWorkers {
		if n := <-values; n != want {
			t.Errorf("a worker has nice value %d, want %d", n, want)
		}
	}
	threads, err := os.ReadDir("/proc/self/task")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range threads {
		tid, _ := strconv.Atoi(e.Name())
		if raw, err := unix.Getpriority(unix.PRIO_PROCESS, tid); err == nil && 20-raw != nice {
			t.Errorf("thread %d has nice value %d, want %d", tid, 20-raw, nice)
		}
	}
}

// canRaisePriority reports whether the supervisor may raise a priority.
func canRaisePriority(nice int) bool {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if unix.Setpriority(unix.PRIO_PROCESS, 0, nice-priorityBoost) != nil {
		return false
	}
	return unix.Setpriority(unix.PRIO_PROCESS, 0, nice) == nil
}
