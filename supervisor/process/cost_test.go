package process

import (
	"fmt"
	"os"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"

	"tp0/supervisor/fixture"
)

// mallocs counts what do allocates, other goroutines included.
func mallocs(do func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	do()
	runtime.ReadMemStats(&after)
	return after.Mallocs - before.Mallocs
}

// What a child costs us in things that no clock decides: a few small objects to
// start it and to reap it, and no goroutine while it runs.
func TestWhatAChildCosts(t *testing.T) {
	b := newBench(t)
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	fd := int(null.Fd())
	path, env := fixture.Command("sleep")
	spec := Spec{Name: "c", Path: path, Argv: []string{path}, Env: append(os.Environ(), env...), Stdin: fd, Stdout: fd, Stderr: fd}
	const n = 100
	id := func(i int) RunID { return RunID(i + 1) }
	start := func() {
		for i := range n {
			b.Spawn(id(i), spec)
		}
		for i := range n {
			wait(b, func(s Spawned) bool { return s.Run == id(i) })
		}
	}
	before := runtime.NumGoroutine()
	started := mallocs(start)
	// The first spawn of a program has a look at it, which ends.
	b.lookers.all.Wait()
	if more := runtime.NumGoroutine() - before; more > 0 {
		t.Errorf("%d goroutines more for %d children", more, n)
	}
	reaped := mallocs(func() {
		for i := range n {
			b.Signal(id(i), unix.SIGKILL, 1, None)
		}
		for i := range n {
			b.exited(id(i))
		}
	})
	t.Logf("%.1f allocations to start a child, %.1f to stop and reap it", float64(started)/n, float64(reaped)/n)
	if started/n > 40 {
		t.Errorf("%d allocations to start a child", started/n)
	}
	if reaped/n > 20 {
		t.Errorf("%d allocations to stop and reap a child", reaped/n)
	}
}

// An orphan is reaped with its name for a handful of allocations.
func TestWhatAnOrphanCosts(t *testing.T) {
	b := newBench(t)
	const n = 300
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	fd := int(null.Fd())
	script := fmt.Sprintf("i=0; while [ $i -lt %d ]; do (: &); i=$((i+1)); done", n)
	all := mallocs(func() {
		b.Spawn(1, Spec{Name: "sh", Path: "/bin/sh", Argv: []string{"sh", "-c", script}, Stdin: fd, Stdout: fd, Stderr: fd})
		for range n {
			wait(b, func(OrphanReaped) bool { return true })
		}
	})
	t.Logf("%.1f allocations an orphan", float64(all)/n)
	if all/n > 15 {
		t.Errorf("%d allocations an orphan", all/n)
	}
}
