package orchestrator

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"tp0/supervisor/api"
	"tp0/supervisor/config"
	"tp0/supervisor/event"
	"tp0/supervisor/openfds"
)

// fakeFDs plays the open descriptors of all processes.
type fakeFDs struct {
	mu     sync.Mutex
	counts int           // the number of counts
	open   func(int) int // the number of files at the count n; nil: it cannot be read
	slow   time.Duration // that a count takes
}

func (f *fakeFDs) count(ctx context.Context, pid int) ([]openfds.Counted, error) {
	f.mu.Lock()
	f.counts++
	n, open, slow := f.counts, f.open, f.slow
	f.mu.Unlock()
	select {
	case <-time.After(slow):
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if open == nil {
		return nil, errors.New("they cannot be read")
	}
	return []openfds.Counted{{
		Pid: pid, StartTime: 1, Limit: 1024, Kinds: map[string]int{"file": open(n)},
	}}, nil
}

func (f *fakeFDs) common(context.Context, int, []string) []api.FDTarget {
	return []api.FDTarget{{Kind: "file", Target: "/x", Open: 9}}
}

// plan sets what the next counts find.
func (f *fakeFDs) plan(open func(int) int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.open, f.counts = open, 0
}

// made returns the number of counts since plan.
func (f *fakeFDs) made() int {
	synctest.Wait()
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.counts
}

func watchFDs(d time.Duration) change {
	return policy(func(p *config.Policy) { p.WatchFDs = d })
}

func leaking(n int) int { return 10 + n }

// leaks returns the reports of leaks, and warnings.
func leaks(h *harness) string {
	var all []string
	for _, e := range eventsOf[event.FDLeakSuspected](h) {
		all = append(all, fmt.Sprintf("%s %s %v", e.Child, e.Grown, e.Targets))
	}
	for _, e := range eventsOf[event.FDLimitNear](h) {
		all = append(all, fmt.Sprintf("%s %d of %d", e.Child, e.Open, e.Limit))
	}
	for _, e := range eventsOf[event.Warning](h) {
		all = append(all, e.What+": "+e.Reason)
	}
	return strings.Join(all, "; ")
}

// TestWatchFDs lets a process leak: one warning after ten counts, and one near the limit.
func TestWatchFDs(t *testing.T) {
	for name, tt := range map[string]struct {
		open  func(int) int
		wait  string
		count int
		want  string
	}{
		"nine counts":   {leaking, "9m30s", 9, ""},
		"ten counts":    {leaking, "10m30s", 10, "a [file from 11 to 20 in 10 counts] [9 file /x]"},
		"sixty counts":  {leaking, "1h30s", 60, "a [file from 11 to 20 in 10 counts] [9 file /x]"},
		"no leak":       {func(n int) int { return 10 + n%3 }, "1h30s", 60, ""},
		"at the limit":  {func(int) int { return 1000 }, "1h30s", 60, "a 1000 of 1024"},
		"not readable":  {nil, "1h30s", 60, "descriptors not counted: a: they cannot be read"},
		"before a turn": {leaking, "59s", 0, ""},
	} {
		t.Run(name, func(t *testing.T) {
			withHarness(t, configs(newConfig(child("a", watchFDs(time.Minute)))), func(h *harness) {
				h.fds.plan(tt.open)
				h.do("spawned a")
				h.do("wait " + tt.wait)
				if n := h.fds.made(); n != tt.count {
					t.Errorf("got %d counts, want %d", n, tt.count)
				}
				if got := leaks(h); got != tt.want {
					t.Errorf("got %q, want %q", got, tt.want)
				}
			})
		})
	}
}

// TestWhyFDs explains a leak and a near limit until they are over.
func TestWhyFDs(t *testing.T) {
	for _, tt := range []struct {
		open          func(n int) int
		during, after string
	}{
		{func(n int) int { return 10 + n%11 }, // the count 11 finds 10
			"a leaks descriptors: file from 11 to 20 in 10 counts.",
			"a is ready, and nothing is known to be wrong."},
		{func(n int) int { return 1000 / (1 + n/11) },
			"a is near its limit of descriptors: 1000 of 1024 are open.",
			"a is ready, and nothing is known to be wrong."},
	} {
		withHarness(t, configs(newConfig(child("a", watchFDs(time.Minute)))), func(h *harness) {
			h.fds.plan(tt.open)
			h.do("spawned a")
			h.do("wait 10m30s")
			if answer, _ := h.why("a"); answer != tt.during {
				t.Errorf("got %q, want %q", answer, tt.during)
			}
			h.do("wait 1m")
			if answer, _ := h.why("a"); answer != tt.after {
				t.Errorf("after the recovery: got %q, want %q", answer, tt.after)
			}
		})
	}
}

// TestWatchFDsEnds counts nothing without watch_fds, in a stop, and after the end of the process. A
// reload changes the interval of a process that runs.
func TestWatchFDsEnds(t *testing.T) {
	const never = 1000 * time.Hour
	withHarness(t, configs(
		newConfig(child("a", onFailure(config.Ignore))),
		newConfig(child("a", onFailure(config.Ignore), watchFDs(time.Minute))),
		newConfig(child("a", onFailure(config.Ignore), watchFDs(time.Hour))),
	), func(h *harness) {
		expect := func(do string, want int) {
			t.Helper()
			h.fds.plan(leaking)
			h.do(do)
			if n := h.fds.made(); n != want {
				t.Errorf("%s: got %d counts, want %d", do, n, want)
			}
		}
		h.do("spawned a")
		expect("wait 10h", 0)
		h.do("reload 1")
		expect("wait 5m30s", 5)
		h.do("reload 2")
		expect("wait 90m", 1)
		h.do("reload 0")
		expect("wait 10h", 0)
		h.do("reload 1")
		h.fds.slow = never
		expect("wait 10m", 8) // each ends after ten seconds, and the next one is due 1m later
		h.do("exit a 1")
		expect("wait 1s", 0)
		h.do("spawned a")
		h.fds.slow = 0
		expect("wait 90s", 1)
		h.do("TERM")
		expect("wait 1s", 0)
	})
}
