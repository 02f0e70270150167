package app

import (
	"fmt"
	"os"
	"runtime/debug"
	"runtime/metrics"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"tp0/supervisor/event"
)

// idleDelay is the time from the last activity to the release. It is longer than the time from
// ready to the inspection of a process (1 s, see orchestrator), which has no event if all is well.
const idleDelay = 1500 * time.Millisecond

// minGarbage is the garbage, in bytes, from which a release collects it. The start of one child
// allocates 0.6 MB, most of it still in use: there a collection touches more memory than it frees.
const minGarbage = 768 << 10

// idleMemory releases memory that an idle supervisor does not need: garbage from minGarbage on, and
// pages of mapped files with code and tables that are used once, such as to load a configuration or
// to answer a request (madvise(2), MADV_DONTNEED on a private mapping that is only read). The page
// cache still has them for a later use.
//
// A release follows idleDelay after the last activity: an event or an answer. Each activity
// postpones the release. A request that follows events or logs can stay open for hours: the fd
// ledger has an event when its connection opens and closes, and the lines it sends are no activity.
//
// An idle supervisor with one child has a PSS of 14 MiB without a release, and 4 MiB after one.
type idleMemory struct {
	timer    *time.Timer
	stopping func() bool   // a stop has begun: it needs the pages, and must not wait for a release
	running  chan struct{} // full during a release, and after close
}

// newIdleMemory returns an idleMemory that calls release until stopping returns true.
func newIdleMemory(stopping func() bool, release func()) *idleMemory {
	m := &idleMemory{stopping: stopping, running: make(chan struct{}, 1)}
	m.timer = time.AfterFunc(time.Hour, func() {
		select {
		case m.running <- struct{}{}:
		default:
			return // closed
		}
		defer func() { <-m.running }()
		if !stopping() {
			release()
		}
	})
	m.timer.Stop()
	return m
}

// emit counts every event as activity, because the supervisor did something.
func (m *idleMemory) emit(event.Event) { m.used() }

// used postpones the release. Any goroutine may call it, also after close.
func (m *idleMemory) used() {
	if !m.stopping() {
		m.timer.Reset(idleDelay)
	}
}

// close prevents a later release, and waits for one that is under way: it has a descriptor open
// that the fd ledger does not have.
func (m *idleMemory) close() {
	m.running <- struct{}{}
	m.timer.Stop()
}

// releaseMemory releases the read-only pages of the program, and garbage if there is much of it.
func releaseMemory() {
	if garbage() >= minGarbage {
		debug.FreeOSMemory()
	}
	releaseMappings()
}

// garbage returns how many bytes of the heap a collection can free at most: all that was allocated
// since the last one, and free memory that was not returned to the kernel.
func garbage() int64 {
	samples := []metrics.Sample{
		{Name: "/memory/classes/heap/objects:bytes"},
		{Name: "/memory/classes/heap/free:bytes"},
		{Name: "/gc/heap/live:bytes"}, // after the last collection
	}
	metrics.Read(samples)
	value := func(i int) int64 { return int64(samples[i].Value.Uint64()) }
	return value(0) + value(1) - value(2)
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
