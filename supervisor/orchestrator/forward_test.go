package orchestrator

import (
	"testing"
	"testing/synctest"

	"golang.org/x/sys/unix"
)

// A forwarded signal reaches the runs that there are, and begins no stop.
func TestForward(t *testing.T) {
	hub := newHub(t)
	synctest.Test(t, func(t *testing.T) {
		w := open(t, hub, newConfig(kid("a", restart("never"), onFailure("ignore")), kid("b", after("a"))))
		w.took()
		w.f.Forward(unix.SIGTERM, unix.SIGQUIT)
		if got := w.took(); got != "forward SIGQUIT a" {
			t.Errorf("it did %q", got)
		}
		w.f.Signal(unix.SIGTERM)
		w.f.Forward(unix.SIGHUP, unix.SIGHUP)
		if got := w.took(); got != "SIGTERM a, forward SIGHUP a" {
			t.Errorf("it did %q", got)
		}
		w.finish()
	})
}
