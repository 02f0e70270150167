package output

import (
	"bytes"
	"sync"
	"time"

	"tp0/supervisor/output/retain"
)

// readSize holds the longest line that is not split, and a further read of 4 KiB.
const readSize = maxLine + 4<<10

type readBuffer [readSize]byte

var readBuffers = sync.Pool{New: func() any { return new(readBuffer) }}

// recycle takes a read buffer back that a retain.Store kept.
func recycle(buffer []byte) { readBuffers.Put((*readBuffer)(buffer[:readSize])) }

// To keep all lines of a stream in memory takes several read buffers, which do not fit into the
// cache of a processor with everything else: at full load that costs 5 to 10 % of the time of the
// relay. So of large reads a stream keeps keepBurst bytes, then keepRate bytes in a second. Of the
// others it keeps the last keepTail bytes, if the next read does not follow at once. A reader that
// follows gets all lines.
const (
	keepBurst = 512 << 10
	keepRate  = 1 << 20
	keepTail  = 8 << 10
)

// lineCount is the number of lines of a read, and how the last one ends.
type lineCount struct {
	n   int
	end ending
}

// retained keeps the lines of a stream in memory. The goroutine of the stream owns it.
type retained struct {
	store    *retain.Store
	instance *retain.Instance
	process  uint32 // its number
	stream   retain.Stream
	hook     retain.Hook

	budget  int // bytes, see keepRate
	updated time.Time
	skipped int // lines since the last kept one
}

// affords reports whether n bytes may be kept now, and takes them from the budget.
func (r *retained) affords(n int, now time.Time) bool {
	passed := min(max(now.Sub(r.updated), 0), time.Second)
	r.updated = now
	r.budget = min(r.budget+int(keepRate*passed/time.Second), keepBurst)
	if r.budget < n {
		return r.store.Followed()
	}
	r.budget -= n
	return true
}

// skip says that the lines of a read are not kept.
func (r *retained) skip(lines lineCount) { r.skipped += lines.n }

// keep keeps lines. It returns true if the store has taken the buffer.
func (r *retained) keep(text, buffer []byte, lines lineCount, now time.Time) bool {
	skipped := r.skipped
	r.skipped = 0
	return r.store.Add(r.instance, retain.Read{
		Process: r.process, Stream: r.stream, Hook: r.hook, At: now, Lines: lines.n, End: lines.end,
		Text: text, Buffer: buffer, Skipped: skipped,
	})
}

// keepTail keeps the last lines of a large read.
func (r *retained) keepTail(text []byte, lines lineCount, now time.Time) {
	at := len(text) - keepTail
	n := bytes.IndexByte(text[at:], '\n')
	if n < 0 {
		r.skip(lines)
		return
	}
	text = text[at+n+1:]
	count := bytes.Count(text, newlineByte)
	if lines.end != newline {
		count++
	}
	r.skipped += max(lines.n-count, 0)
	r.keep(text, nil, lineCount{count, lines.end}, now)
}
