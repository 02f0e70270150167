package limits

import "time"

// Slots bound how many goroutines are in a blocking call of one kind at once:
// each of them needs a thread, and there are only so many (see [Threads]).
type Slots chan struct{}

// slotWait is how long a call waits for a slot. Calls that hang for longer, as
// on a disk that does not answer, must not block all others; then a further
// thread may be made.
const slotWait = time.Second

// Run makes the call in a slot.
func (s Slots) Run(call func()) {
	select {
	case s <- struct{}{}:
	default:
		late := time.NewTimer(slotWait)
		defer late.Stop()
		select {
		case s <- struct{}{}:
		case <-late.C:
			call()
			return
		}
	}
	defer func() { <-s }()
	call()
}

// ReadSlots has the reads of children's output and those of /proc for probes: one
// for each processor, see [Reserve].
var ReadSlots = make(Slots, mostProcs)

// FileSlots has the writes to log files.
var FileSlots = make(Slots, fileCalls)
