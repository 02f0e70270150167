package process

import (
	"os"
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"tp0/supervisor/event"
	"tp0/supervisor/fdledger"
	"tp0/supervisor/procfs"
)

// TestLoopHasOwnFDTable: a fork copies the descriptor table of the calling thread. The table of
// the loop's thread stays small for any number of descriptors and processes.
func TestLoopHasOwnFDTable(t *testing.T) {
	listenSockets(t, 100) // opened before the loop starts
	b := newTestLoop(t)
	for range 5 {
		b.spawn("sleep")
	}
	kinds := func() (kinds []string) {
		fds, err := procfs.ReadFDs(os.Getpid(), b.tid)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range fds {
			kinds = append(kinds, f.Kind)
		}
		slices.Sort(kinds)
		return kinds
	}
	few := kinds()
	if len(few) > 3+4 { // standard streams; epoll and its eventfd, that of SIGCHLD, handover
		t.Errorf("its table: %v", few)
	}
	listenSockets(t, 50)
	for range 20 {
		b.spawn("sleep")
	}
	if many := kinds(); !slices.Equal(few, many) {
		t.Errorf("its table was %v, and with more of everything is %v", few, many)
	}
}

// TestLoopIsNotOnMainThread: /proc/PID/fd shows the table of the main thread, so that thread
// keeps the table that the other threads share.
func TestLoopIsNotOnMainThread(t *testing.T) {
	for range 50 { // the scheduler chooses the thread the thread
		b := newTestLoop(t)
		b.spawn("sleep")
		if b.tid == os.Getpid() {
			t.Fatal("the loop runs on the main thread")
		}
	}
}

// TestWithFDsAfterClose: descriptors that are handed over after the end of the loop are closed.
func TestWithFDsAfterClose(t *testing.T) {
	ledger := fdledger.New(noSink{})
	l, err := New(Options{FDs: ledger, Deliver: func([]Fact) {}})
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	if err := l.Run(); err != nil {
		t.Error(err)
	}
	if opened, closed := ledger.Counts(); opened != closed {
		t.Errorf("%d descriptors opened, %d closed", opened, closed)
	}
	l.withFDs([]int{0}, func([]int, error) { t.Error("it was done") })
}

// TestSignalFollowsSpawn: a signal does not overtake the spawn of its process when the loop is
// late.
func TestSignalFollowsSpawn(t *testing.T) {
	b := newTestLoop(t)
	spec := b.silentSpec("sleep")
	busy := make(chan struct{})
	b.commands.Put(func() { <-busy })
	const n = 48
	for i := range n {
		b.Spawn(ID(i+1), spec)
		b.Signal(ID(i+1), unix.SIGKILL, 1, event.ProofNone)
	}
	close(busy)
	for i := range n {
		if e := b.exited(ID(i + 1)); e.Exit.Signal != "SIGKILL" {
			t.Errorf("process %d: %+v", i+1, e.Exit)
		}
	}
}
