package process

import (
	"testing"

	"golang.org/x/sys/unix"

	"tp0/supervisor/event"
)

// TestStopWithoutSignal checks that the signal 0 starts a stop: it is sent after the fd scan and
// ends nothing, and the proof of a process that ends by another means is exact.
func TestStopWithoutSignal(t *testing.T) {
	b := newTestLoop(t)
	id, _ := b.spawn("sleep")
	b.Signal(id, 0, 1, event.ProofExact)
	sent := wait(b, func(s Signalled) bool { return s.Process == id })
	if sent.Signal != 0 || sent.Step != 1 || sent.Err != nil {
		t.Fatalf("got %+v, want the signal 0 as step 1", sent)
	}
	if err := unix.Kill(sent.Pid, unix.SIGTERM); err != nil { // as a stop hook does
		t.Fatal(err)
	}
	if e := b.exited(id); e.FDs.Proof != event.ProofExact || e.Killed {
		t.Errorf("got %+v, want an exact proof", e)
	}
}
