package orchestrator

import (
	"testing"

	"tp0/supervisor/event"
)

// TestAllReadyIsNotRepeated checks that the processes of a crash loop, each of which is ready as
// soon as it is executed, are not reported as ready for all children. A process that stays is.
func TestAllReadyIsNotRepeated(t *testing.T) {
	withHarness(t, configs(newConfig(child("a", ignored), child("b"))), func(h *harness) {
		reports := func(want int, when string) {
			t.Helper()
			if got := len(eventsOf[event.AllReady](h)); got != want {
				t.Errorf("%s: got %d reports, want %d", when, got, want)
			}
		}
		h.do("spawned a")
		h.do("spawned b")
		reports(1, "the start")
		h.do("exit a 1")
		h.do("wait 1s")
		h.do("spawned a")
		h.do("wait 900ms")
		h.do("exit a 1")
		reports(1, "a crash after 900 ms")
		h.do("wait 1s")
		h.do("spawned a")
		h.do("wait 900ms")
		reports(1, "a process that is ready for 900 ms")
		h.do("wait 100ms")
		reports(2, "a process that stays ready")
		h.do("wait 1h")
		reports(2, "an hour later")
	})
}

// TestAllReadyAtTheStart checks that the first report does not wait: a service manager waits for
// it.
func TestAllReadyAtTheStart(t *testing.T) {
	withHarness(t, configs(newConfig(child("a"), child("b"))), func(h *harness) {
		h.do("spawned a")
		h.do("exit a 1")
		h.do("wait 1s")
		h.do("spawned b")
		h.do("spawned a")
		if got := len(eventsOf[event.AllReady](h)); got != 1 {
			t.Errorf("got %d reports, want 1", got)
		}
	})
}
