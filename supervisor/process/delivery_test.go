package process

import (
	"fmt"
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"tp0/supervisor/event"
	"tp0/supervisor/process/phase"
)

// fillQueue submits so many fd scans that the next one waits in the queue.
func (b *testLoop) fillQueue() {
	for range maxScanBacklog {
		b.workers.submit(func() {})
	}
}

// queued starts a daemon whose parent stays the main process, lets the fd scan wait in the
// queue, and ends the main process. It returns the pid of the daemon.
func (b *testLoop) queued() (id ID, pid int, unblock func()) {
	b.t.Helper()
	id, out := b.start("daemon ignore-term stay")
	if _, err := fmt.Fscanf(out, "daemon %d ready", &pid); err != nil {
		b.t.Fatal(err)
	}
	unblock = b.blockScans()
	b.fillQueue()
	b.Signal(id, unix.SIGINT, 1, event.ProofExact)
	main, state := make(chan int, 1), make(chan phase.State, 1)
	b.commands.Put(func() {
		c := b.processes[id]
		main <- c.pid
		state <- c.stop.delivery.State
	})
	if s := <-state; s != phase.Queued {
		b.t.Errorf("the signal is %v", s)
	}
	_ = unix.Kill(<-main, unix.SIGKILL)
	if e := b.exited(id); len(e.Survivors) != 1 || e.Survivors[0].Pid != pid {
		b.t.Errorf("survivors: %v", e.Survivors)
	}
	return id, pid, unblock
}

// TestMainEndsInQueue: when a main process ends while its fd scan waits in the queue, its
// survivors get the pending step.
func TestMainEndsInQueue(t *testing.T) {
	b := newTestLoop(t)
	_, pid, unblock := b.queued()
	unblock()
	s := wait(b, func(s Signalled) bool { return s.Pid == pid })
	if s.Signal != unix.SIGINT || s.Step != 1 {
		t.Errorf("got %+v, want SIGINT as step 1", s)
	}
}

// TestStepsStayInOrder: a step that comes after the end of the main process follows the pending
// steps.
func TestStepsStayInOrder(t *testing.T) {
	b := newTestLoop(t)
	id, pid, unblock := b.queued()
	defer unblock()
	rungs := make(chan []int, 1)
	b.commands.Put(func() {
		c := b.processes[id]
		b.sendStep(c, pendingSignal{unix.SIGKILL, 2}, event.ProofExact)
		var all []int
		for _, s := range c.tree.steps {
			all = append(all, s.step)
		}
		rungs <- all
	})
	if got := <-rungs; !slices.Equal(got, []int{1, 2}) {
		t.Errorf("steps %v", got)
	}
	wait(b, func(s Signalled) bool { return s.Pid == pid && s.Signal == unix.SIGKILL })
	wait(b, func(e TreeEnded) bool { return e.Process == id })
}
