package server

import (
	"sync"
	"time"
)

// tally counts goroutines. Unlike a sync.WaitGroup it can grow from 0 during a wait, and the wait
// has a limit.
type tally struct {
	mu   sync.Mutex
	n    int
	zero chan struct{} // closed when n is 0; nil: nobody waits
}

func (t *tally) add() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.n++
}

func (t *tally) done() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.n--; t.n == 0 && t.zero != nil {
		close(t.zero)
		t.zero = nil
	}
}

// run runs f in a goroutine that counts.
func (t *tally) run(f func()) {
	t.add()
	go func() {
		defer t.done()
		f()
	}()
}

// wait reports whether the number becomes 0 within a time.
func (t *tally) wait(within time.Duration) bool {
	t.mu.Lock()
	if t.n == 0 {
		t.mu.Unlock()
		return true
	}
	if t.zero == nil {
		t.zero = make(chan struct{})
	}
	zero := t.zero
	t.mu.Unlock()
	timer := time.NewTimer(within)
	defer timer.Stop()
	select {
	case <-zero:
		return true
	case <-timer.C:
		return false
	}
}
