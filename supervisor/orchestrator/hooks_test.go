package orchestrator

import (
	"slices"
	"testing"
	"time"

	"tp0/supervisor/config"
	"tp0/supervisor/event"
)

// withHooks gives a child the hooks with these names, and 4 s for each of them.
func withHooks(names ...string) change {
	return policy(func(p *config.Policy) {
		p.Hooks.Timeout, p.Hooks.StopTimeout = 4*time.Second, 2*time.Second
		for _, name := range names {
			*p.Hooks.Named(name) = config.Hook{Exec: []string{name}, Path: "/bin/hook"}
		}
	})
}

// stopHookRuns are the steps after which the stop hook of a runs in the final stop.
func stopHookRuns() []step {
	return slices.Concat(start("a"), []step{
		{"TERM", "signal 0 a, spawn a.stop"},
		{"spawned a.stop", ""},
	})
}

// TestStopHook checks which signals follow a stop hook, and when. The kill_timeout is 2 s.
func TestStopHook(t *testing.T) {
	of := configs(newConfig(child("a", withHooks(config.StopHook))))
	runScripts(t, beginWith(stopHookRuns(), []script{
		{"it succeeds, and the process ends", of, []step{
			{"exit a.stop", ""},
			{"exit a", "cleanup"},
		}},
		{"it succeeds, and the process stays", of, []step{
			{"exit a.stop", ""},
			{"wait 1999ms", ""},
			{"wait 1ms", "SIGKILL a"},
			{"exit a", "cleanup"},
		}},
		{"it fails", of, []step{
			{"wait 100ms", ""},
			{"exit a.stop 1", "SIGTERM a"},
			{"wait 1899ms", ""},
			{"wait 1ms", "SIGKILL a"},
			{"exit a", "cleanup"},
		}},
		{"it takes too long", of, []step{
			{"wait 1499ms", ""},
			{"wait 1ms", "SIGKILL a.stop, SIGTERM a"},
			{"exit a.stop", ""},
			{"wait 499ms", ""},
			{"wait 1ms", "SIGKILL a"},
			{"exit a", "cleanup"},
		}},
		{"the process ends before it", of, []step{
			{"exit a", ""},
			{"wait 1s", ""},
			{"exit a.stop", "cleanup"},
		}},
		{"the process ends before it, and it takes too long", of, []step{
			{"exit a", ""},
			{"wait 1500ms", "SIGKILL a.stop"},
			{"exit a.stop", "cleanup"},
		}},
	}...))
}

// TestHookNotStartedInTime checks the reason of a hook that is not started before its time is over,
// or before the stop is escalated.
func TestHookNotStartedInTime(t *testing.T) {
	for _, tt := range []struct{ hook, begin, wait, want string }{
		{config.StopHook, "TERM", "wait 1500ms", "it was not started within 1.5s"},
		{config.StopHook, "TERM", "wait 100ms", "it was not started within 100ms"},
		{config.PreStartHook, "", "wait 3s", "it was not started within 3s"},
	} {
		of := configs(newConfig(child("a", withHooks(tt.hook))))
		withHarness(t, of, func(h *harness) {
			if tt.hook == config.StopHook {
				h.do("spawned a")
			}
			h.do(tt.begin)
			h.do(tt.wait)
			if tt.wait == "wait 100ms" {
				h.do("TERM")
			}
			h.do("spawn-revoked a." + tt.hook)
			all := eventsOf[event.HookNotStarted](h)
			if len(all) != 1 || all[0].Reason != tt.want {
				t.Errorf("%+v: got %+v", tt, all)
			}
		})
	}
}

// TestStopHookSuperseded checks what ends a stop hook early, and what follows it for descendants.
func TestStopHookSuperseded(t *testing.T) {
	of := configs(newConfig(child("a", withHooks(config.StopHook))))
	runScripts(t, beginWith(stopHookRuns(), []script{
		{"a second signal", of, []step{
			{"TERM", "SIGKILL a.stop, SIGTERM a"},
			{"TERM", "SIGKILL a"},
			{"exit a.stop", ""},
			{"exit a", "cleanup"},
		}},
		{"descendants outlive the process after it", of, []step{
			{"exit a.stop", ""},
			{"main-exit a", "a outlived by [worker (pid 77)], SIGTERM a"},
			{"wait 2s", "SIGKILL a"},
			{"exit a", "cleanup"},
		}},
		{"descendants outlive the process before it", of, []step{
			{"main-exit a", "a outlived by [worker (pid 77)]"},
			{"exit a.stop", "SIGTERM a"},
			{"exit a", "cleanup"},
		}},
	}...))
}

// TestStopHookNeedsProcess checks that the stop hook does not run for descendants that outlive a
// process which ended by itself.
func TestStopHookNeedsProcess(t *testing.T) {
	runScript(t, configs(newConfig(child("a", withHooks(config.StopHook)))),
		slices.Concat(start("a"), []step{
			{"main-exit a 1", "a outlived by [worker (pid 77)], SIGTERM a"},
			{"exit a", "a restart 1"},
			{"wait 1s", "spawn a"},
		}))
}

// TestStopHookRemoved checks that the signal follows at once if a reload removes the stop hook
// before it starts.
func TestStopHookRemoved(t *testing.T) {
	of := configs(newConfig(child("a", withHooks(config.StopHook))), newConfig(child("a")))
	runScript(t, of, []step{
		{"", "spawn a"},
		{"op stop a", "signal 0 a"},
		{"reload 1", ""},
		{"spawned a", "SIGTERM a"},
		{"exit a", "reloaded +[] -[] ~[a] =[], ok: a stopped"},
	})
}

// TestPreStartHook checks that a process follows only a pre_start hook that succeeds.
func TestPreStartHook(t *testing.T) {
	of := configs(newConfig(
		child("a", withHooks(config.PreStartHook)), child("b", after("a:started"))))
	begin := []step{{"", "spawn a.pre_start"}, {"spawned a.pre_start", ""}}
	runScripts(t, beginWith(begin, []script{
		{"it succeeds", of, []step{
			{"exit a.pre_start", "spawn a"},
			{"spawned a", "a ready, spawn b"},
			{"exit a 1", "a restart 1"},
			{"wait 1s", "spawn a.pre_start"},
		}},
		{"it fails until no attempt is left", of, []step{
			{"exit a.pre_start 3", "a restart 1"},
			{"wait 1s", "spawn a.pre_start"},
			{"spawned a.pre_start", ""},
			{"exit-by a.pre_start SIGSEGV", "a restart 2"},
			{"wait 1s", "spawn a.pre_start"},
			{"spawn-failed a.pre_start",
				"a failed, stop: a failed, and on_failure is \"shutdown\", cleanup"},
		}},
		{"it takes too long", of, []step{
			{"wait 2999ms", ""},
			{"wait 1ms", "SIGTERM a.pre_start"},
			{"wait 999ms", ""},
			{"wait 1ms", "SIGKILL a.pre_start"},
			{"exit-by a.pre_start SIGKILL", "a restart 1"},
		}},
		{"a stop comes first", of, []step{
			{"TERM", "SIGTERM a.pre_start"},
			{"exit a.pre_start", "cleanup"},
		}},
		{"a stop comes first, and it does not end", of, []step{
			{"TERM", "SIGTERM a.pre_start"},
			{"wait 1999ms", ""},
			{"wait 1ms", "SIGKILL a.pre_start"},
			{"exit a.pre_start", "cleanup"},
		}},
		{"its descendants are ended first", of, []step{
			{"main-exit a.pre_start",
				"a outlived by [worker (pid 77)], SIGTERM a.pre_start"},
			{"exit a.pre_start", "spawn a"},
		}},
	}...))
	short := script{"no process is free", of, []step{
		{"spawn-short a.pre_start", "a delayed 50ms"},
		{"wait 50ms", "spawn a.pre_start"},
	}}
	runScripts(t, beginWith(begin[:1], short))
}

// dbAndWeb returns a web server, with changes, that depends on a database. Both have a post_stop
// hook.
func dbAndWeb(changes ...change) *config.Config {
	changes = append(changes, after("db"), withHooks(config.PostStopHook))
	return newConfig(child("db", withHooks(config.PostStopHook)), child("web", changes...))
}

// dbAndWebReady are the steps after which both are ready.
var dbAndWebReady = []step{
	{"spawned db", "spawn db, db ready, spawn web"},
	{"spawned web", "web ready"},
}

// TestPostStopHook checks that a post_stop hook runs after each end of a process tree, and that
// what follows the end waits for it.
func TestPostStopHook(t *testing.T) {
	of := configs(dbAndWeb())
	runScripts(t, beginWith(dbAndWebReady, []script{
		{"a crash, then a restart", of, []step{
			{"exit web 1", "spawn web.post_stop"},
			{"spawned web.post_stop", ""},
			{"exit web.post_stop 7", "web restart 1"},
			{"wait 1s", "spawn web"},
		}},
		{"the final stop", of, []step{
			{"TERM", "SIGTERM web"},
			{"exit web", "spawn web.post_stop"},
			{"spawned web.post_stop", ""},
			{"exit web.post_stop", "SIGTERM db"},
			{"exit db", "spawn db.post_stop"},
			{"spawned db.post_stop", ""},
			{"exit db.post_stop", "cleanup"},
		}},
		{"it hangs in the final stop, where it has 2s", of, []step{
			{"TERM", "SIGTERM web"},
			{"exit web", "spawn web.post_stop"},
			{"spawned web.post_stop", ""},
			{"wait 1499ms", ""},
			{"wait 1ms", "SIGTERM web.post_stop"},
			{"wait 500ms", "SIGKILL web.post_stop"},
			{"exit-by web.post_stop SIGKILL", "SIGTERM db"},
		}},
	}...))
	update := append(of, dbAndWeb(args("+")))
	runScripts(t, beginWith(dbAndWebReady, script{"an update", update, []step{
		{"reload-later 1", "SIGTERM web"},
		{"exit web", "spawn web.post_stop"},
		{"spawned web.post_stop", ""},
		{"exit web.post_stop", "spawn web+"},
		{"spawned web", "web ready, reloaded +[] -[] ~[web] =[db]"},
	}}))
}

// TestHookStartedFirst checks that a hook is reported before its output is relayed.
func TestHookStartedFirst(t *testing.T) {
	of := newConfig(child("a", withHooks(config.PreStartHook)))
	withHarness(t, configs(of), func(h *harness) {
		relayed := true
		h.onEvent = func(e event.Event) {
			if _, ok := e.(event.HookStarted); ok {
				stdout, _ := h.o.instances[0].hook.output.ChildFiles()
				relayed = stdout < 0
			}
		}
		h.want("", "spawn a.pre_start")
		h.want("spawned a.pre_start", "")
		if relayed {
			t.Error("the output of the hook was relayed before the hook was reported")
		}
		h.want("exit a.pre_start", "spawn a")
	})
}

// TestPostStopHookEnds checks what ends a post_stop hook, and what happens without it.
func TestPostStopHookEnds(t *testing.T) {
	of := configs(dbAndWeb())
	runScripts(t, beginWith(dbAndWebReady, []script{
		{"a stop begins while it runs", of, []step{
			{"exit web 1", "spawn web.post_stop"},
			{"spawned web.post_stop", ""},
			{"TERM", ""},
			{"TERM", "SIGTERM db, SIGTERM web.post_stop"},
			{"TERM", "SIGKILL db, SIGKILL web.post_stop"},
			{"exit web.post_stop", ""},
			{"exit db", "cleanup"}, // after SIGKILL to everything no hook starts
		}},
		{"descendants outlive it", of, []step{
			{"exit web 1", "spawn web.post_stop"},
			{"spawned web.post_stop", ""},
			{"main-exit web.post_stop",
				"web outlived by [worker (pid 77)], SIGTERM web.post_stop"},
			{"exit web.post_stop", "web restart 1"},
		}},
		{"it cannot be started", of, []step{
			{"exit web 1", "spawn web.post_stop"},
			{"spawn-failed web.post_stop", "web restart 1"},
		}},
	}...))
}

// TestOnFailureHook checks that an on_failure hook runs once, after the last attempt, and that the
// stop that the failure begins waits for it.
func TestOnFailureHook(t *testing.T) {
	never := policy(func(p *config.Policy) { p.Restart.On = "never" })
	of := configs(newConfig(
		child("a", withHooks(config.OnFailureHook, config.PostStopHook), never), child("b")))
	const shutdown = `stop: a failed, and on_failure is "shutdown"`
	begin := slices.Concat(start("a", "b"), []step{
		{"exit a 1", "spawn a.post_stop"},
		{"spawned a.post_stop", ""},
		{"exit a.post_stop", "a failed, " + shutdown + ", spawn a.on_failure, SIGTERM b"},
		{"spawned a.on_failure", ""},
	})
	runScripts(t, beginWith(begin, []script{
		{"it ends last", of, []step{
			{"exit b", ""},
			{"exit a.on_failure", "cleanup"},
		}},
		{"it ends first", of, []step{
			{"exit a.on_failure 2", ""},
			{"exit b", "cleanup"},
		}},
		{"it hangs", of, []step{
			{"exit b", ""},
			{"wait 2999ms", ""},
			{"wait 1ms", "SIGTERM a.on_failure"},
			{"wait 1s", "SIGKILL a.on_failure"},
			{"exit a.on_failure", "cleanup"},
		}},
	}...))
}

// TestHookEnvironment checks what a post_stop hook learns about the end of its process.
func TestHookEnvironment(t *testing.T) {
	of := newConfig(child("a*1", withHooks(config.PostStopHook), launch(func(l *config.Launch) {
		l.Env = []string{"A=b", "SUPERVISOR_PID=1"}
	})))
	for _, tt := range []struct {
		stop, exit string
		want       []string
	}{
		{"", "exit a1 3", []string{"EXIT_CODE=3", "REASON=exited with code 3", "RESULT=failure"}},
		{"", "exit-by a1 SIGKILL", []string{
			"EXIT_CODE=137", "REASON=ended by SIGKILL", "RESULT=failure", "SIGNAL=SIGKILL",
		}},
		{"TERM", "exit a1 3", []string{"EXIT_CODE=3", "RESULT=stopped"}},
	} {
		withHarness(t, configs(of), func(h *harness) {
			h.do("spawned a1 77")
			for _, do := range []string{tt.stop, tt.exit} {
				h.actions()
				h.do(do)
			}
			h.actions()
			h.mu.Lock()
			env := h.processOf("a1.post_stop").spec.Env
			h.mu.Unlock()
			want := append(tt.want, "CHILD=a", "INSTANCE=a1", "PID=77", "HOOK=post_stop",
				"ATTEMPT=0")
			for _, entry := range want {
				if !slices.Contains(env, "SUPERVISOR_"+entry) {
					t.Errorf("%s: got %q, want SUPERVISOR_%s in it", tt.exit, env, entry)
				}
			}
			if env[0] != "A=b" || slices.Contains(env, "SUPERVISOR_PID=1") {
				t.Errorf("got %q, want the environment of the child without old values", env)
			}
		})
	}
}
