package process

import (
	"time"

	"tp0/supervisor/process/proof"
)

// The number of descendants of one child that are traced at a time. To scan one, to trace it and
// to see its end takes up to a millisecond on a busy machine, so of the time that the final stop
// has left it may be a sixteenth.
const (
	minTraced   = 64
	maxTraced   = 1024
	tracedShare = 16 * time.Millisecond // of the time left, for each of them
)

func (l *Loop) maxTracedNow() int {
	if l.budget.End.IsZero() {
		return maxTraced
	}
	return max(minTraced, min(maxTraced, int(time.Until(l.budget.End)/tracedShare)))
}

// traceSetOf is that of a run, or of all orphans that are in no tree.
func (l *Loop) traceSetOf(c *childProcess) *traceSet {
	if c == nil || c.observed == nil {
		return &l.orphanSet
	}
	return &c.observed.traceSet
}

// mayTrace reports whether one more process of a tree may be traced.
func (l *Loop) mayTrace(c *childProcess, pid int) bool {
	x := l.traceSetOf(c)
	if x.traced > 0 && x.traced >= l.maxTracedNow() {
		x.addUntraced(pid)
		return false
	}
	return true
}

// updateTraceSet counts a process as one of its tree while it is traced.
func (l *Loop) updateTraceSet(o *observed) {
	if counts := !o.isMain() && o.machine.State < proof.Ended; counts != o.counted {
		o.counted = counts
		if counts {
			l.traceSetOf(o.owner).traced++
		} else {
			l.traceSetOf(o.owner).traced--
		}
	}
}
