package sigchld

import (
	"fmt"
	"os/exec"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"tp0/supervisor/sigaction"
)

// TestWatch tests each way to receive SIGCHLD that this architecture has. The handler comes last.
// Package sigchld never removes it, so the test puts back what was there before.
func TestWatch(t *testing.T) {
	old, err := sigaction.Get(unix.SIGCHLD)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := old.Set(unix.SIGCHLD); err != nil {
			t.Error(err)
		}
	}()
	for _, handler := range []bool{false, true} {
		if handler && handlerAddress() == 0 {
			continue
		}
		for name, test := range map[string]func(*testing.T, *Watch){
			"every death is seen":         testEveryDeath,
			"interrupted work goes on":    testInterruptedWork,
			"nothing is seen after Close": testClose,
		} {
			t.Run(fmt.Sprintf("handler %v, %s", handler, name), func(t *testing.T) {
				w, err := open(handler)
				if err != nil {
					t.Fatal(err)
				}
				test(t, w)
			})
		}
	}
}

// start starts Run and returns a function that ends it.
func start(t *testing.T, w *Watch, do func()) (end func()) {
	t.Helper()
	ended := make(chan struct{})
	go func() {
		w.Run(do)
		close(ended)
	}()
	return func() {
		w.Close()
		select {
		case <-ended:
		case <-time.After(20 * time.Second):
			t.Error("Run did not end after Close")
		}
	}
}

// testEveryDeath reaps only what Run reports. Many processes end while others are forked.
func testEveryDeath(t *testing.T, w *Watch) {
	const forkers, each = 4, 50
	var reaped atomic.Int32
	all := make(chan struct{})
	defer start(t, w, func() {
		for {
			var status unix.WaitStatus
			pid, err := unix.Wait4(-1, &status, unix.WNOHANG, nil)
			if err != nil || pid == 0 {
				return
			}
			if status.ExitStatus() != 7 {
				t.Errorf("status %#x, want the exit code 7", status)
			}
			if reaped.Add(1) == forkers*each {
				close(all)
			}
		}
	})()
	sh, err := exec.LookPath("sh")
	if err != nil {
		t.Fatal(err)
	}
	for range forkers {
		go func() {
			for range each {
				_, err := syscall.ForkExec(sh, []string{"sh", "-c", "exit 7"}, &syscall.ProcAttr{})
				if err != nil {
					t.Error(err)
				}
			}
		}()
	}
	select {
	case <-all:
	case <-time.After(time.Minute):
		t.Errorf("%d of %d processes reaped", reaped.Load(), forkers*each)
	}
}

// testInterruptedWork sends SIGCHLD to threads that compute, allocate and make system calls. The
// signal must change nothing in them.
func testInterruptedWork(t *testing.T, w *Watch) {
	seen := make(chan struct{}, 1)
	defer start(t, w, func() {
		select {
		case seen <- struct{}{}:
		default:
		}
	})()
	done := make(chan struct{})
	results := make(chan int)
	const workers = 4
	for range workers {
		go func() { results <- compute(done) }()
	}
	for range 20_000 {
		if err := unix.Kill(unix.Getpid(), unix.SIGCHLD); err != nil {
			t.Fatal(err)
		}
	}
	close(done)
	for range workers {
		if wrong := <-results; wrong != 0 {
			t.Errorf("%d wrong results", wrong)
		}
	}
	select {
	case <-seen:
	case <-time.After(20 * time.Second):
		t.Error("no SIGCHLD was seen")
	}
}

// testClose checks that Close ends Run, also if it comes first.
func testClose(t *testing.T, w *Watch) {
	w.Close()
	ended := make(chan struct{})
	go func() {
		w.Run(func() {})
		close(ended)
	}()
	select {
	case <-ended:
	case <-time.After(20 * time.Second):
		t.Error("Run did not end after Close")
	}
}

// compute compares results that registers and the stack hold, and returns how many are wrong.
func compute(done <-chan struct{}) (wrong int) {
	want := deep(30, 1.5)
	for {
		select {
		case <-done:
			return wrong
		default:
		}
		if deep(30, 1.5) != want || len(make([]byte, 1<<12)) != 1<<12 || unix.Getpid() == 0 {
			wrong++
		}
	}
}

// deep uses the stack and floating-point registers.
func deep(n int, x float64) float64 {
	if n == 0 {
		return x
	}
	return deep(n-1, x*1.0625+float64(n)) - x/3
}
