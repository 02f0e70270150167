package eventlog

import (
	"io"
	"testing"

	"tp0/supervisor/event"
)

// TestFilter compares what the queue takes with what the log shows, at each level. Ends of
// processes are taken too, because the log counts them.
func TestFilter(t *testing.T) {
	for _, level := range []string{"trace", "debug", "info", "warn", "error"} {
		for _, fds := range []event.LogFDs{event.LogFindings, event.LogChildren, event.LogAll} {
			s := Settings{Level: level, FDs: fds}
			out := newLogger(io.Discard, s)
			for _, c := range []struct {
				e      event.Event
				always bool
			}{
				{event.FDOpened{}, false}, {event.FDOpened{Internal: true}, false},
				{event.FDClosed{By: event.BySupervisor}, false},
				{event.FDClosed{By: event.ByChild, Pid: 1}, false},
				{event.FDClosed{By: event.ByKernel, Pid: 1, Finding: "open"}, false},
				{event.SignalSent{}, false}, {event.OrphanReaped{}, false},
				{event.Warning{}, false}, {event.Fault{}, false},
				{event.Reaped{}, true}, {event.DescendantEnded{}, true},
				{event.ShutdownComplete{}, true},
			} {
				want := c.always || out.shows(c.e)
				if got := newFilter(s).passes(c.e); got != want {
					t.Errorf("%s, %s: %+v passes: %v, want %v", level, fds, c.e, got, want)
				}
			}
		}
	}
}

// TestHiddenEventsWakeNobody: an event that the log does not show is not queued, and a change of
// the level counts for the events after it.
func TestHiddenEventsWakeNobody(t *testing.T) {
	l := New()
	l.Set(Settings{Level: "error"})
	l.queue.Take()
	l.Emit(event.SignalSent{})
	if got := l.queue.Take(); len(got) != 0 {
		t.Errorf("the queue has %v, want nothing", got)
	}
	l.Set(Settings{Level: "info"})
	l.Emit(event.SignalSent{})
	if got := l.queue.Take(); len(got) != 2 {
		t.Errorf("the queue has %v, want the settings and an event", got)
	}
}
