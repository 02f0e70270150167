package limits

import (
	"fmt"
	"os"
	"runtime"
	"sync"
	"time"

	"tp0/supervisor/procfs"
)

// The Go runtime makes a thread when a goroutine is ready to run and all
// threads are blocked in system calls or belong to a locked goroutine. If the
// kernel refuses that thread (EAGAIN) for 0.2 s, the runtime ends the process.
// A thread that was made is kept. So all threads that can be needed at once are
// made before the first child, which may take every pid that is left.

// Threads that block whatever the configuration is, beside those that run Go
// code and those of the fd scans.
const (
	runtimeThreads = 4 // sysmon, the template thread, signal_recv, the poller
	loopThread     = 1 // the process loop is locked to its thread
	guardThread    = 1 // so is the last guard
	streamWriters  = 2 // of our standard output and standard error
	actors         = 2 // the fleet; and a reload, the report, or the last line of the guard
)

// fileCalls is how many writes to log files there are at once; see [FileSlots].
const fileCalls = 2

// spare is how many more threads there can be than are needed: the runtime also
// makes one when all others are busy for a moment.
const spare = 1

// mostProcs bounds GOMAXPROCS: each costs four threads, and the supervisor
// does not use more.
const mostProcs = 4

// Threads is the number of threads that can be needed at once: for each
// processor one that runs Go code, one that scans, one that waits for a socket
// dump and one that reads; extra is what the configuration adds.
func Threads(procs, extra int) int {
	return runtimeThreads + loopThread + guardThread + streamWriters + actors + 4*procs + extra
}

// ThreadNeeds are parts of the supervisor that need threads only where they are used.
type ThreadNeeds struct {
	LogFiles bool // children log to files
	Notify   bool // a child sends notifications
	Watch    bool // the configuration files are watched
	Manager  bool // a service manager is notified
}

// Threads is how many threads the parts need.
func (e ThreadNeeds) Threads() (n int) {
	if e.LogFiles {
		n += fileCalls
	}
	for _, used := range []bool{e.Notify, e.Watch, e.Manager} {
		if used {
			n++
		}
	}
	return n
}

// A child cannot take thousands of processes within milliseconds. Where there
// is room for so many, the threads are made a moment after the first spawn, so
// that neither the start of a child nor a short command waits for them.
const (
	ample = 4096
	later = 5 * time.Millisecond
)

// Reservation is the making of the threads that can be needed.
type Reservation struct {
	procs int
	extra int
	free  int
	limit *Limit        // the tightest; nil: there is none
	begun sync.Once     // of what is made a moment after the first spawn
	timer *time.Timer   // nil: not begun
	over  chan struct{} // closed when that is made; nil: it is made before
}

// Reserve fixes GOMAXPROCS and makes the threads that can be needed, or
// prepares that, see [Reservation.Spawned]. The error says which limit of
// processes is too low. Call it before the first child is spawned.
func Reserve(extra ThreadNeeds) (*Reservation, error) {
	r := &Reservation{procs: min(runtime.GOMAXPROCS(0), mostProcs), extra: extra.Threads()}
	r.free, r.limit = FreeProcesses()
	if r.limit != nil && Threads(r.procs, r.extra) > r.free/2 { // leave the children as much as we can
		r.procs = 1
	}
	need := Threads(r.procs, r.extra) + spare
	if need >= r.free {
		return nil, r.limit.tooLow(need, r.free)
	}
	runtime.GOMAXPROCS(r.procs)
	ReadSlots = make(Slots, r.procs)
	if r.free >= ample {
		r.over = make(chan struct{})
		return r, nil
	}
	makeThreads(r.procs, r.extra)
	return r, nil
}

// Spawned says that a child was spawned.
func (r *Reservation) Spawned() {
	if r == nil || r.over == nil {
		return
	}
	r.begun.Do(func() {
		r.timer = time.AfterFunc(later, func() {
			defer close(r.over)
			makeThreads(r.procs, r.extra)
		})
	})
}

// Close ends what Spawned began.
func (r *Reservation) Close() {
	if r == nil || r.over == nil {
		return
	}
	r.begun.Do(func() {})
	if r.timer != nil && !r.timer.Stop() {
		<-r.over
	}
}

// ReserveMore makes the threads that extra needs and that had has not. The error says
// which limit leaves no room for them.
func ReserveMore(had, extra ThreadNeeds) error {
	more := extra.Threads() - had.Threads()
	if more <= 0 {
		return nil
	}
	procs := runtime.GOMAXPROCS(0)
	need := Threads(procs, extra.Threads()) + spare
	if free, tightest := FreeProcesses(); need >= free {
		return tightest.tooLow(need, free)
	}
	makeThreads(procs, extra.Threads())
	return nil
}

func (l *Limit) tooLow(need, free int) error {
	return fmt.Errorf("the limit of processes is too low: %s; this leaves %d for the supervisor, "+
		"which needs %d threads and a process for a child: raise the limit to %d or more, "+
		"and by one for each further process", l, free, need, l.Max-free+need+1)
}

// makeThreads makes the threads that can block: so many goroutines meet, each
// locked to a thread of its own, and give the threads back. Those of the runtime,
// the guard and those that run Go code meanwhile are there, so that is tried
// first: under a tight limit no thread is made for nothing.
func makeThreads(procs, extra int) {
	need := Threads(procs, extra)
	n := need - runtimeThreads - guardThread - procs
	for range runtimeThreads + guardThread + procs {
		meet(n)
		missing := need - len(procfs.Threads(os.Getpid()))
		if missing <= 0 {
			return
		}
		n += missing
	}
}

func meet(n int) {
	var met, over sync.WaitGroup
	met.Add(n)
	release := make(chan struct{})
	for range n {
		over.Go(func() {
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			met.Done()
			<-release
		})
	}
	met.Wait()
	close(release)
	over.Wait()
}
