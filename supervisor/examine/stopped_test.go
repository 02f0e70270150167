package examine

import (
	"testing"

	"golang.org/x/sys/unix"
)

// TestStopped examines a process before and after a signal stops it.
func TestStopped(t *testing.T) {
	s := run(t, "/bin/cat")
	if p := Process(t.Context(), s); p.Stopped {
		t.Errorf("before the signal: %+v", p)
	}
	if err := unix.Kill(s.Pid, unix.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = unix.Kill(s.Pid, unix.SIGCONT) }() // else run waits for its end for good
	var status unix.WaitStatus                            // of the stop, which WUNTRACED reports
	if _, err := unix.Wait4(s.Pid, &status, unix.WUNTRACED, nil); err != nil || !status.Stopped() {
		t.Fatal(err, status)
	}
	if p := Process(t.Context(), s); !p.Stopped {
		t.Errorf("the process is stopped, and the examination does not say so: %+v", p)
	}
}
