package guard

import (
	"time"

	"golang.org/x/sys/unix"

	"tp0/supervisor/event"
)

// totals are what the last line tells.
type totals struct {
	event.ShutdownComplete
	runs   map[int]bool // pids of children that run
	killed map[int]bool // pids that got SIGKILL
}

func newTotals() totals { return totals{runs: map[int]bool{}, killed: map[int]bool{}} }

// Emit counts an event, and arms the guard when a stop begins.
func (g *Guard) Emit(e event.Event) {
	if _, ok := e.(event.ShutdownBegun); ok {
		g.Arm()
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	c := &g.count
	switch e := e.(type) {
	case event.Spawned:
		c.Spawned++
		c.runs[e.Pid] = true
	case event.Reaped:
		c.Reaped++
		c.Left += e.Left
		delete(c.runs, e.Pid)
		c.reuse(e.Pid)
	case event.DescendantEnded:
		c.Left += e.Left
	case event.OrphanReaped:
		c.Orphans++
		c.reuse(e.Pid)
	case event.SignalSent:
		if e.Signal == "SIGKILL" && g.begun.Load() != 0 && !c.killed[e.Pid] {
			c.killed[e.Pid] = true
			c.Killed++
		}
	case event.FDOpened:
		c.Opened++
	case event.FDClosed:
		if e.Owner == "supervisor" {
			c.Closed++
		}
	}
}

// reuse forgets a pid, which may belong to another process from now on.
func (t *totals) reuse(pid int) { delete(t.killed, pid) }

// kills counts a process that the guard killed.
func (g *Guard) kills(pid int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.count.killed[pid] {
		g.count.killed[pid] = true
		g.count.Killed++
	}
}

// reaps counts a process whose status the guard collected.
func (g *Guard) reaps(pid int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.count.runs[pid] {
		delete(g.count.runs, pid)
		g.count.Reaped++
	} else {
		g.count.Orphans++
	}
}

// runs are the pids of the children that are not known to be reaped.
func (g *Guard) runs() (pids []int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for pid := range g.count.runs {
		pids = append(pids, pid)
	}
	return pids
}

// totals are the totals that are known at the end. A child that is gone was
// reaped by the process loop, which could not tell.
func (g *Guard) totals(deadline time.Time) event.ShutdownComplete {
	for _, pid := range g.runs() {
		if unix.Kill(pid, 0) == unix.ESRCH {
			g.reaps(pid)
		}
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	e := g.count.ShutdownComplete
	e.Verdict, e.Deadline = event.Forced, time.Duration(g.limit.Load())
	e.Elapsed = time.Since(deadline) + e.Deadline
	return e
}
