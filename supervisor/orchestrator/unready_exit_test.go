package orchestrator

import (
	"testing"

	"tp0/supervisor/config"
	"tp0/supervisor/event"
)

// TestExitBeforeReady checks that a process with a ready block that ends before it is ready has
// failed to start, with every exit code and every restart policy.
func TestExitBeforeReady(t *testing.T) {
	up := []step{{"", "spawn a"}, {"spawned a", ""}}
	stopped := `stop: a failed, and on_failure is "shutdown", cleanup`
	of := func(changes ...change) []*config.Config {
		return configs(newConfig(child("a", changes...), child("b", after("a"))))
	}
	runScripts(t, beginWith(up, []script{
		{"restart never", of(notifying, never), []step{
			{"exit a", "a failed, " + stopped},
			{"cleaned-up", ""},
			{"end", "graceful 1: spawned 1, reaped 1, orphans 0, killed 0, left 0"},
		}},
		{"restart on failure", of(notifying), []step{
			{"exit a", "a restart 1"},
			{"wait 1s", "spawn a"},
			{"spawned a", ""},
			{"exit a", "a restart 2"},
			{"wait 1s", "spawn a"},
			{"spawned a", ""},
			{"exit a", "a failed, " + stopped},
		}},
		{"restart always", of(notifying, restart("always")), []step{
			{"exit a", "a restart 1"},
		}},
		{"a TCP probe", of(neverReady, never), []step{
			{"exit a", "a failed, " + stopped},
		}},
		{"another success code", of(notifying, never, successCodes(0, 3)), []step{
			{"exit a 3", "a failed, " + stopped},
		}},
		{"on_failure is ignore", of(notifying, never, ignored), []step{
			{"exit a", "a failed, b blocked by a, stop: nothing runs and nothing is due, cleanup"},
		}},
		{"critical", of(notifying, never, critical), []step{
			{"exit a", "a failed, stop: a ended, and it is critical, cleanup"},
		}},
		{"a descendant outlives it", of(notifying, never), []step{
			{"main-exit a", "a outlived by [worker (pid 77)], SIGTERM a"},
			{"exit a", "a failed, " + stopped},
		}},
		{"it was ready", of(notifying, never), []step{
			{"notify a READY=1", "a ready, spawn b"},
			{"spawned b", "b ready"},
			{"exit a", "a completed"},
		}},
		{"in a stop", of(notifying, never), []step{
			{"TERM", "SIGTERM a"},
			{"exit a", "cleanup"},
			{"cleaned-up", ""},
			{"end", "graceful 0: spawned 1, reaped 1, orphans 0, killed 0, left 0"},
		}},
	}...))
	runScript(t, configs(newConfig(
		child("a", notifying, oneshot, never), child("b", after("a:completed")),
	)), append(up[:2:2], step{"exit a", "a completed, spawn b"}))
}

// TestReasonOfExitBeforeReady checks the reason and the report of the end.
func TestReasonOfExitBeforeReady(t *testing.T) {
	cfg := newConfig(child("a", neverReady, never))
	withHarness(t, configs(cfg), func(h *harness) {
		h.want("", "spawn a")
		h.want("spawned a", "")
		h.do("exit a")
		for _, e := range eventsOf[event.Failed](h) {
			const want = "exited with code 0 before it was ready; its restart policy is never"
			if e.Reason != want {
				t.Errorf("got the reason %q, want %q", e.Reason, want)
			}
		}
		if n := len(eventsOf[event.UnexpectedEnd](h)); n != 1 {
			t.Errorf("got %d reports of an unexpected end, want 1", n)
		}
	})
}
