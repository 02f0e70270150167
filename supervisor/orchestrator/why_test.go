package orchestrator

import (
	"context"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"tp0/supervisor/config"
	"tp0/supervisor/explain"
)

// why returns the answer about an instance, and its facts.
func (h *harness) why(name string) (answer, facts string) {
	h.t.Helper()
	h.actions() // waits until all goroutines are blocked
	all, err := h.o.Explain(context.Background(), []string{name})
	if err != nil || len(all) != 1 {
		h.t.Fatalf("%s: %d answers, %v, want one", name, len(all), err)
	}
	w := explain.Explain(&all[0])
	return w.Answer, strings.Join(w.Evidence, " ")
}

// whySteps are steps, each with the instance that is explained after it, the answer, and a fact.
type whySteps []struct{ do, name, answer, fact string }

// whyTest is a test with its configurations.
type whyTest struct {
	configs []*config.Config
	steps   whySteps
}

// whyTests are the steps of TestWhy, with their configurations.
func whyTests() map[string]whyTest {
	old := newConfig(child("a*2", maxParallel(1)))
	next := newConfig(child("a*2", maxParallel(1), args("+"), restart("never"),
		onFailure(config.Ignore)))
	app := []*config.Config{newConfig(child("db", readyBy(config.Ready{
		Notify: true, Timeout: time.Minute,
	})), child("web", after("db"), killSignal(unix.SIGTERM, 5*time.Second)))}
	return map[string]whyTest{
		"start and stop": {app, whySteps{
			{"", "web", "web waits for db to be ready: db is starting.",
				"db is starting: its ready block waits for READY=1 (sd_notify)."},
			{"spawned db", "db",
				"db is not ready yet: its ready block waits for READY=1 (sd_notify).",
				"It fails if it is not ready within 1s."},
			{"notify db READY=1", "web", "web is being started.", ""},
			{"spawned web", "web", "web is ready, and nothing is known to be wrong.", ""},
			{"op stop web", "web",
				"web has been stopping for 0s: it has not ended after SIGTERM.",
				"Step 1 of 2: SIGTERM. SIGKILL follows in 5s."},
			{"exit web", "web", "web is stopped: uid 7 stopped it ", ""},
			{"op start web", "web", "web is being started.", ""},
			{"spawned web", "web", "web is ready, and nothing is known to be wrong.", ""},
			{"TERM", "db", "db is stopped once web has ended.",
				"The supervisor stops all children"},
		}},
		"update": {configs(old, next), whySteps{
			{"spawned a1", "a1", "a1 is ready, and nothing is known to be wrong.", ""},
			{"spawned a2", "a2", "a2 is ready, and nothing is known to be wrong.", ""},
			{"reload 1", "a2", "a2 waits for an update slot, which is used by a1.",
				"At most 1 of its instances are replaced"},
			{"exit a1", "a1", "a1 is being started.", "Its last process"},
			{"spawn-failed a1", "a2", "a2 keeps its process, because its update is halted: the " +
				"new a1 has failed: " + notSpawned + ".", ""},
			{"", "a1", "a1 has failed, and is not restarted: " + notSpawned +
				"; its restart policy is never.", ""},
		}},
		"stop hook": {configs(newConfig(child("a", withHooks(config.StopHook)))), whySteps{
			{"spawned a", "a", "a is ready, and nothing is known to be wrong.", ""},
			{"op stop a", "a", "a is stopping: ", ""},
			{"spawned a.stop", "a", "a is stopping: ",
				" the hook gets SIGKILL, and the process gets SIGTERM."},
			{"exit a.stop", "a",
				"a has been stopping for 0s: it has not ended after its stop hook, which has " +
					"succeeded.",
				": its stop hook, which has succeeded. SIGKILL follows in "},
		}},
		"pre_start": {configs(newConfig(child("a", withHooks(config.PreStartHook)))), whySteps{
			{"spawned a.pre_start", "a", "a is preparing: ",
				"In 3s the hook gets SIGTERM."},
			{"wait 3s", "a", "a is unready: ", "In 1s the hook gets SIGKILL."},
		}},
		"delay": {configs(newConfig(child("a"))), whySteps{
			{"spawned a", "a", "a is ready, and nothing is known to be wrong.", ""},
			{"exit a 1", "a", "a is restarted in", "This is restart 1 of"},
		}},
	}
}

// TestWhy explains instances in a start, an update, a restart delay, and a stop.
func TestWhy(t *testing.T) {
	for name, tt := range whyTests() {
		t.Run(name, func(t *testing.T) {
			withHarness(t, tt.configs, func(h *harness) {
				for _, s := range tt.steps {
					h.do(s.do)
					answer, facts := h.why(s.name)
					if !strings.HasPrefix(answer, s.answer) || !strings.Contains(facts, s.fact) {
						t.Errorf("%q: got %s %s\nwant %s %s", s.do, answer, facts, s.answer, s.fact)
					}
				}
			})
		})
	}
}

// TestWhyNobody asks for a name that is not known.
func TestWhyNobody(t *testing.T) {
	withHarness(t, configs(newConfig(child("a"))), func(h *harness) {
		if _, err := h.o.Explain(context.Background(), []string{"b"}); err == nil ||
			err.Error() != `no child or instance is named "b"` {
			t.Errorf("got %v", err)
		}
	})
}
