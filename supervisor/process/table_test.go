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

// A fork copies what the thread has that calls it: however many descriptors we
// have, and however many runs, that is next to nothing.
func TestTheLoopHasATableOfItsOwn(t *testing.T) {
	listening(t, 100) // of ours, from before
	b := newBench(t)
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
	if len(few) > 3+3 { // streams; the poller, its event, the handover
		t.Errorf("its table: %v", few)
	}
	listening(t, 50)
	for range 20 {
		b.spawn("sleep")
	}
	if many := kinds(); !slices.Equal(few, many) {
		t.Errorf("its table was %v, and with more of everything is %v", few, many)
	}
}

// The main thread's table is what the world sees of us, and stays the one that
// all others share.
func TestTheMainThreadStaysInTheHouse(t *testing.T) {
	for range 50 { // the scheduler chooses
		b := newBench(t)
		b.spawn("sleep")
		if b.tid == os.Getpid() {
			t.Fatal("the loop runs on the main thread")
		}
	}
}

// Once the loop is over, what is handed to it harms nobody.
func TestHandAfterTheEnd(t *testing.T) {
	book := fdledger.New(sinkless{})
	l, err := New(Options{FDs: book, Deliver: func([]Fact) {}})
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	if err := l.Run(); err != nil {
		t.Error(err)
	}
	if opened, closed := book.Counts(); opened != closed {
		t.Errorf("%d descriptors opened, %d closed", opened, closed)
	}
	l.withFDs([]int{0}, func([]int, error) { t.Error("it was done") })
}

// A signal does not overtake the spawn of its run, however far the loop is behind.
func TestSignalsComeAfterTheirSpawns(t *testing.T) {
	b := newBench(t)
	spec := b.silent("sleep")
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
			t.Errorf("run %d: %+v", i+1, e.Exit)
		}
	}
}
