package orchestrator

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"tp0/supervisor/api"
	"tp0/supervisor/config"
	"tp0/supervisor/lifecycle"
)

var testRequester = api.Requester{UID: 7}

// operate begins an operation: VERB NAMES, wait-ready NAMES, wait-stopped NAMES, signal SIGNAL
// NAMES, shutdown [DEADLINE].
func (h *harness) operate(c command) {
	args := c.word[1:]
	op := api.Operation{Verb: api.Verb(args[0]), Names: args[1:], By: testRequester}
	switch op.Verb {
	case "wait-ready", "wait-stopped":
		op.Verb, op.For = api.Wait, strings.TrimPrefix(args[0], "wait-")
	case api.Signal:
		op.Signal, op.Names = args[1], args[2:]
	case api.Shutdown:
		if len(args) > 1 {
			d, err := time.ParseDuration(args[1])
			if err != nil {
				h.t.Fatal(err)
			}
			op.Deadline, op.Names = api.Duration(d), nil
		}
	}
	go func() {
		result, err := h.o.Operate(context.Background(), op, func(api.Progress) {})
		h.mu.Lock()
		defer h.mu.Unlock()
		refused := (*api.Error)(nil)
		switch {
		case errors.As(err, &refused):
			h.record("refused as %s: %s", refused.Kind, refused.Detail)
		case err != nil:
			h.record("error: %v", err)
		case result.OK:
			h.record("ok: %s", result.Message)
		default:
			h.record("not ok: %s", result.Message)
		}
	}()
}

func TestStopAndStart(t *testing.T) {
	two := newConfig(child("a"), child("b"))
	up := start("a", "b")
	runScripts(t, beginWith(up, []script{
		{"a stopped child stays stopped, and the other one runs", configs(two), []step{
			{"op stop a", "SIGTERM a"},
			{"exit a", "ok: a stopped"},
			{"wait 1h", ""},
			{"health", "a is stopped"},
			{"op stop a", "ok: a stopped"},
			{"op start a", "spawn a"},
			{"spawned a", "a ready | ok: a started"},
		}},
		{"over a reload, and it starts by the new file", configs(
			two, newConfig(child("a", args("+")), child("b")),
		), []step{
			{"op stop a", "SIGTERM a"},
			{"exit a", "ok: a stopped"},
			{"reload 1", "reloaded +[] -[] ~[a] =[b]"},
			{"op start a", "spawn a+"},
			{"spawned a", "a ready | ok: a started"},
		}},
		{"a reload while it is stopped", configs(
			two, newConfig(child("a", args("+")), child("b")),
		), []step{
			{"op stop a", "SIGTERM a"},
			{"reload 1", ""},
			{"exit a", "ok: a stopped | reloaded +[] -[] ~[a] =[b]"},
			{"op start a", "spawn a+"},
		}},
		{"a start while it is stopped", configs(two), []step{
			{"op stop a", "SIGTERM a"},
			{"op start a", "not ok: a: another request started it"},
			{"exit a", "spawn a"},
			{"spawned a", "a ready | ok: a started"},
		}},
	}...))
}

// TestOperationsAtOtherEvents checks requests around a stop of everything, an end and a removal. It
// also checks requests that are refused.
func TestOperationsAtOtherEvents(t *testing.T) {
	two := newConfig(child("a"), child("b"))
	runScripts(t, beginWith(start("a", "b"), []script{
		{"all children are stopped, and the supervisor goes on", configs(two), []step{
			{"op stop a b", "SIGTERM a, SIGTERM b"},
			{"exit a", ""},
			{"exit b", "ok: a, b stopped"},
			{"wait 1h", ""},
			{"TERM", "cleanup"},
		}},
		{"a stop of everything meanwhile", configs(two), []step{
			{"op stop a", "SIGTERM a"},
			{"op start b", "ok: b started"},
			{"TERM", "SIGTERM b"},
			{"exit b", ""},
			{"exit a", "ok: a stopped | cleanup"},
		}},
		{"a child that ends by itself is not stopped", configs(two), []step{
			{"exit a", "a completed"},
			{"op stop a", "ok: a stopped"},
			{"op start a", "spawn a"},
			{"spawned a", "a ready | ok: a started"},
		}},
		{"SIGKILL after kill_timeout", configs(two), []step{
			{"op stop a", "SIGTERM a"},
			{"wait 3s", "SIGKILL a"},
			{"exit a", "ok: a stopped"},
		}},
		{"a removed child", configs(two, newConfig(child("b"))), []step{
			{"op stop a", "SIGTERM a"},
			{"exit a", "ok: a stopped"},
			{"reload 1", "reloaded +[] -[a] ~[] =[b]"},
			{"op start a", `refused as unknown-name: no child or instance is named "a"`},
		}},
		{"names", configs(two), []step{
			{"op stop c d c", `refused as unknown-name: no child or instance is named "c" or "d"`},
			{"op stop", "refused as bad-request: stop needs the name of a child or of an instance"},
			{"op explode a", `refused as bad-request: unknown verb "explode"`},
			{"op reload a", "refused as bad-request: reload takes no names"},
			{"op signal SIGFOO a", `refused as bad-request: "SIGFOO" is not a signal`},
		}},
		{"signals", configs(two), []step{
			{"op signal hup a b", "send SIGHUP a, send SIGHUP b | ok: a, b signalled"},
			{"op stop a", "SIGTERM a"},
			{"exit a", "ok: a stopped"},
			{"op signal USR1 a", "not ok: a: it has no process"},
		}},
	}...))
}

func TestStartAfterFailure(t *testing.T) {
	cfg := newConfig(child("a", never, ignored), child("b"))
	runScripts(t, beginWith(start("a", "b"), []script{
		{"a child in its restart delay", configs(newConfig(child("a"), child("b"))), []step{
			{"exit a 1", "a restart 1"},
			{"op start a", "spawn a"},
			{"spawned a", "a ready | ok: a started"},
		}},
		{"it fails again", configs(cfg), []step{
			{"exit a 1", "a failed"},
			{"op start a", "spawn a"},
			{"spawn-failed a", "a not spawned, a failed | " +
				"not ok: a: it failed: " + notSpawned + "; its restart policy is never"},
		}},
	}...))
}

// TestStartWhileItFails checks that a start during a hook after the last process waits for the end
// of the hook. A stop during the hook keeps the instance stopped.
func TestStartWhileItFails(t *testing.T) {
	cfg := newConfig(
		child("a", withHooks(config.OnFailureHook, config.PostStopHook), never, ignored),
		child("b"),
	)
	failing := []step{
		{"exit a 1", "spawn a.post_stop"},
		{"spawned a.post_stop", ""},
		{"exit a.post_stop", "a failed, spawn a.on_failure"},
		{"spawned a.on_failure", ""},
	}
	runScripts(t, beginWith(append(start("a", "b"), failing...), []script{
		{"it is started after on_failure", configs(cfg), []step{
			{"op start a", ""},
			{"exit a.on_failure", "spawn a"},
			{"spawned a", "a ready | ok: a started"},
		}},
		{"after the timeout of on_failure", configs(cfg), []step{
			{"op start a", ""},
			{"wait 2999ms", ""},
			{"wait 1ms", "SIGTERM a.on_failure"},
			{"exit a.on_failure 143", "spawn a"},
			{"spawned a", "a ready | ok: a started"},
		}},
		{"a stop takes the start back", configs(cfg), []step{
			{"op start a", ""},
			{"op stop a", "not ok: a: it is stopped, by uid 7"},
			{"exit a.on_failure", "ok: a stopped"},
			{"wait 1h", ""},
			{"health", "a is stopped"},
		}},
		{"a start takes the stop back", configs(cfg), []step{
			{"op stop a", ""},
			{"op start a", "not ok: a: another request started it"},
			{"exit a.on_failure", "spawn a"},
			{"spawned a", "a ready | ok: a started"},
		}},
		{"a restart takes the stop back", configs(cfg), []step{
			{"op stop a", ""},
			{"op restart a", "not ok: a: another request started it"},
			{"exit a.on_failure", "spawn a"},
			{"spawned a", "a ready | ok: a restarted"},
		}},
	}...))
	runScripts(t, beginWith(append(start("a", "b"), failing[:2]...), []script{
		{"it is started after post_stop and on_failure", configs(cfg), []step{
			{"op start a", ""},
			{"exit a.post_stop", "a failed, spawn a.on_failure"},
			{"spawned a.on_failure", ""},
			{"exit a.on_failure", "spawn a"},
			{"spawned a", "a ready | ok: a started"},
		}},
	}...))
}

// ended is a configuration with an instance a that is not restarted.
func ended(changes ...change) *config.Config {
	return newConfig(child("a", append(changes, never, ignored)...), child("b"))
}

// TestStopOfEnded checks that a stop holds an instance that has ended: a reload does not start it.
func TestStopOfEnded(t *testing.T) {
	edited := ended(args("+"))
	runScripts(t, beginWith(start("a", "b"), []script{
		{"failed", configs(ended(), edited), []step{
			{"exit a 1", "a failed"},
			{"op stop a", "ok: a stopped"},
			{"op wait-ready a", "not ok: a: it is stopped, by uid 7"},
			{"reload 1", "reloaded +[] -[] ~[a] =[b]"},
			{"wait 1h", ""},
			{"op start a", "spawn a+"},
			{"spawned a", "a ready | ok: a started"},
		}},
		{"completed", configs(ended(), edited), []step{
			{"exit a", "a completed"},
			{"op stop a", "ok: a stopped"},
			{"reload 1", "reloaded +[] -[] ~[a] =[b]"},
			{"wait 1h", ""},
			{"op start a", "spawn a+"},
		}},
		{"the supervisor continues", configs(ended()), []step{
			{"exit a 1", "a failed"},
			{"op stop a", "ok: a stopped"},
			{"exit b", "b completed"},
			{"wait 1h", ""},
			{"TERM", "cleanup"},
		}},
	}...))
}

// TestStatusOfStoppedAfterEnd checks that the status says who stopped an instance and how it had
// ended, and that its failure still counts after a reload.
func TestStatusOfStoppedAfterEnd(t *testing.T) {
	for _, tt := range []struct {
		exit, reason string
		failed       bool
	}{
		{"exit a 4", "stopped by uid 7; it failed: exited with code 4; its restart policy is never",
			true},
		{"exit a", "stopped by uid 7; it had completed", false},
	} {
		relay := newRelay(t)
		synctest.Test(t, func(t *testing.T) {
			h := newHarness(t, relay, ended(), ended(args("+")))
			for _, do := range []string{"spawned a", tt.exit, "op stop a"} {
				h.actions()
				h.do(do)
			}
			h.actions()
			s, err := h.o.Status(context.Background())
			if err != nil {
				t.Fatal(err)
			}
			if a := s.Instances[0]; a.State != "stopped" || a.Reason != tt.reason ||
				a.StoppedBy == nil {
				t.Errorf("%s: got %s", tt.exit, describeInstance(a))
			}
			h.do("reload 1")
			h.actions()
			h.finish()
			if got := h.o.Result().Failed; got != tt.failed {
				t.Errorf("%s, stop, reload: the result has failed %v", tt.exit, got)
			}
		})
	}
}

// TestStopOfCompletedDependency checks that the completion of a stopped oneshot stays valid for its
// dependents, until a reload changes it.
func TestStopOfCompletedDependency(t *testing.T) {
	of := func(change ...change) *config.Config {
		once := policy(func(p *config.Policy) { p.Oneshot = true })
		return newConfig(child("job", append(change, once)...),
			child("web", after("job:completed")))
	}
	up := []step{
		{"", "spawn job"}, {"spawned job", ""}, {"exit job", "job completed, spawn web"},
		{"spawned web", "web ready"}, {"op stop job", "ok: job stopped"},
	}
	runScripts(t, beginWith(up, []script{
		{"unchanged", configs(of()), []step{
			{"exit web 1", "web restart 1"},
			{"wait 1s", "spawn web"},
		}},
		{"changed", configs(of(), of(args("+"))), []step{
			{"reload 1", "reloaded +[] -[] ~[job] =[web]"},
			{"exit web 1", "web restart 1"},
			{"wait 1s", ""},
			{"op start web", "not ok: web: it waits for job, which is stopped: start job too"},
			{"op start job web", "spawn job+"},
			{"spawned job", ""},
			{"exit job", "job completed, spawn web"},
			{"spawned web", "web ready | ok: job, web started"},
		}},
	}...))
}

// TestHoldAndDependencies checks that a stop keeps the order, and that no child starts without what
// it depends on.
func TestHoldAndDependencies(t *testing.T) {
	cfg := newConfig(child("db"), child("web", after("db")))
	up := []step{
		{"", "spawn db"}, {"spawned db", "db ready, spawn web"}, {"spawned web", "web ready"},
	}
	runScripts(t, beginWith(up, []script{
		{"the dependents keep their processes", configs(cfg), []step{
			{"op stop db", "SIGTERM db"},
			{"exit db", "ok: db stopped"},
			{"exit web 1", "web restart 1"},
			{"wait 1s", ""},
			{"health", "db is stopped"},
			{"op start web", "not ok: web: it waits for db, which is stopped: start db too"},
			{"op start db web", "spawn db"},
			{"spawned db", "db ready, spawn web"},
			{"spawned web", "web ready | ok: db, web started"},
		}},
		{"in order", configs(cfg), []step{
			{"op stop db web", "SIGTERM web"},
			{"exit web", "SIGTERM db"},
			{"exit db", "ok: db, web stopped"},
		}},
		{"a start before its turn to stop", configs(cfg), []step{
			{"op stop db web", "SIGTERM web"},
			{"op start db", "ok: db started"},
			{"exit web", "not ok: web stopped; db: another request started it"},
		}},
	}...))
}

func TestRestartRequest(t *testing.T) {
	one := newConfig(child("a*2", maxParallel(1), ignored))
	runScripts(t, beginWith(start("a1", "a2"), []script{
		{"one after the other, by max_parallel", configs(one), []step{
			{"op restart a", "SIGTERM a1"},
			{"exit a1", "spawn a1"},
			{"spawned a1", "a1 ready, SIGTERM a2"},
			{"exit a2", "spawn a2"},
			{"spawned a2", "a2 ready | ok: a1, a2 restarted"},
			{"health", ""},
		}},
		{"one instance", configs(one), []step{
			{"op restart a2", "SIGTERM a2"},
			{"exit a2", "spawn a2"},
			{"spawned a2", "a2 ready | ok: a2 restarted"},
		}},
		{"the first failure halts it", configs(one), []step{
			{"op restart a", "SIGTERM a1"},
			{"exit a1", "spawn a1"},
			{"spawn-failed a1", "a1 not spawned, restart halted a: the new a1 has failed: " +
				notSpawned + ", a1 restart 1 | not ok: a1: the new a1 has failed: " + notSpawned +
				"; a2: its restart was given up after the failure of another instance"},
			{"wait 1s", "spawn a1"},
			{"spawned a1", "a1 ready"},
			{"op restart a2", "SIGTERM a2"},
			{"exit a2", "spawn a2"},
			{"spawned a2", "a2 ready | ok: a2 restarted"},
			{"health", ""},
		}},
		{"a stopped instance is started", configs(one), []step{
			{"op stop a2", "SIGTERM a2"},
			{"exit a2", "ok: a2 stopped"},
			{"op restart a2", "spawn a2"},
			{"spawned a2", "a2 ready | ok: a2 restarted"},
		}},
	}...))
}

// TestRestartAndOthers checks a restart at the same time as other requests.
func TestRestartAndOthers(t *testing.T) {
	one := newConfig(child("a*2", maxParallel(1), ignored))
	surge := newConfig(child("a", overlap, ignored))
	runScripts(t, beginWith(start("a1", "a2"), []script{
		{"a reload meanwhile keeps the restart", configs(one, one), []step{
			{"op restart a", "SIGTERM a1"},
			{"reload 1", ""},
			{"exit a1", "spawn a1"},
			{"spawned a1", "a1 ready, SIGTERM a2"},
			{"exit a2", "spawn a2"},
			{"spawned a2",
				"a2 ready, reloaded +[] -[] ~[a1 a2] =[] | ok: a1, a2 restarted"},
		}},
		{"a stop of one that waits for its slot", configs(one), []step{
			{"op restart a", "SIGTERM a1"},
			{"op stop a2", "SIGTERM a2"},
			{"exit a2", "ok: a2 stopped"},
			{"exit a1", "spawn a1"},
			{"spawned a1", "a1 ready | not ok: a1 restarted; a2: it is stopped, by uid 7"},
		}},
		{"a stop of everything", configs(one), []step{
			{"op restart a", "SIGTERM a1"},
			{"TERM", "SIGTERM a2 | not ok: a1: a stop of the supervisor has begun; " +
				"a2: a stop of the supervisor has begun"},
		}},
	}...))
	runScripts(t, beginWith(start("a"), []script{
		{"with an overlap", configs(surge), []step{
			{"op restart a", "spawn a"},
			{"spawned a", "a ready, SIGTERM a | ok: a restarted"},
			{"exit a", ""},
			{"health", ""},
		}},
	}...))
}

func TestReloadAndWait(t *testing.T) {
	old := newConfig(child("a", ignored))
	edited := newConfig(child("a", ignored, args("+")), child("b"))
	runScripts(t, beginWith(start("a"), []script{
		{"a reload waits until it is applied", configs(old, edited), []step{
			{"load 1", ""},
			{"op reload", "SIGTERM a, spawn b"},
			{"exit a", "spawn a+"},
			{"spawned b", "b ready"},
			{"spawned a",
				"a ready, reloaded +[b] -[] ~[a] =[] | ok: the configuration is in force"},
		}},
		{"a rejected file", configs(old), []step{
			{"load-fails", ""},
			{"op reload", "rejected: a fault | not ok: the configuration was rejected:\na fault"},
		}},
		{"a halted update", configs(old, edited), []step{
			{"load 1", ""},
			{"op reload", "SIGTERM a, spawn b"},
			{"exit a", "spawn a+"},
			{"spawn-failed a", "a not spawned, " + halted("a", notSpawned) + ", a restart 1 | " +
				"not ok: the reload of a is halted: the new a has failed: " + notSpawned},
		}},
		{"wait", configs(old), []step{
			{"op wait-ready", "ok: a ready"},
			{"op wait-stopped a", ""},
			{"op stop a", "SIGTERM a"},
			{"exit a", "ok: a stopped | ok: a stopped"},
			{"op wait-ready a", "not ok: a: it is stopped, by uid 7"},
		}},
		{"shutdown", configs(old), []step{
			{"op shutdown 3s", "stop: a request of uid 7, SIGTERM a"},
			{"op start a", "refused as conflict: the supervisor is stopping"},
			{"exit a", "cleanup"},
			{"cleaned-up", "ok: all children have ended"},
		}},
	}...))
}

// TestShutdownDeadline checks that the deadline of a request takes the place of the configured one.
func TestShutdownDeadline(t *testing.T) {
	cfg := newConfig(child("a"))
	withHarness(t, configs(cfg), func(h *harness) {
		h.want("spawned a", "spawn a, a ready")
		h.want("op shutdown 1s", "stop: a request of uid 7, SIGTERM a")
		h.want("wait 949ms", "")
		h.want("wait 2ms", "SIGKILL a") // 5 % of the deadline are kept
		h.want("exit a 137", "cleanup")
		h.want("cleaned-up", "ok: all children have ended")
		if got := h.o.Summary().Deadline; got != time.Second {
			t.Errorf("the last line has the deadline %v", got)
		}
	})
}

// TestReloadState checks what the status says about a restart, and about a reload.
func TestReloadState(t *testing.T) {
	of := configs(newConfig(child("a*2", maxParallel(1))),
		newConfig(child("a*2", maxParallel(1), args("+"))))
	withHarness(t, of, func(h *harness) {
		check := func(do, want string) {
			t.Helper()
			h.do(do)
			synctest.Wait()
			got := "none"
			s, err := h.o.Status(context.Background())
			if r := s.Supervisor.Reload; r != nil {
				got = fmt.Sprint(r.Kind, " ", r.State, " ", r.Names, " ", r.Reason)
			}
			if err != nil || got != want {
				t.Errorf("%s: got %q, %v, want %q", do, got, err, want)
			}
		}
		h.do("spawned a1")
		check("spawned a2", "none")
		check("op restart a", "restart restarting [a1 a2] ")
		h.do("exit a1")
		check("spawn-failed a1", "restart halted [a1 a2] the restart of a is halted: the new a1 "+
			"has failed: "+notSpawned)
		check("reload 1", "reload applying [] ")
	})
}

func TestStatus(t *testing.T) {
	cfg := newConfig(
		child("db"), child("web", after("db"), ignored),
		child("job", func(_ *config.Child, i *config.Instance) { i.Policy.Oneshot = true }),
	)
	withHarness(t, configs(cfg), func(h *harness) {
		h.want("", "spawn db, spawn job")
		h.want("spawned job", "")
		h.want("exit job", "job completed")
		check := func(name string, want api.Instance) {
			t.Helper()
			synctest.Wait()
			s, err := h.o.Status(context.Background())
			if err != nil {
				t.Fatal(err)
			}
			for _, got := range s.Instances {
				if got.Name != name {
					continue
				}
				got.StartedAt, got.Pid, got.Child, got.Command = nil, 0, "", ""
				if got.LastExit != nil {
					got.LastExit = &api.Exit{Code: got.LastExit.Code, Reason: got.LastExit.Reason}
				}
				if got.StoppedBy != nil {
					got.StoppedBy = &testRequester
				}
				if describeInstance(got) != describeInstance(want) {
					t.Errorf("got %s\nwant %s", describeInstance(got), describeInstance(want))
				}
			}
		}
		check("web", api.Instance{
			Name: "web", State: "waiting", Reason: "it waits for db to be ready",
		})
		check("job", api.Instance{
			Name: "job", State: "succeeded",
			LastExit: &api.Exit{Code: 0, Reason: "exited with code 0"},
		})
		h.want("spawned db", "db ready, spawn web")
		h.want("spawned web", "web ready")
		check("web", api.Instance{Name: "web", State: lifecycle.Ready.ID(), Ready: true})
		h.want("exit web 3", "web restart 1")
		check("web", api.Instance{
			Name: "web", State: "backing_off", Reason: "exited with code 3",
			LastExit: &api.Exit{Code: 3, Reason: "exited with code 3"},
		})
		h.want("op stop web", "ok: web stopped")
		check("web", api.Instance{
			Name: "web", State: "stopped", Reason: "stopped by uid 7", StoppedBy: &testRequester,
			LastExit: &api.Exit{Code: 3, Reason: "exited with code 3"},
		})
	})
}

// describeInstance returns the text of the state of an instance.
func describeInstance(i api.Instance) string {
	exit, by := api.Exit{}, ""
	if i.LastExit != nil {
		exit = *i.LastExit
	}
	if i.StoppedBy != nil {
		by = i.StoppedBy.String()
	}
	i.LastExit, i.StoppedBy = nil, nil
	return fmt.Sprintf("%+v, last exit %+v, stopped by %q", i, exit, by)
}

// TestRequestsThatMeet checks requests about an instance that another request or a reload is acting
// on.
func TestRequestsThatMeet(t *testing.T) {
	chain := newConfig(child("db"), child("web", after("db")))
	up := []step{
		{"", "spawn db"}, {"spawned db", "db ready, spawn web"}, {"spawned web", "web ready"},
	}
	runScripts(t, beginWith(up, []script{
		{"a restart before its turn to stop", configs(chain), []step{
			{"op stop db web", "SIGTERM web"},
			{"op restart db", ""},
			{"exit web", "SIGTERM db | not ok: web stopped; db: another request started it"},
			{"exit db", "spawn db"},
			{"spawned db", "db ready | ok: db restarted"},
		}},
	}...))
	surge := newConfig(child("a", overlap, minReady(delay)))
	runScripts(t, beginWith(start("a"), []script{
		{"a start of a child that is being replaced", configs(surge), []step{
			{"op restart a", "spawn a"},
			{"op start a", "ok: a started"},
			{"spawned a", "a ready"},
			{"wait 1s", "SIGTERM a | ok: a restarted"},
		}},
	}...))
	rollback := withRollback(newConfig(child("a"), child("b")))
	runScripts(t, beginWith(start("a", "b"), []script{
		{"a rollback brings a stopped child back as stopped", configs(
			rollback, withRollback(newConfig(child("b", args("+")))),
		), []step{
			{"op stop a", "SIGTERM a"},
			{"exit a", "ok: a stopped"},
			{"reload 1", "SIGTERM b"},
			{"exit b", "spawn b+"},
			{"spawn-failed b", "b not spawned, rollback for b, spawn b"},
			{"spawned b", "b ready, rejected: b: it could not be spawned: no such file; " +
				"the previous configuration is in force again"},
			{"wait 1h", ""},
			{"op start a", "spawn a"},
		}},
	}...))
}
