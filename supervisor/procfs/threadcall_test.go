package procfs

import (
	"bufio"
	"os/exec"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"

	"tp0/supervisor/fixture/needs"
)

// TestBlockedInExecve lets a thread execute a program while the main thread is held in its exit
// stop. execve waits for the main thread.
func TestBlockedInExecve(t *testing.T) {
	needs.Check(t, "python")
	runtime.LockOSThread() // ptrace accepts requests from the tracing thread only
	defer runtime.UnlockOSThread()
	const script = `
import os, signal, threading
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
def execute():
    print("waits", flush=True)
    signal.sigwait([signal.SIGUSR1])
    os.execv("/bin/true", ["true"])
threading.Thread(target=execute).start()
signal.pause()`
	cmd := exec.Command("/usr/bin/python3", "-ISEc", script)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cmd.Wait() }()
	defer func() { _ = cmd.Process.Kill() }()
	if _, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	pid := cmd.Process.Pid
	_, tid := LiveSiblings(pid, []int{pid})
	if tid == 0 || BlockedInExecve(pid, tid) || BlockedInExecve(pid, pid) {
		t.Fatalf("thread %d waits for a signal, and counts as blocked in execve", tid)
	}
	_, _, e := unix.Syscall6(unix.SYS_PTRACE, unix.PTRACE_SEIZE, uintptr(pid), 0,
		unix.PTRACE_O_TRACEEXIT, 0, 0)
	if e != 0 {
		t.Fatal(e)
	}
	if err := cmd.Process.Signal(unix.SIGUSR1); err != nil {
		t.Fatal(err)
	}
	var status unix.WaitStatus
	_, err = unix.Wait4(pid, &status, unix.WALL, nil)
	if err != nil || status.TrapCause() != unix.PTRACE_EVENT_EXIT {
		t.Fatalf("the main thread has status %x, %v, want an exit stop", status, err)
	}
	eventually(t, "the other thread is blocked in execve", func() bool {
		return BlockedInExecve(pid, tid)
	})
	if err := unix.PtraceDetach(pid); err != nil {
		t.Fatal(err)
	}
}
