package app

import (
	"fmt"
	"os"
	"runtime/debug"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"tp0/supervisor/event"
)

// The memory is released twice. The delays are counted from the moment when the last child became
// ready: the first one keeps the memory low if many children start, and the second one follows the
// inspection of the last process, which maps as many pages again.
const (
	releaseDelay  = 200 * time.Millisecond
	releaseAgain  = 1500 * time.Millisecond // the inspection is 1 s after ready, see orchestrator
	releaseRounds = 2
)

// manyChildren is the number of children from which the second release collects garbage too. With
// one child a collection touches more pages than it frees (0.3 MB), with 1,000 it frees 4 MB.
const manyChildren = 100

// startupMemory releases the memory that only the start needs: code and tables that are used
// once, to load a configuration and to set up the process. They are pages of the program
// file (madvise(2), MADV_DONTNEED on a private mapping that is only read), so the page cache
// still has them for a later use.
//
// An idle supervisor with one child has a PSS of 13.5 MB without a release. It has 7.7 MB after the
// first release and the inspection, and 3.2 MB after the second release.
type startupMemory struct {
	timer   *time.Timer
	ready   atomic.Int32  // how often a child became ready
	rounds  atomic.Int32  // releases since the last child became ready
	done    atomic.Bool   // the memory was released, or will not be
	running chan struct{} // full during a release, and after close
}

// newStartupMemory returns a startupMemory that calls release. collect says whether to collect
// garbage first.
func newStartupMemory(release func(collect bool)) *startupMemory {
	c := &startupMemory{running: make(chan struct{}, 1)}
	c.timer = time.AfterFunc(time.Hour, func() {
		select {
		case c.running <- struct{}{}:
		default:
			return // closed
		}
		defer func() { <-c.running }()
		if c.done.Load() {
			return
		}
		release(c.rounds.Load() == releaseRounds-1 && c.ready.Load() >= manyChildren)
		if c.rounds.Add(1) < releaseRounds {
			c.timer.Reset(releaseAgain - releaseDelay)
		} else {
			c.done.Store(true)
		}
	})
	c.timer.Stop()
	return c
}

// emit follows the start of the children. It does nothing once the memory was released twice, or
// a stop has begun.
func (c *startupMemory) emit(e event.Event) {
	switch e.(type) {
	case event.Ready, event.Completed:
		if !c.done.Load() {
			c.ready.Add(1)
			c.rounds.Store(0)
			c.timer.Reset(releaseDelay)
		}
	case event.SignalReceived, event.ShutdownBegun:
		c.done.Store(true) // a stop must not wait for it
	}
}

// close prevents a later release, and waits for one that is under way: it has a descriptor open
// that the ledger does not have.
func (c *startupMemory) close() {
	c.done.Store(true)
	c.running <- struct{}{}
	c.timer.Stop()
}

// releaseMemory releases the read-only pages of the program, and garbage too if collect is true.
func releaseMemory(collect bool) {
	if collect {
		debug.FreeOSMemory()
	}
	releaseMappings()
}

// releaseMappings releases the read-only pages of files. A page that is needed later is mapped
// again from the page cache. A dynamic linker writes relocations into pages that it then makes
// read-only (ld.so(8), RELRO); their content is in no file. So only code is released where a
// dynamic linker was at work: in builds with cgo or as a position-independent executable.
func releaseMappings() {
	dynamic := dynamicallyLinked()
	maps, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		return
	}
	var released [][2]uintptr
	for line := range strings.Lines(string(maps)) {
		var from, to, offset uintptr
		var mode, device, path string
		var inode uint64
		n, _ := fmt.Sscanf(
			line, "%x-%x %s %x %s %d %s", &from, &to, &mode, &offset, &device, &inode, &path,
		)
		code := strings.Contains(mode, "x")
		if n == 7 && inode != 0 && !strings.Contains(mode, "w") && (code || !dynamic) {
			released = append(released, [2]uintptr{from, to})
		}
	}
	for _, r := range released { // last: what runs after it is mapped again
		_, _, _ = unix.Syscall(unix.SYS_MADVISE, r[0], r[1]-r[0], unix.MADV_DONTNEED)
	}
}

// dynamicallyLinked reports whether the kernel started a dynamic linker for this program
// (getauxval(3), AT_BASE). It returns true if that is not known.
func dynamicallyLinked() bool {
	const baseOfInterpreter = 7 // AT_BASE
	values, err := unix.Auxv()
	for _, v := range values {
		if v[0] == baseOfInterpreter {
			return v[1] != 0
		}
	}
	return err != nil
}
