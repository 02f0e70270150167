package limits

import (
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"tp0/supervisor/procfs"
)

// So many goroutines can block in system calls as the pools and the parts of
// the supervisor can at once, and garbage is collected meanwhile, and the
// runtime makes no thread for it.
func TestThreadsAreThere(t *testing.T) {
	r, err := Reserve(ThreadNeeds{LogFiles: true, Notify: true, Watch: true, Manager: true})
	if err != nil {
		t.Fatal(err)
	}
	r.Spawned()
	r.Spawned() // a second child changes nothing
	if r.over != nil {
		<-r.over
	}
	r.Close()
	before := len(procfs.Threads(os.Getpid()))
	if least := Threads(r.procs, r.extra); before < least {
		t.Errorf("%d threads, want %d", before, least)
	}
	var blocked sync.WaitGroup
	var pipes [][2]int
	for range Threads(r.procs, r.extra) - runtimeThreads - r.procs {
		var p [2]int
		if err := unix.Pipe2(p[:], unix.O_CLOEXEC); err != nil {
			t.Fatal(err)
		}
		pipes = append(pipes, p)
		blocked.Go(func() { _, _ = unix.Read(p[0], make([]byte, 1)) })
	}
	await(t, func() bool { return reading() >= len(pipes) })
	runtime.GC()
	if after := len(procfs.Threads(os.Getpid())); after > before {
		t.Errorf("%d threads with %d blocked, %d before", after, len(pipes), before)
	}
	for _, p := range pipes {
		_ = unix.Close(p[1])
	}
	blocked.Wait()
	for _, p := range pipes {
		_ = unix.Close(p[0])
	}
}

// reading is how many of our threads wait in read(2).
func reading() (n int) {
	for _, tid := range procfs.Threads(os.Getpid()) {
		b, _ := os.ReadFile("/proc/self/task/" + strconv.Itoa(tid) + "/wchan")
		if strings.Contains(string(b), "pipe_read") {
			n++
		}
	}
	return n
}

func await(t *testing.T, what func() bool) {
	t.Helper()
	for late := time.Now().Add(10 * time.Second); !what(); {
		if time.Now().After(late) {
			t.Fatal("it does not happen")
		}
		runtime.Gosched()
	}
}

// No more calls are made at once than there are slots, unless they hang.
func TestSlots(t *testing.T) {
	s := make(Slots, 2)
	var now, most atomic.Int32
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			s.Run(func() {
				n := now.Add(1)
				for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
				}
				runtime.Gosched()
				now.Add(-1)
			})
		})
	}
	all.Wait()
	if most.Load() != 2 {
		t.Errorf("%d at once", most.Load())
	}
	hang := make(chan struct{})
	for range 2 {
		all.Go(func() { s.Run(func() { <-hang }) })
	}
	await(t, func() bool { return len(s) == 2 })
	began := time.Now()
	s.Run(func() {})
	if d := time.Since(began); d < slotWait {
		t.Errorf("it waited for %v", d)
	}
	close(hang)
	all.Wait()
}

// The page for users has the numbers of the code.
func TestDocs(t *testing.T) {
	page, err := os.ReadFile("../../docs/limits.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"The least limit is " + strconv.Itoa(Threads(1, 0)+spare+1) + "**",
		"| supervisor, one processor | " + strconv.Itoa(Threads(1, 0)) + " |",
		"up to " + strconv.Itoa(mostProcs) + " | " + strconv.Itoa(Threads(2, 0)-Threads(1, 0)) + " |",
		"| a child logs to a file | " + strconv.Itoa(ThreadNeeds{LogFiles: true}.Threads()) + " |",
		"below 1,024, unless",
	} {
		if !strings.Contains(string(page), want) {
			t.Errorf("docs/limits.md does not say %q", want)
		}
	}
	if countBelow != 1024 {
		t.Error("docs/limits.md says 1,024")
	}
}
