package limits

import "time"

const (
	// maxProcs bounds GOMAXPROCS. Each processor needs four threads, and the supervisor does not
	// use more processors.
	maxProcs = 4
	// maxFileWrites is the number of reads and writes of log files at a time.
	maxFileWrites = 2
)

// ReadSlots is for reads of children's output, and for reads of /proc by probes: one slot for each
// processor. [Reserve] sets it.
var ReadSlots = make(Slots, maxProcs)

// FileSlots is for reads and writes of log files.
var FileSlots = make(Slots, maxFileWrites)

// Slots bounds how many goroutines are in a blocking call of one kind at a time. Each of them needs
// a thread, and [Threads] counts them.
type Slots chan struct{}

// slotTimeout is how long a call waits for a slot. Calls that take longer, as on a disk that does
// not respond, must not block all others. Then the call runs without a slot, and the runtime may
// create a thread for it.
const slotTimeout = time.Second

// Run runs call in a slot.
func (s Slots) Run(call func()) {
	select {
	case s <- struct{}{}:
	default:
		timeout := time.NewTimer(slotTimeout)
		defer timeout.Stop()
		select {
		case s <- struct{}{}:
		case <-timeout.C:
			call()
			return
		}
	}
	defer func() { <-s }()
	call()
}
