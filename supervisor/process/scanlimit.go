package process

import (
	"sync/atomic"
	"time"
)

// scanLimit ends an fd scan when its result has no use any more, so that the scan does not keep
// a processor busy. A nil limit does not end it.
type scanLimit struct {
	until  atomic.Int64 // Unix time in nanoseconds; 0 disables it
	minFDs int          // descriptors of each process that are read in any case
}

// minScannedFDs is the number of descriptors that a scan before a signal reads of each process
// even after its deadline. It is the size of an ordinary table and takes some milliseconds. A
// late result is worth less than one in time, but more than none.
const minScannedFDs = 256

// newScanLimit returns a limit with a deadline. A scan reads minFDs descriptors of each process
// in any case.
func newScanLimit(until time.Time, minFDs int) *scanLimit {
	limit := &scanLimit{minFDs: minFDs}
	limit.until.Store(until.UnixNano())
	return limit
}

// abort ends the scan at once.
func (limit *scanLimit) abort() {
	if limit != nil {
		limit.until.Store(1)
	}
}

// shorten moves the deadline to an earlier time.
func (limit *scanLimit) shorten(until time.Time) {
	limit.until.Store(min(limit.until.Load(), until.UnixNano()))
}

// exceeded reports whether a scan that has read that many descriptors of a process is to end.
func (limit *scanLimit) exceeded(read int) bool {
	return limit != nil && read >= limit.minFDs && limit.expired()
}

// expired reports whether the deadline of a scan has passed.
func (limit *scanLimit) expired() bool {
	if limit == nil {
		return false
	}
	until := limit.until.Load()
	return until != 0 && time.Now().UnixNano() >= until
}
