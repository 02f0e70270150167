package spawn

import (
	"errors"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"tp0/supervisor/exitcode"
)

// timeout bounds each wait of a test.
const timeout = 20 * time.Second

// forked returns a process that waits at its barrier.
func forked(t *testing.T) (p *Prepared, pid int) {
	t.Helper()
	s := sleep(t, Attributes{})
	s.Barrier = true
	p, err := Prepare(s, newLedger(t))
	if err != nil {
		t.Fatal(err)
	}
	defer p.CloseChildEnd()
	pid, err = p.Fork(p.Files(), false)
	if err != nil {
		p.Barrier.Close()
		t.Fatal(err)
	}
	return p, pid
}

func reap(t *testing.T, pid int) (status unix.WaitStatus) {
	t.Helper()
	if _, err := unix.Wait4(pid, &status, 0, nil); err != nil {
		t.Fatal(err)
	}
	return status
}

// TestReleaseOfDeadChild kills the child at the barrier.
func TestReleaseOfDeadChild(t *testing.T) {
	p, pid := forked(t)
	_ = unix.Kill(pid, unix.SIGKILL)
	if status := reap(t, pid); status.Signal() != unix.SIGKILL {
		t.Errorf("the child ended with status %v, want SIGKILL", status)
	}
	if err := p.Barrier.Release(); !errors.Is(err, ErrNotExecuted) {
		t.Errorf("got error %v, want %v", err, ErrNotExecuted)
	}
	p.Barrier.Cancel() // after Release both do nothing
	p.Barrier.Close()
}

// TestCloseBarrier checks that a child does not execute its command when the barrier is closed.
func TestCloseBarrier(t *testing.T) {
	p, pid := forked(t)
	p.Barrier.Close()
	if status := reap(t, pid); status.ExitStatus() != exitcode.NotExecutable {
		t.Errorf("the child ended with status %v, want exit code %d",
			status, exitcode.NotExecutable)
	}
}

// TestCancel cancels Release while the child is stopped.
func TestCancel(t *testing.T) {
	p, pid := forked(t)
	_ = unix.Kill(pid, unix.SIGSTOP)
	if _, err := unix.Wait4(pid, nil, unix.WUNTRACED, nil); err != nil {
		t.Fatal(err)
	}
	released := make(chan error, 1)
	go func() { released <- p.Barrier.Release() }()
	p.Barrier.Cancel()
	select {
	case err := <-released:
		if !errors.Is(err, ErrNotExecuted) {
			t.Errorf("got error %v, want %v", err, ErrNotExecuted)
		}
	case <-time.After(timeout):
		t.Errorf("Release still waits after %v", timeout)
	}
	_ = unix.Kill(pid, unix.SIGKILL)
	reap(t, pid)
}
