// Package cause says why a process ended unexpectedly, if the kernel knows more than the exit
// status: the OOM killer killed it, or an address that it needs is in use.
package cause

import (
	"context"
	"time"

	"tp0/supervisor/limits"
)

// maxTime bounds how long a search takes.
const maxTime = 300 * time.Millisecond

// Finder finds causes. Its methods may be called by any goroutine.
type Finder struct{ oom oomCounters }

// NewFinder returns a Finder. It reads the counters of the OOM killer, so it must be called before
// the first process is started.
func NewFinder() *Finder {
	f := &Finder{oom: oomCounters{files: systemFiles}}
	f.oom.last = readOOMCounts(systemFiles)
	return f
}

// Find returns what is known about an end beside its exit status. Empty: nothing. It waits for the
// files of the kernel, for 300 ms at most.
func (f *Finder) Find(e End) string {
	ctx, cancel := context.WithTimeout(context.Background(), maxTime)
	defer cancel()
	found := make(chan string, 1)
	go func() { // nothing waits for it: a read of /proc can take any time
		limits.ReadSlots.Run(func() { found <- f.find(ctx, e) })
	}()
	select {
	case text := <-found:
		return text
	case <-ctx.Done():
		return ""
	}
}

func (f *Finder) find(ctx context.Context, e End) string {
	if text := f.oom.explain(e); text != "" || e.Killed {
		return text
	}
	return inUse(ctx, e)
}
