package orchestrator

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"

	"tp0/supervisor/config"
	"tp0/supervisor/event"
	"tp0/supervisor/output"
	"tp0/supervisor/process/spawn"
)

// A spawn that lacks a process is tried again, later and later, and is no
// failure; what depends on the child waits, and a stop does not wait for it.
func TestSpawnLater(t *testing.T) {
	again := []step{
		{"", "spawn a"},
		{"lack a", "a delayed 50ms"},
		{"wait 49ms", ""},
		{"wait 1ms", "spawn a"},
		{"lack a", "a delayed 100ms"},
		{"wait 100ms", "spawn a"},
	}
	with := func(more ...step) []step { return append(again[:len(again):len(again)], more...) }
	never := cfgs(newConfig(kid("a", restart("never")), kid("b", after("a"))))
	playAll(t, []script{
		{"it comes", never, with(
			step{"up a", "a ready, spawn b"},
			step{"up b", "b ready"},
			step{"exit a 1", "a failed, stop: child failed: a, SIGTERM b"})},
		{"no restart is counted", cfgs(newConfig(kid("a"))), with(
			step{"up a", "a ready"},
			step{"exit a 1", "a again 1"},
			step{"wait 1s", "spawn a"},
			step{"lack a", "a delayed 50ms"}, // the first delay again
			step{"wait 50ms", "spawn a"},
			step{"up a", "a ready"},
			step{"exit a 1", "a again 2"})},
		{"a stop ends the wait", never, with(
			step{"lack a", "a delayed 200ms"},
			step{"TERM", "sweep"},
			step{"swept", ""},
			step{"end", "graceful 0: spawned 0, reaped 0, orphans 0, killed 0, left 0"})},
		{"then something else fails", cfgs(newConfig(kid("a"))), with(
			step{"refuse a", "a not spawned, a again 1"})},
		{"so does a stop that comes first", never, with(
			step{"TERM", "SIGTERM a"},
			step{"lack a", "a not spawned, sweep"})},
	})
}

// The delay has a limit.
func TestSpawnLaterIsBounded(t *testing.T) {
	bubble(t, cfgs(newConfig(kid("a"))), func(w *world) {
		w.took()
		for range 40 {
			w.do("lack a")
			w.do("wait 2s")
		}
		w.took()
		all := told[event.SpawnDelayed](w)
		for _, e := range all {
			if e.Delay > maxSpawnDelay || e.Resource != "processes" || e.Limit == "" || e.Limit == "unknown" {
				t.Errorf("%+v", e)
			}
		}
		if len(all) != 40 {
			t.Errorf("%d delays", len(all))
		}
	})
}

// A spawn for one command is given up after a time.
func TestPatience(t *testing.T) {
	hub := newHub(t)
	synctest.Test(t, func(t *testing.T) {
		w := open(t, hub, newConfig(kid("a", restart("never"))))
		defer w.finish()
		w.f.opt.ShortageTimeout = time.Second // nothing was read of it yet
		began := time.Now()
		for len(told[event.SpawnFailed](w)) == 0 {
			w.do("lack a")
			w.took()
			if len(told[event.SpawnFailed](w)) == 0 {
				<-time.After(told[event.SpawnDelayed](w)[len(told[event.SpawnDelayed](w))-1].Delay)
			}
		}
		if d := time.Since(began); d < time.Second || d > time.Second+maxSpawnDelay {
			t.Errorf("given up after %v", d)
		}
		if _, err := w.f.ExitStatus(); err == nil {
			t.Error("no reason is told")
		}
	})
}

// What the limits of a child itself refuse its start is its own failure.
func TestOwnLimits(t *testing.T) {
	limit := func(_ *config.Child, i *config.Instance) {
		i.Launch.Attributes.Limits = map[int]unix.Rlimit{unix.RLIMIT_NPROC: {Cur: 1, Max: 1}}
	}
	bubble(t, cfgs(newConfig(kid("a", limit))), func(w *world) {
		w.want("", "spawn a")
		w.want("lack a", "a delayed 50ms") // our own fork
	})
	if spawn.FromStartVerb(fmt.Errorf("x: %w", unix.EAGAIN)) {
		t.Error("a fork is no start verb")
	}
}

// A probe that cannot be started counts for nothing, and is told once in a row.
func TestUnableCheck(t *testing.T) {
	before := []step{{"", "spawn a"}, {"up a", "a ready"}}
	with := func(more ...step) []step { return append(before[:len(before):len(before)], more...) }
	one := cfgs(newConfig(kid("a", checkBy("0s"), killBy(unix.SIGTERM, time.Hour)))) // checks have jitter
	playAll(t, []script{
		{"alone", one, with(
			step{"lacking", ""},
			step{"wait 6s", "try a, a probe alive not started"},
			step{"wait 11s", "try a"},
			step{"wait 11s", "try a"},
			step{"wait 11s", "try a"},
			step{"health", ""})},
		{"between failures", one, with(
			step{"ill", ""},
			step{"wait 6s", "try a, a check alive failed"},
			step{"lacking", ""},
			step{"wait 11s", "try a, a probe alive not started"},
			step{"wait 11s", "try a"},
			step{"ill", ""},
			step{"wait 11s", "try a, a unhealthy, SIGTERM a"})},
	})
}

// Nor does it end the start of a run: the time of the ready block begins anew.
func TestUnableReady(t *testing.T) {
	ready := func(_ *config.Child, i *config.Instance) {
		i.Launch.Ready = &config.Ready{Probe: exec("0s"), Timeout: time.Second}
	}
	bubble(t, cfgs(newConfig(kid("a", ready))), func(w *world) {
		w.want("lacking", "spawn a")
		w.do("up a")
		w.do("wait 1500ms")
		did := w.took()
		if !strings.Contains(did, "a probe ready not started") || strings.Contains(did, "a not ready") {
			t.Errorf("it did %q", did)
		}
		w.do("well")
		w.do("wait 1s")
		if did := w.took(); !strings.Contains(did, "a ready") {
			t.Errorf("it did %q", did)
		}
	})
}

// fewRelays has no descriptors for so many runs.
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

// A lack of descriptors for its output is no failure of a child either.
func TestNoDescriptors(t *testing.T) {
	hub := newHub(t)
	synctest.Test(t, func(t *testing.T) {
		w := open(t, &fewRelays{hub, 2}, newConfig(kid("a", restart("never"))))
		defer w.finish()
		w.want("", "a delayed 50ms")
		w.want("wait 50ms", "a delayed 100ms")
		w.want("wait 100ms", "spawn a")
		w.want("up a", "a ready")
		e := told[event.SpawnDelayed](w)[0]
		if e.Resource != "descriptors" || !strings.Contains(e.Limit, "RLIMIT_NOFILE") {
			t.Errorf("%+v", e)
		}
	})
}
