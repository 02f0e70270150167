package output

import "sync/atomic"

// Relayed counts what was read from a stream of an instance, in all its processes.
type Relayed struct {
	Lines uint64 // pieces of a line above 64 KiB count as lines
	Bytes uint64 // as the process wrote them
}

// relayed counts a stream. Any goroutine may read it.
type relayed struct{ lines, bytes atomic.Uint64 }

func (r *relayed) add(lines, bytes int) {
	r.lines.Add(uint64(lines))
	r.bytes.Add(uint64(bytes))
}

// counts has the counts of each instance, of standard output and standard error.
type counts map[string]*[2]relayed

// of returns the counts of an instance.
func (c counts) of(instance string) *[2]relayed {
	n := c[instance]
	if n == nil {
		n = new([2]relayed)
		c[instance] = n
	}
	return n
}
