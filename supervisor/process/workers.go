package process

import (
	"runtime"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// maxWorkers bounds the goroutines of the pool. It is large enough that many scans can wait for
// one listing of the sockets.
const maxWorkers = 32

// workerPool runs the fd scans. A worker starts when there is a scan and ends when the queue is
// empty. So an idle supervisor has no workers, and few of them grow the stack that a scan
// needs.
//
// As many workers run at a time as there are processors; the others wait for a slot or for the
// sockets. More threads would take the processors from each other and from the processes that
// end.
//
// Workers run with a higher priority where the supervisor has the right to (CAP_SYS_NICE,
// RLIMIT_NICE). A process in its exit stop waits for its scan. Where a hundred processes end at
// once, each with its own claim to the processors, two workers without priority get a fiftieth
// of the time.
type workerPool struct {
	running    chan struct{}
	waiting    chan struct{} // limits the scans in waitOutside
	goroutines sync.WaitGroup
	nice       int         // nice value of the supervisor
	noBoost    atomic.Bool // the supervisor may not raise priorities

	mu    sync.Mutex
	queue []func()
	count int
}

// priorityBoost is by how much the nice value of a worker is lower than that of the supervisor:
// it gets some ten times the share of another thread (sched(7)).
const priorityBoost = 10

func newWorkerPool() *workerPool {
	procs := runtime.GOMAXPROCS(0)
	p := &workerPool{running: make(chan struct{}, procs), waiting: make(chan struct{}, procs)}
	nice, err := niceness()
	p.nice = nice
	p.noBoost.Store(err != nil)
	return p
}

// niceness returns the nice value of the calling thread. The system call returns 20 minus the
// nice value (getpriority(2), C library/kernel differences).
func niceness() (int, error) {
	raw, err := unix.Getpriority(unix.PRIO_PROCESS, 0)
	return 20 - raw, err
}

// raisePriority raises the priority of the calling goroutine's thread until done is called. No
// thread inherits the priority: Go's runtime clones no thread from a locked one.
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
			runtime.UnlockOSThread() // else the locked thread ends with the goroutine
		}
	}
}

// submit runs a scan on a worker.
func (p *workerPool) submit(job func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.count < maxWorkers {
		p.count++
		p.goroutines.Go(func() { p.work(job) })
		return
	}
	p.queue = append(p.queue, job)
}

// work runs scans until the queue is empty.
func (p *workerPool) work(job func()) {
	p.running <- struct{}{} // before it locks a thread: limits.Threads bounds them
	defer p.raisePriority()()
	for job != nil {
		job()
		job = p.nextJob()
	}
	<-p.running
}

// nextJob returns the oldest scan of the queue. It returns nil if there is none; the calling
// worker ends then.
func (p *workerPool) nextJob() func() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.queue) == 0 {
		p.count--
		return nil
	}
	job := p.queue[0]
	p.queue = p.queue[1:]
	return job
}

// backlog returns the number of scans that wait or run.
func (p *workerPool) backlog() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.queue) + p.count
}

// waitOutside lets a scan wait while another one uses its slot. No more scans wait at once than
// there are slots, since each keeps a thread.
func (p *workerPool) waitOutside(wait func()) {
	<-p.running
	ahead := p.restorePriority()
	p.waiting <- struct{}{}
	wait()
	<-p.waiting
	p.running <- struct{}{}
	if ahead {
		p.raisePriority() // work restores it
	}
}

// restorePriority undoes raisePriority on this thread, and reports whether it was in effect.
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
