// Package tally counts goroutines that are waited for with a limit.
package tally

import (
	"sync"
	"time"
)

// Tally counts goroutines. The zero value counts none. Unlike a sync.WaitGroup it can grow from 0
// during a wait, and the wait has a limit.
type Tally struct {
	mu   sync.Mutex
	n    int
	zero chan struct{} // closed when n is 0; nil: nobody waits
}

// Add counts a goroutine that is about to start.
func (t *Tally) Add() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.n++
}

// Done counts the end of a goroutine.
func (t *Tally) Done() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.n--; t.n == 0 && t.zero != nil {
		close(t.zero)
		t.zero = nil
	}
}

// Run runs f in a goroutine that counts.
func (t *Tally) Run(f func()) {
	t.Add()
	go func() {
		defer t.Done()
		f()
	}()
}

// Wait reports whether the number becomes 0 within a time.
func (t *Tally) Wait(within time.Duration) bool {
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
