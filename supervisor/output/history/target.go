package history

import (
	"hash/maphash"
	"slices"
	"time"
)

const (
	// windowSize is the number of the oldest lines in memory that are searched in the file.
	windowSize = 32
	// maxLag is the number of lines in memory that can be missing at the end of the file, because
	// they are in a queue. If more are missing, the number of lines in memory decides.
	maxLag = 1024
	// slack is the longest time from the time of a line until the line is in the file.
	slack = 2 * time.Second
)

// seed is the seed of the hashes of lines.
var seed = maphash.MakeSeed()

// A target is an instance whose lines are searched in one log file.
type target struct {
	*Instance
	only      string    // the stream that goes to the file; empty: both do
	stream    string    // the stream of the query; empty: both
	since, to time.Time // the lines from since on, and before to; zero for no limit
	last      int       // the number of lines of the query; negative for no limit

	// About the lines in memory that go to the file.
	held     int      // their number
	window   []uint64 // hashes of the oldest ones
	selected int      // how many of all lines of the instance in memory the query selects
	oldest   time.Time

	// About the lines of the file from the beginning of the search to the end of the file.
	counted int // their number
	matched int // how many of them the query selects
	done    bool

	// overlap is the number of lines at the end of the file that are in memory too. hidden is the
	// number of these that the query selects.
	overlap, hidden int
	recent          []recent
	left, leftMatch int // counted and matched without the lines that were read
}

// recent is a line of the file that can be the oldest one in memory.
type recent struct {
	hash    uint64
	matches bool
}

// matches reports whether the query selects a line of the file. A line without a time is not
// selected if the query has since or to.
func (t *target) matches(at time.Time, stream string) bool {
	if t.stream != "" && stream != t.stream {
		return false
	}
	return (t.since.IsZero() || !at.Before(t.since)) && (t.to.IsZero() || at.Before(t.to)) &&
		(!at.IsZero() || t.since.IsZero() && t.to.IsZero())
}

// count counts a line on the way from the end to the beginning of the file. It reports whether the
// target needs no older line.
func (t *target) count(at time.Time, stream string) bool {
	t.counted++
	if t.matches(at, stream) {
		t.matched++
	}
	return t.counted >= t.held && t.last >= 0 && t.matched >= t.last
}

// follow passes the next line on the way to the end, and keeps its hash if it can be the oldest
// line in memory.
func (t *target) follow(hash uint64, matches bool) {
	n := t.left
	t.left--
	if n > t.held {
		return
	}
	if matches {
		t.hidden++
	}
	if len(t.recent) < maxLag+windowSize {
		t.recent = append(t.recent, recent{hash, matches})
	}
}

// align finds the oldest line in memory among the last lines of the file. Usually the file has all
// lines of memory, so their number gives the place. If the last lines are not in the file yet, the
// place is later, or the file has none of the lines.
func (t *target) align() {
	t.overlap = min(t.held, t.counted)
	later := 0
	for later < len(t.recent) && later <= maxLag && !t.isAt(later) {
		later++
	}
	switch {
	case later < len(t.recent) && later <= maxLag:
	case t.hasNone():
		later = t.overlap
	default: // two streams have their lines in another order in the file
		later = 0
	}
	for _, r := range t.recent[:min(later, len(t.recent))] {
		if r.matches {
			t.hidden--
		}
	}
	if t.overlap -= later; t.overlap == 0 {
		t.hidden = 0
	}
	t.recent = nil
}

// hasNone reports whether none of the oldest lines in memory is among the recent ones.
func (t *target) hasNone() bool {
	return len(t.window) > 0 && !slices.ContainsFunc(t.recent, func(r recent) bool {
		return slices.Contains(t.window, r.hash)
	})
}

// isAt reports whether the oldest lines in memory are in the file, from the recent line i on.
func (t *target) isAt(i int) bool {
	n := min(len(t.window), len(t.recent)-i)
	for k := range n {
		if t.window[k] != t.recent[i+k].hash {
			return false
		}
	}
	return n > 0
}

// wanted returns the number of lines of the file that the query selects and that are not in memory.
func (t *target) wanted() int {
	n := t.matched - t.hidden
	if t.last >= 0 {
		n = min(n, max(t.last-t.selected, 0))
	}
	return max(n, 0)
}

// shows passes the next line on the way to the end, and reports whether it is a wanted line.
func (t *target) shows(matches bool) bool {
	n := t.left
	t.left--
	if !matches {
		return false
	}
	t.leftMatch--
	return n > t.overlap && t.leftMatch < t.hidden+t.wanted()
}
