package server

import (
	"sync"

	"tp0/supervisor/api"
)

// maxSteps is the number of steps of an operation that wait for a slow reader.
const maxSteps = 1000

// steps is a queue of the steps of an operation. put never waits.
type steps struct {
	mu      sync.Mutex
	queue   []api.Progress
	dropped int
	ready   chan struct{} // has a value if the queue changed
}

func newSteps() *steps { return &steps{ready: make(chan struct{}, 1)} }

func (s *steps) put(p api.Progress) {
	s.mu.Lock()
	if len(s.queue) < maxSteps {
		s.queue = append(s.queue, p)
	} else {
		s.dropped++
	}
	s.mu.Unlock()
	select {
	case s.ready <- struct{}{}:
	default:
	}
}

// take returns the queued steps, and how many more were dropped.
func (s *steps) take() (queue []api.Progress, dropped int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	queue, dropped = s.queue, s.dropped
	s.queue, s.dropped = nil, 0
	return queue, dropped
}
