// Package mailbox hands values from many goroutines to one that must not be
// waited for.
package mailbox

import "sync"

// Queue has no bound of its own: Put never blocks, so its users must bound
// what they put in. Its zero value is not usable; see [New].
type Queue[T any] struct {
	wake chan struct{}

	mu    sync.Mutex
	items []T
}

// New makes an empty queue.
func New[T any]() *Queue[T] { return &Queue[T]{wake: make(chan struct{}, 1)} }

// Put appends values.
func (q *Queue[T]) Put(v ...T) {
	q.mu.Lock()
	q.items = append(q.items, v...)
	q.mu.Unlock()
	select {
	case q.wake <- struct{}{}:
	default: // the taker is woken already and will find this one too
	}
}

// Wake receives when there may be something to take. One goroutine waits.
func (q *Queue[T]) Wake() <-chan struct{} { return q.wake }

// Take takes everything, the oldest first. It returns nil when there is
// nothing.
func (q *Queue[T]) Take() []T {
	q.mu.Lock()
	defer q.mu.Unlock()
	items := q.items
	q.items = nil
	return items
}
