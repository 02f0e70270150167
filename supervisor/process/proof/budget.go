package proof

import "time"

// Budget bounds fd scans by the time that the final stop has left. The zero value bounds them by
// the constants alone.
type Budget struct {
	End time.Time // of the final stop; zero: none has begun
}

// The limits are constants as long as these are a small share of the time that is left: a stop
// has to end several levels of dependencies, one after the other, and each of them waits for the
// scans of the level before. A level whose scans all take too long leaves the next ones more than
// half of the time that it found.
const (
	beforeShare   = 8 // one eighth of the time left
	exitShare     = 4
	siblingsShare = 8
	concludeShare = 8
	// leastLimit is what a scan has in any case: the scan of a usual process takes less than a
	// millisecond, plus the time until its worker gets a processor.
	leastLimit = 20 * time.Millisecond
)

func (b Budget) share(now time.Time, of int, most time.Duration) time.Duration {
	if b.End.IsZero() {
		return most
	}
	return min(most, max(b.End.Sub(now)/time.Duration(of), leastLimit))
}

// SignalDelay is how long a signal waits for the fd scan before it.
func (b Budget) SignalDelay(now time.Time) time.Duration {
	return b.share(now, beforeShare, MaxSignalDelay)
}

// ScanTime is how long a thread is held where not even one scan comes to its end.
func (b Budget) ScanTime(now time.Time) time.Duration {
	return b.share(now, exitShare, MaxScanTime)
}

// siblings is how long a thread is held whose siblings stay.
func (b Budget) siblings(now time.Time) time.Duration {
	return b.share(now, siblingsShare, MaxSiblingWait)
}

// conclude is how long the end of a process is not reported while scans of it, or of those who
// hold what it leaked, are under way; 0: without limit.
func (b Budget) conclude(now time.Time) time.Duration {
	if b.End.IsZero() {
		return 0
	}
	return b.share(now, concludeShare, MaxScanTime)
}

// SetBudget sets the bounds of a process, and shortens the wait that is under way.
func (m *Machine) SetBudget(b Budget, now time.Time) {
	m.budget = b
	shorten := func(limit *time.Duration, since time.Time, left time.Duration) {
		*limit = min(*limit, now.Sub(since)+left)
	}
	switch v := m.Data.(type) {
	case *FirstStopData:
		shorten(&v.limit, v.Since, b.ScanTime(now))
	case *ExitStopData:
		shorten(&v.giveUp, v.Since, b.ScanTime(now))
		shorten(&v.siblings, v.Since, b.siblings(now))
	case *EndData:
		v.limit = now.Sub(v.Since) + b.conclude(now)
	}
}
