package orchestrator

import (
	"testing"

	"tp0/supervisor/event"
)

// TestDeferredEnd checks that a service manager may signal all processes at once: no child fails,
// whichever signal is seen first.
func TestDeferredEnd(t *testing.T) {
	both := configs(newConfig(child("a", never), child("b", never)))
	up := []step{{"", "spawn a, spawn b"}, {"spawned a", "a ready"}, {"spawned b", "b ready"}}
	with := func(more ...step) []step { return append(up[:len(up):len(up)], more...) }
	const graceful = "graceful 0: spawned 2, reaped 2, orphans 0, killed 0, left 0"
	runScripts(t, []script{
		{"the processes end before the supervisor gets the signal", both, with(
			step{"exit-by a SIGTERM", ""},
			step{"exit b 143", ""},
			step{"wait 499ms", ""},
			step{"TERM", "cleanup"},
			step{"cleaned-up", ""},
			step{"end", graceful})},
		{"the supervisor gets the signal before the processes end", both, with(
			step{"TERM", "SIGTERM a, SIGTERM b"},
			step{"exit-by a SIGTERM", ""},
			step{"exit b 143", "cleanup"},
			step{"cleaned-up", ""},
			step{"end", graceful})},
		{"the supervisor gets another signal", both, with(
			step{"exit-by a SIGTERM", ""},
			step{"INT", "a failed, stop: a failed, and on_failure is \"shutdown\", SIGTERM b"},
			step{"exit b", "cleanup"},
			step{"cleaned-up", ""},
			step{"end", "graceful 1: spawned 2, reaped 2, orphans 0, killed 0, left 0"})},
		{"the supervisor gets no signal", both, with(
			step{"exit-by a SIGTERM", ""},
			step{"wait 499ms", ""},
			step{"wait 1ms", "a failed, " +
				"stop: a failed, and on_failure is \"shutdown\", SIGTERM b"})},
		{"the supervisor gets the signal too late", both, with(
			step{"exit a 143", ""},
			step{"wait 600ms", "a failed, " +
				"stop: a failed, and on_failure is \"shutdown\", SIGTERM b"},
			step{"TERM", ""},
			step{"exit b", "cleanup"},
			step{"cleaned-up", ""},
			step{"end", "graceful 1: spawned 2, reaped 2, orphans 0, killed 0, left 0"})},
		{"exit code 1 is judged at once", both, with(
			step{"exit a 1", "a failed, " +
				"stop: a failed, and on_failure is \"shutdown\", SIGTERM b"})},
		{"an instance that is restarted is judged at once", configs(
			newConfig(child("a"), child("b")),
		), with(
			step{"exit-by a SIGTERM", "a restart 1"},
			step{"TERM", "SIGTERM b"},
			step{"exit-by b SIGTERM", "cleanup"},
			step{"cleaned-up", ""},
			step{"end", graceful})},
	})
}

func TestDeferredEndOfCritical(t *testing.T) {
	up := []step{{"", "spawn a, spawn b"}, {"spawned a", "a ready"}, {"spawned b", "b ready"}}
	with := func(more ...step) []step { return append(up[:len(up):len(up)], more...) }
	const graceful = "graceful 0: spawned 2, reaped 2, orphans 0, killed 0, left 0"
	vital := configs(newConfig(child("a", never, critical), child("b", never)))
	runScripts(t, []script{
		{"a critical child ends before the signal", vital, with(
			step{"exit-by a SIGTERM", ""},
			step{"TERM", "SIGTERM b"},
			step{"exit b", "cleanup"},
			step{"cleaned-up", ""},
			step{"end", graceful})},
		{"a critical child completes, then the signal", vital, with(
			step{"exit-by b SIGTERM", ""},
			step{"exit a", "a completed, stop: a ended, and it is critical"},
			step{"TERM", "cleanup"},
			step{"cleaned-up", ""},
			step{"end", graceful})},
		{"a critical child completes, without a signal", vital, with(
			step{"exit-by b SIGTERM", ""},
			step{"exit a", "a completed, stop: a ended, and it is critical"},
			step{"wait 500ms", "b failed, cleanup"},
			step{"cleaned-up", ""},
			step{"end", "graceful 1: spawned 2, reaped 2, orphans 0, killed 0, left 0"})},
	})
}

// TestDeferredEndIsNotUnexpected checks that an end by the signal of a stop is not reported as
// unexpected, whether the end or the signal comes first.
func TestDeferredEndIsNotUnexpected(t *testing.T) {
	for name, steps := range map[string][]string{
		"the process ends first":                 {"exit-by a SIGTERM", "wait 100ms", "TERM"},
		"the supervisor gets the signal first":   {"TERM", "wait 100ms", "exit-by a SIGTERM"},
		"a process that waits for its dependent": {"TERM", "wait 600ms", "exit-by b SIGTERM"},
	} {
		t.Run(name, func(t *testing.T) {
			pair := newConfig(child("b", never), child("a", never, after("b")))
			withHarness(t, configs(pair), func(h *harness) {
				for _, step := range append([]string{"spawned b", "spawned a"}, steps...) {
					h.do(step)
					h.actions()
				}
				want := 0
				if name == "a process that waits for its dependent" {
					want = 1
				}
				if got := eventsOf[event.UnexpectedEnd](h); len(got) != want {
					t.Errorf("got %+v, want %d unexpected ends", got, want)
				}
			})
		})
	}
}
