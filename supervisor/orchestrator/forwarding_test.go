package orchestrator

import (
	"testing"
	"testing/synctest"

	"golang.org/x/sys/unix"
)

// A forwarded signal reaches the runs that there are, and begins no stop.
func TestForward(t *testing.T) {
	relay := newRelay(t)
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t, relay, newConfig(child("a", never, ignored), child("b", after("a"))))
		h.actions()
		h.o.Forward(unix.SIGTERM, unix.SIGQUIT)
		if got := h.actions(); got != "forward SIGQUIT a" {
			t.Errorf("it did %q", got)
		}
		h.o.Signal(unix.SIGTERM)
		h.o.Forward(unix.SIGHUP, unix.SIGHUP)
		if got := h.actions(); got != "SIGTERM a, forward SIGHUP a" {
			t.Errorf("it did %q", got)
		}
		h.finish()
	})
}
