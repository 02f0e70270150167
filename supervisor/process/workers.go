package process

import (
	"runtime"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// maxWorkers bounds those under way: enough to have many wait for one dump of
// the sockets together.
const maxWorkers = 32

// workerPool are the goroutines that look. One begins when there is something to
// look at and ends when there is nothing any more; so in a stop of a thousand
// few grow the stack that a look needs, and an idle supervisor has none.
//
// No more of them look at a time than there are processors; the others wait for
// the sockets. More threads would only take the processors from each other, and
// from those that end.
//
// They go first where we have the right to (CAP_SYS_NICE, RLIMIT_NICE): whoever
// stands in its exit stands there until we looked, and where a hundred end at
// once, each with its own claim to the processors, two that look get a fiftieth.
type workerPool struct {
	running    chan struct{}
	waiting    chan struct{} // full: so many wait aside
	goroutines sync.WaitGroup
	nice       int         // ours
	noBoost    atomic.Bool // we may not go first

	mu    sync.Mutex
	queue []func()
	count int
}

// priorityBoost is how far they go first, in steps of nice(2): with some ten times the
// share of another thread (sched(7)).
const priorityBoost = 10

func newWorkerPool() *workerPool {
	procs := runtime.GOMAXPROCS(0)
	p := &workerPool{running: make(chan struct{}, procs), waiting: make(chan struct{}, procs)}
	nice, err := niceness()
	p.nice = nice
	p.noBoost.Store(err != nil)
	return p
}

// niceness is that of the calling thread. The system call tells it as 20 less it
// (getpriority(2), C library/kernel differences).
func niceness() (int, error) {
	raw, err := unix.Getpriority(unix.PRIO_PROCESS, 0)
	return 20 - raw, err
}

// raisePriority has the calling goroutine's thread go first until done. Nothing inherits
// that: Go's runtime clones no thread from one that is locked.
func (p *workerPool) raisePriority() (done func()) {
	done = func() {}
	if p.noBoost.Load() {
		return done
	}
	runtime.LockOSThread()
	if unix.Setpriority(unix.PRIO_PROCESS, 0, p.nice-priorityBoost) != nil {
		p.noBoost.Store(true)
		runtime.UnlockOSThread()
		return done
	}
	return func() {
		if unix.Setpriority(unix.PRIO_PROCESS, 0, p.nice) == nil {
			runtime.UnlockOSThread() // else the thread ends with the goroutine
		}
	}
}

func (p *workerPool) submit(look func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.count < maxWorkers {
		p.count++
		p.goroutines.Go(func() { p.work(look) })
		return
	}
	p.queue = append(p.queue, look)
}

func (p *workerPool) work(look func()) {
	p.running <- struct{}{} // before it gets a thread of its own: threads are few, see limits.Threads
	defer p.raisePriority()()
	for look != nil {
		look()
		look = p.nextJob()
	}
	<-p.running
}

// nextJob is the look that has waited longest; nil: there is none, and the one who
// asked ends.
func (p *workerPool) nextJob() func() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.queue) == 0 {
		p.count--
		return nil
	}
	look := p.queue[0]
	p.queue = p.queue[1:]
	return look
}

// backlog is how many looks are due or under way.
func (p *workerPool) backlog() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.queue) + p.count
}

// tryEnterSlot reports whether somebody who must not wait may look now; leave is to
// follow.
func (p *workerPool) tryEnterSlot() bool {
	select {
	case p.running <- struct{}{}:
		return true
	default:
		return false
	}
}

func (p *workerPool) exitSlot() { <-p.running }

// waitOutside has a look wait for something while another one looks. It keeps its
// thread only if that is the loop's own, and no more wait at once than there are
// slots: threads are few.
func (p *workerPool) waitOutside(wait func()) {
	<-p.running
	ahead := p.restorePriority()
	p.waiting <- struct{}{}
	wait()
	<-p.waiting
	p.running <- struct{}{}
	if ahead {
		p.raisePriority() // work ends what this begins
	}
}

// restorePriority ends what first began on this thread, and reports whether it had.
func (p *workerPool) restorePriority() bool {
	if p.noBoost.Load() {
		return false
	}
	if nice, err := niceness(); err != nil || nice != p.nice-priorityBoost {
		return false
	}
	if unix.Setpriority(unix.PRIO_PROCESS, 0, p.nice) != nil {
		return false
	}
	runtime.UnlockOSThread()
	return true
}
