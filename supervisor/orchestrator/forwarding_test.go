package orchestrator

import (
	"testing"
	"testing/synctest"

	"golang.org/x/sys/unix"
)

// TestForward checks that a forwarded signal reaches the present processes and begins no stop.
func TestForward(t *testing.T) {
	relay := newRelay(t)
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t, relay, newConfig(child("a", never, ignored), child("b", after("a"))))
		h.actions()
		h.o.Forward(unix.SIGTERM, unix.SIGQUIT)
		if got, want := h.actions(), "forward SIGQUIT a"; got != want {
			t.Errorf("got %q, want %q", got, want)
		}
		h.o.Signal(unix.SIGTERM)
		h.o.Forward(unix.SIGHUP, unix.SIGHUP)
		if got, want := h.actions(), "SIGTERM a, forward SIGHUP a"; got != want {
			t.Errorf("got %q, want %q", got, want)
		}
		h.finish()
	})
}
