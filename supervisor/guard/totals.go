package guard

import (
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"tp0/supervisor/event"
)

// totals are the numbers of the last line, counted from events. Any goroutine may call the methods.
type totals struct {
	mu      sync.Mutex
	sums    event.ShutdownComplete
	running map[int]string // pid of a child that is not reaped → the name of the instance
	killed  map[int]bool   // pid that got SIGKILL → whether that was in the stop
}

func newTotals() *totals { return &totals{running: map[int]string{}, killed: map[int]bool{}} }

// add counts an event. stopping says that a stop has started: what happened before it is counted
// apart.
func (t *totals) add(e event.Event, stopping bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch e := e.(type) {
	case event.Spawned:
		t.sums.Spawned++
		t.running[e.Pid] = e.Child
		t.forgetFailed(e.Child)
	case event.Reaped:
		t.sums.Reaped++
		t.countLeft(e.Left, e.Findings, stopping)
		t.countProof(e.Proof, stopping)
		delete(t.running, e.Pid)
		delete(t.killed, e.Pid) // the pid may belong to another process from now on
	case event.DescendantEnded:
		t.countLeft(e.Left, e.Findings, stopping)
		t.countProof(e.Proof, stopping)
	case event.OrphanReaped:
		t.sums.Orphans++
		delete(t.killed, e.Pid)
	case event.SignalSent:
		if e.Signal == "SIGKILL" {
			t.countKill(e.Pid, stopping)
		}
	case event.Failed:
		t.addFailed(e.Child)
	case event.ConfigReloaded:
		t.forgetFailed(e.Removed...)
	case event.FDOpened:
		t.sums.Opened++
	case event.FDClosed:
		if e.Owner == "supervisor" {
			t.sums.Closed++
		}
	}
}

// addFailed adds an instance that failed permanently. An instance that still has a process does not
// count: the new process of an overlapping update failed. The caller holds the lock.
func (t *totals) addFailed(name string) {
	for _, running := range t.running {
		if running == name {
			return
		}
	}
	t.forgetFailed(name)
	t.sums.Failed = append(t.sums.Failed, name)
}

// forgetFailed removes instances that have a new process or are no longer configured. The caller
// holds the lock.
func (t *totals) forgetFailed(names ...string) {
	t.sums.Failed = slices.DeleteFunc(t.sums.Failed, func(name string) bool {
		return slices.Contains(names, name)
	})
}

// countLeft counts the leaked descriptors of a process. The caller holds the lock.
func (t *totals) countLeft(left, findings int, stopping bool) {
	if !stopping {
		t.sums.LeftBefore += left
		return
	}
	t.sums.Left += left
	t.sums.Findings += findings
}

// countProof counts a process of the stop that ended without an exact proof. The caller holds the
// lock.
func (t *totals) countProof(p event.Proof, stopping bool) {
	if stopping && p != event.ProofExact {
		t.sums.Unproven++
	}
}

// countKill counts each process once in the stop, and once before it. The caller holds the lock.
func (t *totals) countKill(pid int, stopping bool) {
	inStop, known := t.killed[pid]
	switch {
	case stopping && !inStop:
		t.sums.Killed++
	case !stopping && !known:
		t.sums.KilledBefore++
	default:
		return
	}
	t.killed[pid] = stopping
}

// addKill counts a process that the guard killed.
func (t *totals) addKill(pid int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.countKill(pid, true)
}

// addReap counts a process that the guard reaped. There is no proof of how a child ended then.
func (t *totals) addReap(pid int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if _, ok := t.running[pid]; ok {
		delete(t.running, pid)
		t.sums.Reaped++
		t.sums.Unproven++
	} else {
		t.sums.Orphans++
	}
}

// children returns the pids of the children that are not reaped.
func (t *totals) children() (pids []int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for pid := range t.running {
		pids = append(pids, pid)
	}
	return pids
}

// final returns the totals of a stop that the guard ended. A child that does not exist any more was
// reaped by the process loop, which could not report it.
func (t *totals) final(deadline time.Time, limit time.Duration) event.ShutdownComplete {
	for _, pid := range t.children() {
		if unix.Kill(pid, 0) == unix.ESRCH {
			t.addReap(pid)
		}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	e := t.sums
	e.Failed = slices.Clone(e.Failed)
	e.Verdict, e.Deadline = event.Forced, limit
	e.Elapsed = time.Since(deadline) + e.Deadline
	return e
}
