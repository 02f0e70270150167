package usage

import (
	"context"
	"os"
	"os/exec"
	"syscall"
	"testing"
)

// TestOf measures this process with a child, a process that has ended, and no process.
func TestOf(t *testing.T) {
	child := exec.Command("cat")
	in, err := child.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	alone := Of(t.Context(), []int{child.Process.Pid})[0]
	// The kernel adds up the pages of a small process late, so its memory can be 0.
	if alone == nil || alone.Processes != 1 || alone.Threads != 1 || alone.FDs < 3 {
		t.Errorf("the child uses %+v", alone)
	}
	if err := child.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	var status syscall.WaitStatus // of the stop, which WUNTRACED reports
	_, err = syscall.Wait4(child.Process.Pid, &status, syscall.WUNTRACED, nil)
	stopped := Of(t.Context(), []int{child.Process.Pid})[0]
	if err != nil || stopped == nil || stopped.Stopped != 1 || alone.Stopped != 0 {
		t.Errorf("%v: the stopped child uses %+v, before %+v", err, stopped, alone)
	}
	if err := child.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	both := Of(t.Context(), []int{0, os.Getpid()})
	if u := both[1]; both[0] != nil || u == nil || u.Processes != 2 || u.Threads < 2 ||
		u.CPUSeconds <= 0 || u.MemoryBytes <= 0 {
		t.Errorf("got %+v, want nothing and two processes", both)
	}
	in.Close()
	if err := child.Wait(); err != nil {
		t.Fatal(err)
	}
	if u := Of(t.Context(), []int{child.Process.Pid})[0]; u != nil {
		t.Errorf("a process that has ended uses %+v", u)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if u := Of(ended, []int{os.Getpid()})[0]; u != nil {
		t.Errorf("after the end of the context: %+v", u)
	}
}
