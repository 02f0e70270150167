package orchestrator

import (
	"testing"

	"tp0/supervisor/event"
)

// A service manager that signals all at once is no failure, whichever signal is
// seen first.
func TestTogether(t *testing.T) {
	never := cfgs(newConfig(kid("a", restart("never")), kid("b", restart("never"))))
	up := []step{{"", "spawn a, spawn b"}, {"up a", "a ready"}, {"up b", "b ready"}}
	with := func(more ...step) []step { return append(up[:len(up):len(up)], more...) }
	const graceful = "graceful 0: spawned 2, reaped 2, orphans 0, killed 0, left 0"
	vital := cfgs(newConfig(kid("a", restart("never"), critical), kid("b", restart("never"))))
	playAll(t, []script{
		{"the ends first", never, with(
			step{"die a SIGTERM", ""},
			step{"exit b 143", ""},
			step{"wait 499ms", ""},
			step{"TERM", "sweep"},
			step{"swept", ""},
			step{"end", graceful})},
		{"the request first", never, with(
			step{"TERM", "SIGTERM a, SIGTERM b"},
			step{"die a SIGTERM", ""},
			step{"exit b 143", "sweep"},
			step{"swept", ""},
			step{"end", graceful})},
		{"another signal", never, with(
			step{"die a SIGTERM", ""},
			step{"INT", "a failed, stop: child failed: a, SIGTERM b"},
			step{"exit b", "sweep"},
			step{"swept", ""},
			step{"end", "graceful 1: spawned 2, reaped 2, orphans 0, killed 0, left 0"})},
		{"nobody asks us", never, with(
			step{"die a SIGTERM", ""},
			step{"wait 499ms", ""},
			step{"wait 1ms", "a failed, stop: child failed: a, SIGTERM b"})},
		{"too late", never, with(
			step{"exit a 143", ""},
			step{"wait 600ms", "a failed, stop: child failed: a, SIGTERM b"},
			step{"TERM", ""},
			step{"exit b", "sweep"},
			step{"swept", ""},
			step{"end", "graceful 1: spawned 2, reaped 2, orphans 0, killed 0, left 0"})},
		{"another code", never, with(
			step{"exit a 1", "a failed, stop: child failed: a, SIGTERM b"})},
		{"a critical child", vital, with(
			step{"die a SIGTERM", ""},
			step{"TERM", "SIGTERM b"},
			step{"exit b", "sweep"},
			step{"swept", ""},
			step{"end", graceful})},
		{"a critical child that ends well first", vital, with(
			step{"die b SIGTERM", ""},
			step{"exit a", "a completed, stop: critical child ended: a"},
			step{"TERM", "sweep"},
			step{"swept", ""},
			step{"end", graceful})},
		{"a critical child ends well, and nobody asks us", vital, with(
			step{"die b SIGTERM", ""},
			step{"exit a", "a completed, stop: critical child ended: a"},
			step{"wait 500ms", "b failed, sweep"},
			step{"swept", ""},
			step{"end", "graceful 1: spawned 2, reaped 2, orphans 0, killed 0, left 0"})},
		{"one that is started again", cfgs(newConfig(kid("a"), kid("b"))), with(
			step{"die a SIGTERM", "a again 1"},
			step{"TERM", "SIGTERM b"},
			step{"die b SIGTERM", "sweep"},
			step{"swept", ""},
			step{"end", graceful})},
	})
}

// Nor is it told as an end that nobody asked for, whichever is seen first.
func TestTogetherIsExpected(t *testing.T) {
	for name, steps := range map[string][]string{
		"the end first":     {"die a SIGTERM", "wait 100ms", "TERM"},
		"the request first": {"TERM", "wait 100ms", "die a SIGTERM"},
		"much later":        {"TERM", "wait 600ms", "die b SIGTERM"}, // which waits for a
	} {
		t.Run(name, func(t *testing.T) {
			both := newConfig(kid("b", restart("never")), kid("a", restart("never"), after("b")))
			bubble(t, cfgs(both), func(w *world) {
				for _, step := range append([]string{"up b", "up a"}, steps...) {
					w.do(step)
					w.took()
				}
				want := 0
				if name == "much later" {
					want = 1
				}
				if got := told[event.UnexpectedEnd](w); len(got) != want {
					t.Errorf("%+v", got)
				}
			})
		})
	}
}
