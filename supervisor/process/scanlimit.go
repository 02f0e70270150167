package process

import (
	"fmt"
	"runtime"
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

// A scan of a very large table takes longer than most limits allow. It would use a processor and
// delay the signal or the exit for nothing, so it is not started.
const (
	// fdScanTime is how long the scan of one descriptor takes: 7 µs if a processor is free, and
	// 11 µs on a busy machine.
	fdScanTime = 9 * time.Microsecond
	// maxUncheckedFDs is the size up to which a table is scanned in any case.
	maxUncheckedFDs = 4096
)

// tooManyFDsError says that a scan was not started because of the size of the table.
type tooManyFDsError struct {
	fds  int
	time time.Duration // that the scan had
}

func (e tooManyFDsError) Error() string {
	return fmt.Sprintf("it has %d descriptors, too many for an fd scan within %v", e.fds,
		e.time.Round(time.Millisecond))
}

// largeScans has the number of descriptors in the large tables that are scanned now.
type largeScans struct{ fds atomic.Int64 }

// start starts the scan of a table with a number of descriptors; call end after it. It returns a
// tooManyFDsError if the scan cannot end by the deadline, since it shares the processors with the
// other large scans.
func (g *largeScans) start(fds int, limit *scanLimit) (end func(), err error) {
	if limit == nil || fds <= maxUncheckedFDs {
		return func() {}, nil
	}
	others := int(g.fds.Add(int64(fds))) - fds
	end = func() { g.fds.Add(-int64(fds)) }
	left := max(time.Until(time.Unix(0, limit.until.Load())), 0)
	if time.Duration(fds+others/runtime.GOMAXPROCS(0))*fdScanTime > left {
		end()
		return nil, tooManyFDsError{fds, left}
	}
	return end, nil
}

// expired reports whether the deadline of a scan has passed.
func (limit *scanLimit) expired() bool {
	if limit == nil {
		return false
	}
	until := limit.until.Load()
	return until != 0 && time.Now().UnixNano() >= until
}
