package proof

import "time"

// The limits of fd scans while no final stop is under way. A thread that stays in a ptrace stop
// ignores even SIGKILL, so every such stop has a limit.
const (
	// MaxSignalDelay bounds how long a signal waits for the fd scan before it. Such a scan takes
	// about 60 µs, but it queues for a worker when a thousand processes are stopped at once. After
	// the limit the signal is sent, and the scan is no exact proof any more.
	MaxSignalDelay = 500 * time.Millisecond
	// MaxSiblingWait bounds an exit stop whose sibling threads stay alive.
	MaxSiblingWait = 250 * time.Millisecond
	// MaxScanTime bounds a first stop or an exit stop in which no scan finishes.
	MaxScanTime = time.Second
)

// Budget bounds fd scans by the time that the final stop has left. With the zero value the
// constants alone bound them.
type Budget struct {
	End time.Time // of the final stop; zero while no final stop is under way
}

// Each limit is at most a fraction of the time that is left. A stop has to end several levels of
// dependencies one after the other, and each level waits for the scans of the level before it. A
// level in which every scan times out leaves more than half of its time to the next levels.
const (
	signalFraction  = 8 // one eighth of the time that is left
	scanFraction    = 4
	siblingFraction = 8
	reportFraction  = 8
	// minLimit is the least time of a scan. The scan of a usual process takes less than a
	// millisecond, plus the time until its worker gets a processor.
	minLimit = 20 * time.Millisecond
)

func (b Budget) fraction(now time.Time, divisor int, limit time.Duration) time.Duration {
	if b.End.IsZero() {
		return limit
	}
	return min(limit, max(b.End.Sub(now)/time.Duration(divisor), minLimit))
}

// SignalDelay returns how long a signal waits for the fd scan before it.
func (b Budget) SignalDelay(now time.Time) time.Duration {
	return b.fraction(now, signalFraction, MaxSignalDelay)
}

// ScanTime returns how long a thread stays in its ptrace stop if no scan finishes.
func (b Budget) ScanTime(now time.Time) time.Duration {
	return b.fraction(now, scanFraction, MaxScanTime)
}

// siblingWait returns how long a thread stays in its exit stop if its siblings stay alive.
func (b Budget) siblingWait(now time.Time) time.Duration {
	return b.fraction(now, siblingFraction, MaxSiblingWait)
}

// reportDelay returns how long the report of an ended process waits for its scans and for the
// search for holders of what it leaked. 0 sets no limit.
func (b Budget) reportDelay(now time.Time) time.Duration {
	if b.End.IsZero() {
		return 0
	}
	return b.fraction(now, reportFraction, MaxScanTime)
}
