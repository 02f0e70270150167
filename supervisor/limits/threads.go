package limits

import (
	"fmt"
	"os"
	"runtime"
	"sync"
	"time"

	"tp0/supervisor/procfs"
)

// The Go runtime creates a thread when a goroutine is ready to run and all threads are blocked in
// system calls or belong to a locked goroutine. If the kernel refuses that thread (EAGAIN) for 0.2
// s, the runtime ends the process. The runtime keeps every thread that it created. So all threads
// that can be needed at a time are created before the first child, which may use up every pid that
// is left.

// The threads that every configuration needs, except those that run Go code and those that scan.
const (
	runtimeThreads = 4 // sysmon, the template thread, signal_recv, the poller
	loopThread     = 1 // the process loop is locked to its thread
	guardThread    = 1 // the last guard is locked to its thread
	streamWriters  = 2 // of the supervisor's standard output and standard error
	actors         = 2 // the orchestrator; and a reload, the report, or the guard's last line
)

// spareThreads is added to the number of needed threads for each processor: the runtime can create
// one more thread for a processor when all others are busy for a short time.
const spareThreads = 1

// Threads returns the number of threads that can be needed at a time. Each processor needs four:
// one that runs Go code, one that scans, one that waits for a socket dump, and one that reads.
// extra is what the configuration adds.
func Threads(procs, extra int) int {
	return runtimeThreads + loopThread + guardThread + streamWriters + actors + 4*procs + extra
}

// ThreadNeeds are the parts of the supervisor that need threads only if they are used.
type ThreadNeeds struct {
	LogFiles bool // children log to files
	Notify   bool // a child sends notifications
	Watch    bool // the configuration files are watched
	Manager  bool // a service manager is notified
	Metrics  bool // metrics are served; one scrape at a time reads /proc
}

// Threads returns how many threads the parts need.
func (e ThreadNeeds) Threads() (n int) {
	if e.LogFiles {
		n += maxFileWrites
	}
	for _, used := range []bool{e.Notify, e.Watch, e.Manager, e.Metrics} {
		if used {
			n++
		}
	}
	return n
}

// A child cannot use up thousands of pids within milliseconds. If at least manyFree are free, the
// threads are created createDelay after the first spawn. So neither the start of a child nor a
// short command waits for them.
const (
	manyFree    = 4096
	createDelay = 5 * time.Millisecond
)

// Reservation creates the threads that can be needed.
type Reservation struct {
	procs int
	extra int
	free  int
	limit *Limit        // the tightest; nil if there is none
	first sync.Once     // the first spawn
	timer *time.Timer   // nil before the first spawn
	done  chan struct{} // closed when the threads exist; nil if Reserve created them
}

// Reserve fixes GOMAXPROCS and creates the threads that can be needed, or leaves that to
// [Reservation.Spawned]. Call it before the first child is spawned. An error says which limit on
// processes is too low.
func Reserve(extra ThreadNeeds) (*Reservation, error) {
	r := &Reservation{procs: min(runtime.GOMAXPROCS(0), maxProcs), extra: extra.Threads()}
	r.free, r.limit = FreeProcesses()
	// Under a tight limit, one processor leaves more processes to the children.
	if r.limit != nil && Threads(r.procs, r.extra) > r.free/2 {
		r.procs = 1
	}
	need := Threads(r.procs, r.extra) + r.procs*spareThreads
	if need >= r.free {
		return nil, r.limit.tooLow(need, r.free)
	}
	runtime.GOMAXPROCS(r.procs)
	ReadSlots = make(Slots, r.procs)
	if r.free >= manyFree {
		r.done = make(chan struct{})
		return r, nil
	}
	createThreads(r.procs, r.extra)
	return r, nil
}

// Spawned must be called after each spawn. The first call can start the creation of threads.
func (r *Reservation) Spawned() {
	if r == nil || r.done == nil {
		return
	}
	r.first.Do(func() {
		r.timer = time.AfterFunc(createDelay, func() {
			defer close(r.done)
			createThreads(r.procs, r.extra)
		})
	})
}

// Close cancels what Spawned started, or waits until it is done.
func (r *Reservation) Close() {
	if r == nil || r.done == nil {
		return
	}
	r.first.Do(func() {})
	if r.timer != nil && !r.timer.Stop() {
		<-r.done
	}
}

// ReserveMore creates the threads that extra needs beyond had. An error says which limit on
// processes has no room for them.
func ReserveMore(had, extra ThreadNeeds) error {
	more := extra.Threads() - had.Threads()
	if more <= 0 {
		return nil
	}
	procs := runtime.GOMAXPROCS(0)
	need := Threads(procs, extra.Threads()) + procs*spareThreads
	if free, tightest := FreeProcesses(); need >= free {
		return tightest.tooLow(need, free)
	}
	createThreads(procs, extra.Threads())
	return nil
}

func (l *Limit) tooLow(need, free int) error {
	return fmt.Errorf("the limit of processes is too low: %s; this leaves %d for the supervisor, "+
		"which needs %d threads and a process for a child: raise the limit to %d or more, "+
		"and by one for each further process", l, free, need, l.Max-free+need+1)
}

// createThreads creates the threads that can block. Under a tight limit no thread may be created
// without need. So it first assumes that the threads of the runtime, of the guard and those that
// run Go code exist. Then it creates the threads that are still missing.
func createThreads(procs, extra int) {
	need := Threads(procs, extra)
	n := need - runtimeThreads - guardThread - procs
	for range runtimeThreads + guardThread + procs {
		blockThreads(n)
		missing := need - len(procfs.Threads(os.Getpid()))
		if missing <= 0 {
			return
		}
		n += missing
	}
}

// blockThreads runs n goroutines that are each locked to a thread at the same time. The runtime
// keeps the threads afterwards.
func blockThreads(n int) {
	var locked, finished sync.WaitGroup
	locked.Add(n)
	release := make(chan struct{})
	for range n {
		finished.Go(func() {
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			locked.Done()
			<-release
		})
	}
	locked.Wait()
	close(release)
	finished.Wait()
}
