package orchestrator

import (
	"fmt"
	"io/fs"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"

	"tp0/supervisor/config"
	"tp0/supervisor/event"
	"tp0/supervisor/output"
	"tp0/supervisor/process/spawn"
)

// TestSpawnRetry checks that a spawn that fails for lack of a process is retried and is no failure.
func TestSpawnRetry(t *testing.T) {
	again := []step{
		{"", "spawn a"},
		{"spawn-short a", "a delayed 50ms"},
		{"wait 49ms", ""},
		{"wait 1ms", "spawn a"},
		{"spawn-short a", "a delayed 100ms"},
		{"wait 100ms", "spawn a"},
	}
	with := func(more ...step) []step { return append(again[:len(again):len(again)], more...) }
	pair := configs(newConfig(child("a", never), child("b", after("a"))))
	runScripts(t, []script{
		{"the spawn succeeds later", pair, with(
			step{"spawned a", "a ready, spawn b"},
			step{"spawned b", "b ready"},
			step{"exit a 1", "a failed, " +
				"stop: a failed, and on_failure is \"shutdown\", SIGTERM b"})},
		{"no restart is counted", configs(newConfig(child("a"))), with(
			step{"spawned a", "a ready"},
			step{"exit a 1", "a restart 1"},
			step{"wait 1s", "spawn a"},
			step{"spawn-short a", "a delayed 50ms"}, // the delay starts from its minimum
			step{"wait 50ms", "spawn a"},
			step{"spawned a", "a ready"},
			step{"exit a 1", "a restart 2"})},
		{"a stop during the delay", pair, with(
			step{"spawn-short a", "a delayed 200ms"},
			step{"TERM", "cleanup"},
			step{"cleaned-up", ""},
			step{"end", "graceful 0: spawned 0, reaped 0, orphans 0, killed 0, left 0"})},
		{"another error is a failure", configs(newConfig(child("a"))), with(
			step{"spawn-failed a", "a not spawned, a restart 1"})},
		{"a stop before the shortage", pair, with(
			step{"TERM", "SIGTERM a"},
			step{"spawn-short a", "a not spawned, cleanup"})},
	})
}

// blockedRelay has no output for a until its log file is open.
type blockedRelay struct {
	OutputRelay
	blocked *atomic.Bool
}

func (r blockedRelay) Prepare(spec output.Spec) (*output.ChildOutput, error) {
	if spec.Instance == "a" && r.blocked.Load() {
		return nil, &fs.PathError{Op: "open", Path: "/mnt/a.log", Err: output.ErrOpenBlocked}
	}
	return r.OutputRelay.Prepare(spec)
}

// TestBlockedLogFile checks that a log file on a file system that does not respond delays its own
// child only, and is no failure.
func TestBlockedLogFile(t *testing.T) {
	relay := blockedRelay{newRelay(t), &atomic.Bool{}}
	relay.blocked.Store(true)
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t, relay, newConfig(child("a", never), child("b")))
		defer h.finish()
		h.want("", "spawn b, a delayed 50ms")
		h.want("spawned b", "b ready")
		h.want("wait 50ms", "a delayed 100ms")
		if got, _ := h.why("a"); !strings.Contains(got, "its log file /mnt/a.log cannot be") {
			t.Errorf("got %q, want the log file", got)
		}
		relay.blocked.Store(false)
		h.want("wait 100ms", "spawn a")
		h.want("spawned a", "a ready")
		if e := eventsOf[event.SpawnDelayed](h)[0]; e.Resource != "log file" {
			t.Errorf("got the resource %q", e.Resource)
		}
	})
}

func TestSpawnDelayIsBounded(t *testing.T) {
	withHarness(t, configs(newConfig(child("a"))), func(h *harness) {
		h.actions()
		for range 40 {
			h.do("spawn-short a")
			h.do("wait 2s")
		}
		h.actions()
		all := eventsOf[event.SpawnDelayed](h)
		for _, e := range all {
			known := e.Limit != "" && e.Limit != "unknown"
			if e.Delay > maxSpawnDelay || e.Resource != "processes" || !known {
				t.Errorf("got %+v, want at most %v, for lack of processes", e, maxSpawnDelay)
			}
		}
		if len(all) != 40 {
			t.Errorf("%d delays", len(all))
		}
	})
}

func TestShortageTimeout(t *testing.T) {
	relay := newRelay(t)
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t, relay, newConfig(child("a", never)))
		defer h.finish()
		h.o.opt.ShortageTimeout = time.Second // the orchestrator has not read the option yet
		began := time.Now()
		for len(eventsOf[event.SpawnFailed](h)) == 0 {
			h.do("spawn-short a")
			h.actions()
			if len(eventsOf[event.SpawnFailed](h)) == 0 {
				delays := eventsOf[event.SpawnDelayed](h)
				<-time.After(delays[len(delays)-1].Delay)
			}
		}
		if d := time.Since(began); d < time.Second || d > time.Second+maxSpawnDelay {
			t.Errorf("the spawn failed after %v, want 1 s at least", d)
		}
		if _, err := h.o.ExitStatus(); err == nil {
			t.Error("ExitStatus: got no error")
		}
	})
}

// TestLimitsOfChild checks that a shortage of the supervisor's own fork is retried, also for a
// child with limits of its own.
func TestLimitsOfChild(t *testing.T) {
	limit := func(_ *config.Child, i *config.Instance) {
		i.Launch.Attributes.Limits = map[int]unix.Rlimit{unix.RLIMIT_NPROC: {Cur: 1, Max: 1}}
	}
	withHarness(t, configs(newConfig(child("a", limit))), func(h *harness) {
		h.want("", "spawn a")
		h.want("spawn-short a", "a delayed 50ms") // the fork of the supervisor failed
	})
	if spawn.FromStartVerb(fmt.Errorf("x: %w", unix.EAGAIN)) {
		t.Error("FromStartVerb is true for the error of a fork")
	}
}

// TestCheckNotStarted checks that a probe that cannot be started is neither a success nor a
// failure, and is reported once in a row.
func TestCheckNotStarted(t *testing.T) {
	before := []step{{"", "spawn a"}, {"spawned a", "a ready"}}
	with := func(more ...step) []step { return append(before[:len(before):len(before)], more...) }
	// The kill_timeout is long: the checks have jitter, and SIGKILL must not come between them.
	one := configs(newConfig(child("a", checkBy("0s"), killSignal(unix.SIGTERM, time.Hour))))
	runScripts(t, []script{
		{"a probe that cannot be started counts as neither", one, with(
			step{"probe-short", ""},
			step{"wait 6s", "probe a, a probe alive not started"},
			step{"wait 11s", "probe a"},
			step{"wait 11s", "probe a"},
			step{"wait 11s", "probe a"},
			step{"health", ""})},
		{"failures before and after count as consecutive", one, with(
			step{"probe-fails", ""},
			step{"wait 6s", "probe a, a check alive failed"},
			step{"probe-short", ""},
			step{"wait 11s", "probe a, a probe alive not started"},
			step{"wait 11s", "probe a"},
			step{"probe-fails", ""},
			step{"wait 11s", "probe a, a unhealthy, SIGTERM a"})},
	})
}

// TestReadyProbeNotStarted checks that the timeout of the ready block begins again.
func TestReadyProbeNotStarted(t *testing.T) {
	ready := func(_ *config.Child, i *config.Instance) {
		i.Launch.Ready = &config.Ready{Probe: exec("0s"), Timeout: time.Second}
	}
	withHarness(t, configs(newConfig(child("a", ready))), func(h *harness) {
		h.want("probe-short", "spawn a")
		h.do("spawned a")
		h.do("wait 1500ms")
		got := h.actions()
		skipped := strings.Contains(got, "a probe ready not started")
		if !skipped || strings.Contains(got, "a not ready") {
			t.Errorf("got %q, want a skipped probe and no timeout", got)
		}
		h.do("probe-succeeds")
		h.do("wait 1s")
		if got := h.actions(); !strings.Contains(got, "a ready") {
			t.Errorf("got %q, want a to be ready", got)
		}
	})
}

// fewRelays is a relay that lacks descriptors for its first outputs.
type fewRelays struct {
	OutputRelay
	lack int
}

func (r *fewRelays) Prepare(s output.Spec) (*output.ChildOutput, error) {
	if r.lack > 0 {
		r.lack--
		return nil, fmt.Errorf("cannot prepare: %w", unix.EMFILE)
	}
	return r.OutputRelay.Prepare(s)
}

// TestNoDescriptorsForOutput checks that a lack of descriptors for the output is retried too.
func TestNoDescriptorsForOutput(t *testing.T) {
	relay := newRelay(t)
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t, &fewRelays{relay, 2}, newConfig(child("a", never)))
		defer h.finish()
		h.want("", "a delayed 50ms")
		h.want("wait 50ms", "a delayed 100ms")
		h.want("wait 100ms", "spawn a")
		h.want("spawned a", "a ready")
		e := eventsOf[event.SpawnDelayed](h)[0]
		if e.Resource != "descriptors" || !strings.Contains(e.Limit, "RLIMIT_NOFILE") {
			t.Errorf("got %+v, want descriptors and RLIMIT_NOFILE", e)
		}
	})
}
