package spawn

import (
	"errors"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"tp0/supervisor/exitcode"
)

// limit is how long any single wait may take; the test fails then.
const limit = 20 * time.Second

// forked is a process that waits at its barrier.
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

// Release returns when the child dies at the barrier, and says that it did not
// execute its command.
func TestReleaseOfADeadChild(t *testing.T) {
	p, pid := forked(t)
	_ = unix.Kill(pid, unix.SIGKILL)
	if status := reap(t, pid); status.Signal() != unix.SIGKILL {
		t.Errorf("it ended with %v", status)
	}
	if err := p.Barrier.Release(); !errors.Is(err, ErrNotExecuted) {
		t.Error(err)
	}
	p.Barrier.Cancel() // after the end both do nothing
	p.Barrier.Close()
}

// A child whose barrier is closed does not execute its command.
func TestCloseOfABarrier(t *testing.T) {
	p, pid := forked(t)
	p.Barrier.Close()
	if status := reap(t, pid); status.ExitStatus() != exitcode.NotExecutable {
		t.Errorf("it ended with %v", status)
	}
}

// Cancel ends the wait of Release for a child that is stopped.
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
			t.Error(err)
		}
	case <-time.After(limit):
		t.Errorf("Release still waits after %v", limit)
	}
	_ = unix.Kill(pid, unix.SIGKILL)
	reap(t, pid)
}
