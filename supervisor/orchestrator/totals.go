package orchestrator

import (
	"slices"

	"golang.org/x/sys/unix"
)

// counts are what the verdict is made of.
type counts struct {
	killed    int // processes that got SIGKILL
	escalated int // instances that got a later signal than the first one
	left      int // descriptors that children left open
	findings  int // those of left that are findings
	unproven  int // processes that ended without an exact proof
}

// totals count what the end of the supervisor is judged by.
type totals struct {
	spawned, reaped, orphans int
	counts
	beforeStop    counts   // the counts when the stop began
	beforeEnd     *counts  // the counts before the end that is being handled; nil: none is
	lastEnd       counts   // the counts before the end that was handled last
	unprovenNames []string // the newest of unproven, maxUnproven at most
	survived      int      // processes that outlived the orphan cleanup
	critical      int      // the exit code of a critical child that caused the stop
	fault         bool     // internal fault
	status        unix.WaitStatus
	spawnError    error // of the last process; nil: it was spawned
}

// maxUnproven bounds the names of processes without an exact proof.
const maxUnproven = 100

// addUnproven counts a process without an exact proof.
func (t *totals) addUnproven(name string) {
	t.unproven++
	t.unprovenNames = append(t.unprovenNames, name)
	if len(t.unprovenNames) > maxUnproven {
		t.unprovenNames = slices.Delete(t.unprovenNames, 0, 1)
	}
}

// unprovenInStop returns the names of those that ended in the stop.
func (t *totals) unprovenInStop() []string {
	n := min(len(t.unprovenNames), t.inStop().unproven)
	return t.unprovenNames[len(t.unprovenNames)-n:]
}

// inStop returns the counts of the stop: the verdict judges nothing before it.
func (t *totals) inStop() counts {
	b := t.beforeStop
	return counts{
		t.killed - b.killed, t.escalated - b.escalated, t.left - b.left,
		t.findings - b.findings, t.unproven - b.unproven,
	}
}

// startStop notes that the stop begins: now, or with the end that is being handled.
func (t *totals) startStop() {
	t.beforeStop = t.counts
	if t.beforeEnd != nil {
		t.beforeStop = *t.beforeEnd
	}
}

// handleEnd calls handle for the end of a process. If handle begins the stop, everything that was
// counted since before belongs to the stop.
func (t *totals) handleEnd(before counts, handle func()) {
	t.beforeEnd, t.lastEnd = &before, before
	handle()
	t.beforeEnd = nil
}
