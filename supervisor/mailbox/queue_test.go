package mailbox

import (
	"sync"
	"testing"
)

// TestQueueLosesNothing checks that a receiver which waits for Wake takes every value, whatever
// the order in which the senders put them.
func TestQueueLosesNothing(t *testing.T) {
	const senders, each = 8, 1000
	q := New[int]()
	var wg sync.WaitGroup
	for range senders {
		wg.Go(func() {
			for i := range each {
				q.Put(i)
			}
		})
	}
	for got := 0; got < senders*each; {
		<-q.Wake()
		got += len(q.Take())
	}
	wg.Wait()
	if rest := q.Take(); rest != nil {
		t.Errorf("the empty queue returned %v, want nil", rest)
	}
}
