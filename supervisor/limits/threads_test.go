package limits

import (
	"fmt"
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

// TestReserve blocks as many goroutines in system calls as the supervisor can block at a time, and
// collects garbage meanwhile. The runtime may create no more threads than the limit check allows
// for: those that are needed, and spareThreads for each processor.
func TestReserve(t *testing.T) {
	r, err := Reserve(ThreadNeeds{LogFiles: true, Notify: true, Watch: true, Manager: true})
	if err != nil {
		t.Fatal(err)
	}
	r.Spawned()
	r.Spawned() // a second child has no effect
	if r.done != nil {
		<-r.done
	}
	r.Close()
	before := len(procfs.Threads(os.Getpid()))
	need := Threads(r.procs, r.extra)
	if before < need {
		t.Errorf("there are %d threads, want at least %d", before, need)
	}
	var blocked sync.WaitGroup
	var pipes [][2]int
	for range need - runtimeThreads - r.procs {
		var p [2]int
		if err := unix.Pipe2(p[:], unix.O_CLOEXEC); err != nil {
			t.Fatal(err)
		}
		pipes = append(pipes, p)
		blocked.Go(func() { _, _ = unix.Read(p[0], make([]byte, 1)) })
	}
	await(t, "all reads block", func() bool { return readers() >= len(pipes) })
	runtime.GC()
	most := max(before, need+r.procs*spareThreads)
	if after := len(procfs.Threads(os.Getpid())); after > most {
		t.Errorf("there are %d threads with %d blocked, want at most %d", after, len(pipes), most)
	}
	for _, p := range pipes {
		_ = unix.Close(p[1])
	}
	blocked.Wait()
	for _, p := range pipes {
		_ = unix.Close(p[0])
	}
}

// readers returns how many of our threads wait in read(2) of a pipe.
func readers() (n int) {
	for _, tid := range procfs.Threads(os.Getpid()) {
		b, _ := os.ReadFile("/proc/self/task/" + strconv.Itoa(tid) + "/wchan")
		if strings.Contains(string(b), "pipe_read") {
			n++
		}
	}
	return n
}

// await waits until a condition holds, for 10 s at most.
func await(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !holds(); {
		if time.Now().After(end) {
			t.Fatalf("timeout: %s", what)
		}
		runtime.Gosched()
	}
}

// TestSlots runs more calls than there are slots. A call waits for a slot, but only for a limited
// time.
func TestSlots(t *testing.T) {
	s := make(Slots, 2)
	var running, highest atomic.Int32
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			s.Run(func() {
				n := running.Add(1)
				for {
					m := highest.Load()
					if n <= m || highest.CompareAndSwap(m, n) {
						break
					}
				}
				runtime.Gosched()
				running.Add(-1)
			})
		})
	}
	all.Wait()
	if highest.Load() != 2 {
		t.Errorf("%d calls ran at a time, want 2", highest.Load())
	}
	hang := make(chan struct{})
	for range 2 {
		all.Go(func() { s.Run(func() { <-hang }) })
	}
	await(t, "both slots are in use", func() bool { return len(s) == 2 })
	start := time.Now()
	s.Run(func() {})
	if d := time.Since(start); d < slotTimeout {
		t.Errorf("the call waited for %v, want at least %v", d, slotTimeout)
	}
	close(hang)
	all.Wait()
}

// TestDocs compares the numbers in docs/limits.md with the code.
func TestDocs(t *testing.T) {
	page, err := os.ReadFile("../../docs/limits.md")
	if err != nil {
		t.Fatal(err)
	}
	first := Threads(1, 0) + spareThreads
	further := Threads(2, 0) - Threads(1, 0) + spareThreads
	for _, want := range []string{
		fmt.Sprintf("The minimum limit is %d**", first+1),
		fmt.Sprintf("| supervisor with one processor | %d |", first),
		fmt.Sprintf("(the supervisor uses %d at most) | %d |", maxProcs, further),
		fmt.Sprintf("| any child logs to a file | %d |", ThreadNeeds{LogFiles: true}.Threads()),
		"if it is 1,024 or less",
	} {
		if !strings.Contains(string(page), want) {
			t.Errorf("docs/limits.md lacks the text %q", want)
		}
	}
	if maxUserLimit != 1024 {
		t.Errorf("docs/limits.md says 1,024, and maxUserLimit is %d", maxUserLimit)
	}
}
