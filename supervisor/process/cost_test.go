package process

import (
	"fmt"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"

	"tp0/supervisor/event"
)

// mallocs counts the allocations of do, those of other goroutines included.
func mallocs(do func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	do()
	runtime.ReadMemStats(&after)
	return after.Mallocs - before.Mallocs
}

// TestCostOfChild: a child costs a few small objects at its start and its reap, and no
// goroutine while it runs.
func TestCostOfChild(t *testing.T) {
	b := newTestLoop(t)
	spec := b.silentSpec("sleep")
	const n = 100
	id := func(i int) ID { return ID(i + 1) }
	start := func() {
		for i := range n {
			b.Spawn(id(i), spec)
		}
		for i := range n {
			wait(b, func(s Spawned) bool { return s.Process == id(i) })
		}
	}
	b.Responds(t.Context()) // its goroutines are started
	before := runtime.NumGoroutine()
	started := mallocs(start)
	// The first spawn of a program starts a scan, which ends.
	b.workers.goroutines.Wait()
	if more := runtime.NumGoroutine() - before; more > 0 {
		t.Errorf("%d goroutines more for %d children", more, n)
	}
	reaped := mallocs(func() {
		for i := range n {
			b.Signal(id(i), unix.SIGKILL, 1, event.ProofNone)
		}
		for i := range n {
			b.exited(id(i))
		}
	})
	t.Logf("%.1f allocations to start a child, %.1f to stop and reap it", float64(started)/n,
		float64(reaped)/n)
	if started/n > 40 {
		t.Errorf("%d allocations to start a child", started/n)
	}
	if reaped/n > 20 {
		t.Errorf("%d allocations to stop and reap a child", reaped/n)
	}
}

// TestCostOfOrphan: an orphan is reaped with its name for a few allocations.
func TestCostOfOrphan(t *testing.T) {
	b := newTestLoop(t)
	const n = 300
	spec := b.silentSpec("sleep")
	script := fmt.Sprintf("i=0; while [ $i -lt %d ]; do (: &); i=$((i+1)); done", n)
	all := mallocs(func() {
		spec.Path, spec.Argv = "/bin/sh", []string{"sh", "-c", script}
		b.Spawn(1, spec)
		for range n {
			wait(b, func(OrphanReaped) bool { return true })
		}
	})
	t.Logf("%.1f allocations an orphan", float64(all)/n)
	if all/n > 15 {
		t.Errorf("%d allocations an orphan", all/n)
	}
}
