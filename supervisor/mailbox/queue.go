// Package mailbox passes values from many goroutines to one, without ever blocking a sender.
package mailbox

import "sync"

// Queue is a queue without a limit of its length: its users must limit what they put in. Create
// it with [New].
type Queue[T any] struct {
	wake chan struct{}

	mu    sync.Mutex
	items []T
}

// New returns an empty queue.
func New[T any]() *Queue[T] { return &Queue[T]{wake: make(chan struct{}, 1)} }

// Put appends values. It never blocks, and any goroutine may call it.
func (q *Queue[T]) Put(v ...T) {
	q.mu.Lock()
	q.items = append(q.items, v...)
	q.mu.Unlock()
	select {
	case q.wake <- struct{}{}:
	default: // the receiver is woken already, and will take these values too
	}
}

// Wake returns a channel that receives after a Put. One goroutine may wait for it. The queue can
// be empty by then.
func (q *Queue[T]) Wake() <-chan struct{} { return q.wake }

// IsEmpty reports whether there are no values. Any goroutine may call it.
func (q *Queue[T]) IsEmpty() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.items) == 0
}

// Take removes all values and returns them, the oldest first. It returns nil if there are none.
func (q *Queue[T]) Take() []T {
	q.mu.Lock()
	defer q.mu.Unlock()
	items := q.items
	q.items = nil
	return items
}
