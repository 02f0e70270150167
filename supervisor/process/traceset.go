package process

import (
	"time"

	"tp0/supervisor/process/proof"
)

// These bound the number of descendants of one child process that are traced at a time. To scan
// and trace a descendant and to see its end takes up to 1 ms on a busy machine. All of them may
// take a sixteenth of the time that the final stop has left.
const (
	minTraced   = 64
	maxTraced   = 1024
	tracedShare = 16 * time.Millisecond // of the time left, for each descendant
)

// maxTracedNow returns the current limit.
func (l *Loop) maxTracedNow() int {
	if l.budget.End.IsZero() {
		return maxTraced
	}
	return max(minTraced, min(maxTraced, int(time.Until(l.budget.End)/tracedShare)))
}

// traceSetOf returns the trace set of a child process. For nil it returns that of the orphans.
func (l *Loop) traceSetOf(c *childProcess) *traceSet {
	if c == nil || c.main == nil {
		return &l.orphanSet
	}
	return &c.main.traceSet
}

// mayTrace reports whether one more process of a tree may be traced, and records the process if
// not.
func (l *Loop) mayTrace(c *childProcess, pid int) bool {
	x := l.traceSetOf(c)
	if x.traced > 0 && x.traced >= l.maxTracedNow() {
		x.addUntraced(pid)
		return false
	}
	return true
}

// updateTraceSet counts a process in its trace set while it is traced.
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

// treeSocketsOf returns the sockets of a process tree. For nil it returns those of the orphans
// without a known process tree.
func (l *Loop) treeSocketsOf(c *childProcess) *treeSockets {
	if c == nil {
		return &l.orphanSockets
	}
	return &c.tree.sockets
}
