package process

import (
	"sync/atomic"
	"time"
)

// scanLimit ends an fd scan that is worth nothing any more, so that it keeps no processor busy.
type scanLimit struct {
	until  atomic.Int64 // Unix time in nanoseconds; 0: without limit
	minFDs int          // descriptors of each table that are read in any case
}

// minScannedFDs is what a scan before a signal still reads of each table after its time: an ordinary
// table, which takes some milliseconds. What is known late is worth less, but not nothing.
const minScannedFDs = 256

func newScanLimit(until time.Time, spare int) *scanLimit {
	limit := &scanLimit{minFDs: spare}
	limit.until.Store(until.UnixNano())
	return limit
}

// abort has the scan end at once.
func (limit *scanLimit) abort() {
	if limit != nil {
		limit.until.Store(1)
	}
}

func (limit *scanLimit) shorten(until time.Time) {
	limit.until.Store(min(limit.until.Load(), until.UnixNano()))
}

// exceeded reports whether a scan is to end that has read so many descriptors of a table.
func (limit *scanLimit) exceeded(read int) bool {
	return limit != nil && read >= limit.minFDs && limit.expired()
}

// expired reports whether the time of a scan is over.
func (limit *scanLimit) expired() bool {
	if limit == nil {
		return false
	}
	until := limit.until.Load()
	return until != 0 && time.Now().UnixNano() >= until
}
