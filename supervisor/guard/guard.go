// Package guard ends the supervisor when nothing else does. A stop has a
// deadline; if it is not over a moment after that, the guard kills the whole
// process tree below us, writes the last line and exits.
//
// The guard is one goroutine on a thread of its own, which exists before the
// first child. It needs nothing from the process loop or the fleet: it reads
// the tree from /proc, and the totals that it reports are counters of its own.
// No lock of the guard is held while anything else is called.
//
// The guard can run as long as Go's scheduler can. So no goroutine may block in
// a raw system call, of which the scheduler does not know; a test in
// supervisor/raw_test.go lists those that are raw.
package guard

import (
	"runtime"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"tp0/supervisor/event"
	"tp0/supervisor/exitcode"
)

const (
	// Delay is how long after the deadline the guard acts: the ordinary
	// end gets this time for its own last line.
	Delay = 100 * time.Millisecond
	// MaxDuration is when the process has exited, after the deadline.
	MaxDuration = 250 * time.Millisecond
	// margin of Limit is kept for the kernel's part of the exit.
	margin = 25 * time.Millisecond
	// lineTime is the part of the rest that the last line may take.
	lineTime = 40 * time.Millisecond
	// tick is how often an armed guard looks at the clock, to find out
	// whether the whole process stood still.
	tick = 100 * time.Millisecond
	// late is how much later than asked for the guard is woken when the whole
	// process stood still (SIGSTOP, docker pause).
	late = 100 * time.Millisecond
	// again is what the ordinary end gets, once, after the process stood still.
	again = 250 * time.Millisecond
)

// Options are what a guard needs from others. None of the functions may take a
// lock that somebody holds while he waits.
type Options struct {
	Stderr           int                                 // where the last line goes
	Line             func(event.ShutdownComplete) []byte // formats it
	Exit             func(code int)                      // does not return
	LeaveDescendants bool                                // descendants of a child are left alone
}

// The states of a guard. It moves down this list only.
const (
	waiting  uint32 = iota // no stop has begun
	armed                  // a stop is under way
	saying                 // the ordinary end writes the last line
	said                   // the last line is written, and only the exit is left
	disarmed               // the ordinary end is over
	fired                  // the guard ends the process
)

// Guard is the last guard. All its methods may be called by any goroutine, and
// none of them waits for anything but its own short lock.
type Guard struct {
	opt   Options
	base  time.Time
	state atomic.Uint32
	word  uint32                                 // of the futex that the thread sleeps on
	begun atomic.Int64                           // when the stop began, in nanoseconds since base; 0: it has not
	limit atomic.Int64                           // the deadline of a stop, in nanoseconds from its begin
	code  atomic.Int32                           // the exit code of the ordinary end
	last  atomic.Pointer[event.ShutdownComplete] // its last line
	done  chan struct{}

	mu    sync.Mutex
	count totals
}

// New makes a guard and waits until its thread exists.
func New(o Options) *Guard {
	g := &Guard{opt: o, base: time.Now(), done: make(chan struct{})}
	g.count = newTotals()
	there := make(chan struct{})
	go g.run(there)
	<-there
	return g
}

// SetDeadline says how long a stop may take, one that is under way too. Until it
// is called a stop has no deadline.
func (g *Guard) SetDeadline(d time.Duration) {
	g.limit.Store(int64(max(d, 1)))
	g.wake()
}

// Arm begins the time of the stop, once.
func (g *Guard) Arm() {
	if g.begun.CompareAndSwap(0, max(int64(time.Since(g.base)), 1)) {
		g.state.CompareAndSwap(waiting, armed)
		g.wake()
	}
}

// LastLine announces that the ordinary end writes the last line now and then
// exits with code. If it reports false the guard was quicker: it ends the
// process, and nobody else may write. If the guard fires before Said is called, it
// writes that line itself, past whatever holds it up.
func (g *Guard) LastLine(code int, line event.ShutdownComplete) bool {
	g.code.Store(int32(code))
	g.last.Store(&line)
	return g.state.CompareAndSwap(armed, saying) || g.state.CompareAndSwap(waiting, saying)
}

// LineWritten tells that the last line is written, or cannot be.
func (g *Guard) LineWritten() { g.state.CompareAndSwap(saying, said) }

// Disarm ends the guard. If it reports false the guard is ending the process.
func (g *Guard) Disarm() bool {
	for s := g.state.Load(); s < disarmed; s = g.state.Load() {
		g.state.CompareAndSwap(s, disarmed)
	}
	g.wake()
	return g.state.Load() == disarmed
}

// run is the guard's thread.
func (g *Guard) run(there chan<- struct{}) {
	defer close(g.done)
	runtime.LockOSThread() // for good: the thread ends with the goroutine
	close(there)
	var granted time.Time // the end of what the ordinary end was granted
	last := time.Now()    // when this thread looked at the clock
	var nap time.Duration // that was planned at last
	for {
		seen := atomic.LoadUint32(&g.word)
		if g.state.Load() == disarmed {
			return
		}
		deadline, ok := g.deadline()
		if !ok {
			g.sleep(seen, -1)
			continue
		}
		now, at := time.Now(), deadline.Add(Delay)
		if begun := g.base.Add(time.Duration(g.begun.Load())); last.Before(begun) {
			last = begun // this thread may not have run since
		}
		if granted.IsZero() && now.Sub(last) > nap+late && now.After(deadline.Add(-again)) {
			granted = now.Add(again) // the process stood still, wherever this thread was just then
		}
		if at.Before(granted) {
			at = granted
		}
		last, nap = now, min(at.Sub(now), tick)
		if nap > 0 {
			g.sleep(seen, nap)
			continue
		}
		g.fire(deadline)
	}
}

// deadline is the end of the stop that is under way, if one is.
func (g *Guard) deadline() (at time.Time, ok bool) {
	begun, limit := g.begun.Load(), g.limit.Load()
	return g.base.Add(time.Duration(begun + limit)), begun != 0 && limit != 0
}

// sleep waits until wake is called after seen was read, for d at most; a
// negative d has no end. The kernel's own timer ends it: one of Go's would need
// another thread.
func (g *Guard) sleep(seen uint32, d time.Duration) {
	var timeout *unix.Timespec
	if d >= 0 {
		t := unix.NsecToTimespec(int64(d))
		timeout = &t
	}
	const futexWaitPrivate = 0 | 128
	_, _, _ = unix.Syscall6(unix.SYS_FUTEX, uintptr(unsafe.Pointer(&g.word)), futexWaitPrivate, uintptr(seen),
		uintptr(unsafe.Pointer(timeout)), 0, 0)
}

func (g *Guard) wake() {
	atomic.AddUint32(&g.word, 1)
	const futexWakePrivate = 1 | 128
	_, _, _ = unix.Syscall(unix.SYS_FUTEX, uintptr(unsafe.Pointer(&g.word)), futexWakePrivate, 1)
}

// fire ends everything, unless the ordinary end is just over.
func (g *Guard) fire(deadline time.Time) {
	if g.state.CompareAndSwap(said, fired) { // nothing runs any more
		g.opt.Exit(int(g.code.Load()))
	}
	if g.state.CompareAndSwap(saying, fired) {
		Write(g.opt.Stderr, append([]byte{'\n'}, g.opt.Line(*g.last.Load())...), lineTime)
		g.opt.Exit(int(g.code.Load()))
	}
	if !g.state.CompareAndSwap(armed, fired) {
		return
	}
	now := time.Now()
	end := deadline.Add(MaxDuration - margin)
	if least := now.Add((MaxDuration - Delay) / 2); end.Before(least) { // the thread was woken late
		end = least
	}
	g.killAll(now, end.Add(-lineTime))
	Write(g.opt.Stderr, g.opt.Line(g.totals(deadline)), time.Until(end))
	g.opt.Exit(exitcode.Forced)
}
