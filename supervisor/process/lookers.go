package process

import (
	"runtime"
	"sync"
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
type lookers struct {
	slots chan struct{}
	all   sync.WaitGroup

	mu   sync.Mutex
	due  []func()
	busy int
}

func newLookers() *lookers {
	return &lookers{slots: make(chan struct{}, runtime.GOMAXPROCS(0))}
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
	k.slots <- struct{}{}
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

// aside has a look wait for something while another one looks.
func (k *lookers) aside(wait func()) {
	<-k.slots
	wait()
	k.slots <- struct{}{}
}
