package notify

import "time"

// slotTimeout is how long a read waits at most until another one is over.
const slotTimeout = 100 * time.Millisecond

// slot lets one socket be read at a time, so one thread is enough for all of them.
type slot chan struct{}

func newSlot() slot { return make(slot, 1) }

// take waits until no other socket is read, at most slotTimeout: the release of a passed file can
// block in a way that no signal ends. It returns the function that frees the slot.
func (s slot) take() (free func()) {
	select {
	case s <- struct{}{}:
		return func() { <-s }
	default:
	}
	timer := time.NewTimer(slotTimeout)
	defer timer.Stop()
	select {
	case s <- struct{}{}:
		return func() { <-s }
	case <-timer.C:
		return func() {}
	}
}
