package process

import (
	"fmt"
	"os"
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"tp0/supervisor/ledger"
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
		fds, err := procfs.Table(os.Getpid(), b.tid)
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

// More descriptors than one message takes come over in order.
func TestHandOverMany(t *testing.T) {
	b := newBench(t)
	var files []int
	for i := range 3*mostRights + 1 {
		fd, err := unix.MemfdCreate(fmt.Sprint("file ", i), unix.MFD_CLOEXEC)
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Close(fd)
		files = append(files, fd)
	}
	got := make(chan error, 1)
	b.hand(files, func(own []int, err error) {
		for i, fd := range own {
			link, e := os.Readlink(fmt.Sprintf("/proc/thread-self/fd/%d", fd))
			if want := fmt.Sprintf("/memfd:file %d (deleted)", i); e != nil || link != want {
				err = fmt.Errorf("%d is %q (%v), want %q", i, link, e, want)
			}
		}
		if len(own) != len(files) {
			err = fmt.Errorf("%d of %d came (%v)", len(own), len(files), err)
		}
		got <- err
	})
	if err := <-got; err != nil {
		t.Error(err)
	}
}

// Once the loop is over, what is handed to it harms nobody: its socket's number
// may be another one's by then.
func TestHandOverToNobody(t *testing.T) {
	book := ledger.NewBook(sinkless{})
	l, err := New(Options{Books: book, Deliver: func([]Fact) {}})
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
	l.hand([]int{0}, func([]int, error) { t.Error("it was done") })
	if messages, err := l.handover.give([]int{0}); err == nil {
		t.Errorf("%d messages went somewhere", messages)
	}
}

// A signal does not overtake the spawn of its run, however far the loop is behind.
func TestSignalsComeAfterTheirSpawns(t *testing.T) {
	b := newBench(t)
	spec := b.silent("sleep")
	busy := make(chan struct{})
	b.cmds.Put(func() { <-busy })
	const n = 48
	for i := range n {
		b.Spawn(RunID(i+1), spec)
		b.Signal(RunID(i+1), unix.SIGKILL, 1, None)
	}
	close(busy)
	for i := range n {
		if e := b.exited(RunID(i + 1)); e.Exit.Signal != "SIGKILL" {
			t.Errorf("run %d: %+v", i+1, e.Exit)
		}
	}
}
