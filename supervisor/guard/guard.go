// Package guard ends the supervisor if a stop is not over by its deadline. 100 ms after the
// deadline, the guard kills all descendants of the supervisor, writes the last line and exits.
//
// The guard is one goroutine on a thread of its own, which exists before the first child. It needs
// nothing from the process loop or the orchestrator: it reads the process tree from /proc, and
// counts events for the totals that it reports. It holds no lock while it calls anything else.
//
// The guard can run as long as Go's scheduler can. So no goroutine may block in a raw system call,
// which the scheduler does not know of. A test in supervisor/rawcalls_test.go lists the raw system
// calls.
package guard

import (
	"runtime"
	"sync/atomic"
	"time"

	"tp0/supervisor/event"
	"tp0/supervisor/exitcode"
)

const (
	// Delay is the time between the deadline and the action of the guard. The ordinary end uses
	// this time to write its own last line.
	Delay = 100 * time.Millisecond
	// MaxOverrun is the time between the deadline and the exit of the process, at most. If the
	// whole process was stopped or this thread woke up late, the time counts from the wake-up.
	MaxOverrun = 250 * time.Millisecond
	// exitTime is the part of MaxOverrun that the kernel needs for the exit.
	exitTime = 25 * time.Millisecond
	// lineTime is the part of MaxOverrun that the last line may take.
	lineTime = 40 * time.Millisecond
	// tick is how often an armed guard reads the clock, to notice that the whole process was
	// stopped (SIGSTOP, docker pause).
	tick = 100 * time.Millisecond
	// maxWakeDelay is the delay of a tick from which on the process counts as having been stopped.
	maxWakeDelay = 100 * time.Millisecond
	// extraTime is added once for the ordinary end after the process was stopped.
	extraTime = 250 * time.Millisecond
)

// Options are what a guard needs from others. No function may take a lock whose holder can wait.
type Options struct {
	Stderr int                                 // the descriptor of the last line
	Line   func(event.ShutdownComplete) []byte // formats the last line
	Exit   func(code int)                      // does not return
	// LeaveDescendants lets the descendants outside the process group of a child live on.
	LeaveDescendants bool
}

// The states of a guard. A guard moves down this list only.
const (
	idle     uint32 = iota // no stop has started
	armed                  // a stop is under way
	writing                // the ordinary end writes the last line
	written                // the last line is written, and only the exit is left
	disarmed               // the ordinary end is over
	fired                  // the guard ends the process
)

// Guard is the last guard. Any goroutine may call its methods, and none of them blocks.
type Guard struct {
	opt    Options
	base   time.Time
	state  atomic.Uint32
	wakeup futex // the thread sleeps on it
	// started is the start of the stop, in nanoseconds since base. It is 0 before the stop.
	started atomic.Int64
	limit   atomic.Int64 // length of a stop, in nanoseconds; 0 sets no deadline
	// code and last are the exit code and the last line of the ordinary end.
	code   atomic.Int32
	last   atomic.Pointer[event.ShutdownComplete]
	done   chan struct{}
	totals *totals
}

// New returns a guard once its thread exists.
func New(o Options) *Guard {
	g := &Guard{opt: o, base: time.Now(), done: make(chan struct{}), totals: newTotals()}
	ready := make(chan struct{})
	go g.run(ready)
	<-ready
	return g
}

// SetDeadline sets how long a stop may take, also the stop that is under way. Before the first call
// a stop has no deadline.
func (g *Guard) SetDeadline(d time.Duration) {
	g.limit.Store(int64(max(d, 1)))
	g.wakeup.wake()
}

// Arm starts the time of the stop. A second call does nothing.
func (g *Guard) Arm() {
	if g.started.CompareAndSwap(0, max(int64(time.Since(g.base)), 1)) {
		g.state.CompareAndSwap(idle, armed)
		g.wakeup.wake()
	}
}

// Armed reports whether a stop has begun.
func (g *Guard) Armed() bool { return g.started.Load() != 0 }

// Emit counts an event, and arms the guard when a stop starts.
func (g *Guard) Emit(e event.Event) {
	if _, ok := e.(event.ShutdownBegun); ok {
		g.Arm()
	}
	g.totals.add(e, g.Armed())
}

// LastLine announces that the ordinary end now writes the last line and then exits with code. If it
// returns false, the guard is ending the process and the caller must not write. If the guard fires
// before [Guard.LineWritten] is called, the guard writes line itself.
func (g *Guard) LastLine(code int, line event.ShutdownComplete) bool {
	g.code.Store(int32(code))
	g.last.Store(&line)
	return g.state.CompareAndSwap(armed, writing) || g.state.CompareAndSwap(idle, writing)
}

// LineWritten announces that the last line is written, or cannot be written.
func (g *Guard) LineWritten() { g.state.CompareAndSwap(writing, written) }

// Disarm ends the guard. If it returns false, the guard is ending the process.
func (g *Guard) Disarm() bool {
	for s := g.state.Load(); s < disarmed; s = g.state.Load() {
		g.state.CompareAndSwap(s, disarmed)
	}
	g.wakeup.wake()
	return g.state.Load() == disarmed
}

// run is the guard's thread.
func (g *Guard) run(ready chan<- struct{}) {
	defer close(g.done)
	runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
	close(ready)
	var extended time.Time    // end of the extra time; zero before it is granted
	lastTick := time.Now()    // when this thread last read the clock
	var planned time.Duration // length of the last sleep, as planned
	for {
		seen := g.wakeup.load()
		if g.state.Load() == disarmed {
			return
		}
		deadline, ok := g.deadline()
		if !ok {
			g.wakeup.wait(seen, -1)
			continue
		}
		now := time.Now()
		// Before the stop this thread waits without a limit, so an older tick proves nothing.
		if started := g.base.Add(time.Duration(g.started.Load())); lastTick.Before(started) {
			lastTick = started
		}
		// A tick this late means that the whole process was stopped, or that the machine had no
		// time for it. The ordinary end gets extra time, once.
		late := now.Sub(lastTick) > planned+maxWakeDelay
		if extended.IsZero() && late && now.After(deadline.Add(-extraTime)) {
			extended = now.Add(extraTime)
		}
		at := deadline.Add(Delay)
		if at.Before(extended) {
			at = extended
		}
		lastTick, planned = now, min(at.Sub(now), tick)
		if planned > 0 {
			g.wakeup.wait(seen, planned)
			continue
		}
		g.fire(deadline)
	}
}

// deadline returns the deadline of the stop that is under way. ok is false if no stop is under way,
// or the stop has no deadline.
func (g *Guard) deadline() (at time.Time, ok bool) {
	started, limit := g.started.Load(), g.limit.Load()
	return g.base.Add(time.Duration(started + limit)), started != 0 && limit != 0
}

// fire ends the process, unless the ordinary end is over.
func (g *Guard) fire(deadline time.Time) {
	if g.state.CompareAndSwap(written, fired) {
		g.opt.Exit(int(g.code.Load()))
	}
	if g.state.CompareAndSwap(writing, fired) {
		Write(g.opt.Stderr, append([]byte{'\n'}, g.opt.Line(*g.last.Load())...), lineTime)
		g.opt.Exit(int(g.code.Load()))
	}
	if !g.state.CompareAndSwap(armed, fired) {
		return
	}
	now := time.Now()
	end := deadline.Add(MaxOverrun - exitTime)
	if least := now.Add((MaxOverrun - Delay) / 2); end.Before(least) { // this thread woke up late
		end = least
	}
	if killEnd := end.Add(-lineTime); g.opt.LeaveDescendants {
		killChildren(g.totals, killEnd)
	} else {
		killTree(g.totals, now, killEnd)
	}
	total := g.totals.final(deadline, time.Duration(g.limit.Load()))
	Write(g.opt.Stderr, g.opt.Line(total), time.Until(end))
	g.opt.Exit(exitcode.Forced)
}
