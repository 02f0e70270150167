package process

import (
	"runtime"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// mostLooks bounds those under way: enough to have many wait for one dump of
// the sockets together.
const mostLooks = 32

// lookers are the goroutines that look. One begins when there is something to
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
type lookers struct {
	slots chan struct{}
	waits chan struct{} // full: so many wait aside
	all   sync.WaitGroup
	nice  int         // ours
	equal atomic.Bool // we may not go first

	mu   sync.Mutex
	due  []func()
	busy int
}

// ahead is how far they go first, in steps of nice(2): with some ten times the
// share of another thread (sched(7)).
const ahead = 10

func newLookers() *lookers {
	procs := runtime.GOMAXPROCS(0)
	k := &lookers{slots: make(chan struct{}, procs), waits: make(chan struct{}, procs)}
	nice, err := niceness()
	k.nice = nice
	k.equal.Store(err != nil)
	return k
}

// niceness is that of the calling thread. The system call tells it as 20 less it
// (getpriority(2), C library/kernel differences).
func niceness() (int, error) {
	raw, err := unix.Getpriority(unix.PRIO_PROCESS, 0)
	return 20 - raw, err
}

// first has the calling goroutine's thread go first until done. Nothing inherits
// that: Go's runtime clones no thread from one that is locked.
func (k *lookers) first() (done func()) {
	done = func() {}
	if k.equal.Load() {
		return done
	}
	runtime.LockOSThread()
	if unix.Setpriority(unix.PRIO_PROCESS, 0, k.nice-ahead) != nil {
		k.equal.Store(true)
		runtime.UnlockOSThread()
		return done
	}
	return func() {
		if unix.Setpriority(unix.PRIO_PROCESS, 0, k.nice) == nil {
			runtime.UnlockOSThread() // else the thread ends with the goroutine
		}
	}
}

func (k *lookers) do(look func()) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.busy < mostLooks {
		k.busy++
		k.all.Go(func() { k.work(look) })
		return
	}
	k.due = append(k.due, look)
}

func (k *lookers) work(look func()) {
	k.slots <- struct{}{} // before it gets a thread of its own: threads are few, see limits.Threads
	defer k.first()()
	for look != nil {
		look()
		look = k.next()
	}
	<-k.slots
}

// next is the look that has waited longest; nil: there is none, and the one who
// asked ends.
func (k *lookers) next() func() {
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.due) == 0 {
		k.busy--
		return nil
	}
	look := k.due[0]
	k.due = k.due[1:]
	return look
}

// backlog is how many looks are due or under way.
func (k *lookers) backlog() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return len(k.due) + k.busy
}

// enter reports whether somebody who must not wait may look now; leave is to
// follow.
func (k *lookers) enter() bool {
	select {
	case k.slots <- struct{}{}:
		return true
	default:
		return false
	}
}

func (k *lookers) leave() { <-k.slots }

// aside has a look wait for something while another one looks. It keeps its
// thread only if that is the loop's own, and no more wait at once than there are
// slots: threads are few.
func (k *lookers) aside(wait func()) {
	<-k.slots
	ahead := k.fallBack()
	k.waits <- struct{}{}
	wait()
	<-k.waits
	k.slots <- struct{}{}
	if ahead {
		k.first() // work ends what this begins
	}
}

// fallBack ends what first began on this thread, and reports whether it had.
func (k *lookers) fallBack() bool {
	if k.equal.Load() {
		return false
	}
	if nice, err := niceness(); err != nil || nice != k.nice-ahead {
		return false
	}
	if unix.Setpriority(unix.PRIO_PROCESS, 0, k.nice) != nil {
		return false
	}
	runtime.UnlockOSThread()
	return true
}
