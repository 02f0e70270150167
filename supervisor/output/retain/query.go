package retain

import (
	"slices"
	"time"
)

// A Stream is one of the two streams of a process.
type Stream uint8

// The streams.
const (
	Stdout Stream = iota
	Stderr
)

func (s Stream) String() string { return [...]string{"stdout", "stderr"}[s] }

// A Line is one line of the output of a process, or a piece of a line above [lines.Max] bytes.
type Line struct {
	Instance, Child string
	Process         uint32 // the number of the process among those of its instance, from 1
	Stream          Stream
	Hook            Hook
	At              time.Time // when the supervisor read the line
	Partial         bool      // the next line of this stream continues this one
	// Text are the bytes as the process wrote them, without the newline: escape sequences, NUL and
	// bytes that are not UTF-8 too. Who shows the text to a person or puts it into a document must
	// escape it, see package termtext.
	Text []byte
}

// A Query selects lines. The zero value selects all lines that are kept.
type Query struct {
	Names  []string // of children or instances; empty for all
	Stdout bool     // only this stream; both or neither of them for both streams
	Stderr bool
	Since  time.Time // lines that were read before are left out; zero for no limit
	// Last is how many lines of each instance are selected at most, the latest ones. A negative
	// value selects all, 0 selects only lines that come later.
	Last int
	// Previous selects the lines of the last process of each instance that has ended: the one
	// before the present one, or the last one if none runs. A start that failed counts as a
	// process. It excludes Follow.
	Previous bool
	Follow   bool // also selects the lines that come later
}

func (q *Query) streams(s Stream) bool {
	return q.Stdout == q.Stderr || q.Stdout == (s == Stdout)
}

// Selects reports whether the query has the name of an instance or of its child.
func (q *Query) Selects(instance, child string) bool {
	return len(q.Names) == 0 || slices.Contains(q.Names, instance) ||
		slices.Contains(q.Names, child)
}
