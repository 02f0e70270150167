package retain

import (
	"bytes"
	"sync"
	"time"
	"unsafe"

	"tp0/supervisor/output/lines"
)

const (
	// minChunk and maxChunk are the sizes, in bytes, of the memory for the lines of short reads.
	minChunk = 512
	maxChunk = 32 << 10

	runSize       = int(unsafe.Sizeof(run{}))
	chunkOverhead = int(unsafe.Sizeof(chunk{})) + 2*8 // with its pointer in a slice
)

// A run is the lines of one read.
type run struct {
	seq     uint64 // the order of all runs
	at      int64  // of the read, in ns since 1970
	size    uint32 // bytes of text
	lines   uint32
	process uint32
	stream  Stream
	hook    Hook
	end     lines.Ending // of the last line; the others end with a newline
}

// A chunk is a number of runs, which are forgotten together.
type chunk struct {
	text    []byte // of all runs
	runs    []run  // not empty
	adopted bool   // text is a buffer of the caller of Add
}

func (c *chunk) cost() int { return cap(c.text) + cap(c.runs)*runSize + chunkOverhead }

func (c *chunk) last() uint64 { return c.runs[len(c.runs)-1].seq }

// An Instance has the lines of one instance. Its fields belong to its Store.
type Instance struct {
	name, child string
	users       int          // outputs that can add lines
	processes   uint32       // started so far
	begun       [2]time.Time // of the last process, and of the one before it
	forgotten   bool         // some lines are not kept any more
	listed      bool         // the configuration has the instance

	limit  int      // bytes
	bytes  int      // in use
	chunks []*chunk // from old to new
	last   uint64   // seq of the last run; 0 if there was none

	// The instances are a list in the order of their last runs, the latest first.
	prev, next *Instance
}

// chunks has the memory of chunks of full size. An instance with few lines has smaller ones.
var chunks = sync.Pool{New: func() any { return new([maxChunk]byte) }}

// room returns the chunk to which a text of n bytes is appended, with enough capacity.
func (i *Instance) room(n int) *chunk {
	size := min(max(i.limit/8, minChunk), maxChunk)
	if len(i.chunks) > 0 {
		c := i.chunks[len(i.chunks)-1]
		used := len(c.text)
		if !c.adopted && used+n <= size {
			if used+n > cap(c.text) {
				text := make([]byte, used, min(max(2*cap(c.text), used+n), size))
				copy(text, c.text)
				i.bytes += cap(text) - cap(c.text)
				c.text = text
			}
			return c
		}
	}
	c := &chunk{}
	switch {
	case n <= maxChunk && size == maxChunk && (n > maxChunk/8 || len(i.chunks) > 0):
		c.text = chunks.Get().(*[maxChunk]byte)[:0]
	default:
		c.text = make([]byte, 0, max(n, min(size, minChunk/4)))
	}
	i.bytes += c.cost()
	i.chunks = append(i.chunks, c)
	return c
}

// copyRun adds a copy of a run.
func (i *Instance) copyRun(r run, text []byte) {
	c := i.room(len(text))
	before := cap(c.runs)
	c.text = append(c.text, text...)
	c.runs = append(c.runs, r)
	i.bytes += (cap(c.runs) - before) * runSize
}

// adopt adds a run whose text is in a buffer that the instance keeps.
func (i *Instance) adopt(r run, text []byte) {
	c := &chunk{text: text, runs: []run{r}, adopted: true}
	i.bytes += c.cost()
	i.chunks = append(i.chunks, c)
}

// lastLines returns the last whole lines of a text that have limit bytes at most, and their number.
func lastLines(text []byte, limit int) ([]byte, uint32) {
	// The byte before the first line is a newline.
	at := len(text) - limit
	n := bytes.IndexByte(text[at-1:], '\n')
	if n < 0 {
		return nil, 0
	}
	text = text[at+n:]
	count := bytes.Count(text, []byte{'\n'})
	if len(text) > 0 && text[len(text)-1] != '\n' {
		count++
	}
	return text, uint32(count)
}

// removeOldest removes the oldest chunk.
func (i *Instance) removeOldest() *chunk {
	c := i.chunks[0]
	i.chunks[0] = nil
	if i.chunks = i.chunks[1:]; len(i.chunks) == 0 {
		i.chunks = nil
	}
	i.bytes -= c.cost()
	return c
}
