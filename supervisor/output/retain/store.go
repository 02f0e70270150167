// Package retain keeps the last lines of each instance in memory. It has no goroutine and no timer.
//
// The writers are the streams of package output. They never wait for a reader: a reader has only a
// position, and lines that are forgotten before it has read them are counted for it. So the memory
// does not depend on the number of readers. Lines are kept in chunks of up to 68 KiB, and forgotten
// in chunks, the oldest one first.
package retain

import (
	"sync"
	"sync/atomic"
	"time"

	"tp0/supervisor/output/lines"
)

const (
	// followWindow is how many bytes of an instance are kept, within the sum, for a reader that
	// follows and has not read them yet. It is more than the usual limit of an instance, so that a
	// short delay of the reader loses no line.
	followWindow = 4 << 20
	// slackPart is the part of the sum that is freed at a time, because the search for the largest
	// instance takes time.
	slackPart = 64
)

// Store keeps lines. Any goroutine may call its methods.
type Store struct {
	recycle func([]byte) // takes a buffer back that Add kept; may be nil

	mu        sync.Mutex
	instances map[string]*Instance
	latest    *Instance // the head of the list of instances
	seq       uint64    // of the last run
	total     int       // limit of bytes
	bytes     int       // in use
	filled    int       // instances that use memory
	limits    map[string]int
	cursors   []*cursor
	closed    bool

	following atomic.Int32 // readers that follow
}

// NewStore returns a store that keeps nothing until [Store.Configure] is called.
func NewStore(recycle func([]byte)) *Store {
	return &Store{recycle: recycle, instances: map[string]*Instance{}}
}

// Configure sets how many bytes are kept in sum, and of each instance by its name. An instance that
// is not in limits loses its lines, once it has no output that can add some.
func (s *Store) Configure(total int, limits map[string]int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.total, s.limits = total, limits
	for _, i := range s.instances {
		s.configure(i)
		s.trim(i)
	}
	s.trimSum(nil)
}

// configure applies the limits to an instance.
func (s *Store) configure(i *Instance) {
	i.limit, i.listed = s.limits[i.name]
	if !i.listed && i.users == 0 {
		s.remove(i)
	}
}

func (s *Store) remove(i *Instance) {
	for len(i.chunks) > 0 {
		s.forget(i)
	}
	s.unlink(i)
	delete(s.instances, i.name)
}

// Open returns an instance, for the output of its next process, and the number of the process.
// [Store.Release] must be called at the end of the output.
func (s *Store) Open(name, child string) (*Instance, uint32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := s.open(name, child)
	i.processes++
	i.begun = [2]time.Time{time.Now(), i.begun[0]}
	return i, i.processes
}

// OpenHook is Open for the output of a hook, which belongs to the last process of the instance, or
// with next to the next one.
func (s *Store) OpenHook(name, child string, next bool) (*Instance, uint32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := s.open(name, child)
	if next {
		return i, i.processes + 1
	}
	return i, i.processes
}

// open returns an instance for another output.
func (s *Store) open(name, child string) *Instance {
	i := s.instances[name]
	if i == nil {
		i = &Instance{name: name, child: child}
		s.instances[name] = i
	}
	i.users++
	s.configure(i)
	i.child = child
	return i
}

// Release says that an output of an instance adds no more lines.
func (s *Store) Release(i *Instance) {
	s.mu.Lock()
	defer s.mu.Unlock()
	i.users--
	s.configure(i)
}

// A Read is what a stream has read: whole lines, or pieces of a long one.
type Read struct {
	Process uint32
	Stream  Stream
	Hook    Hook
	At      time.Time
	Lines   int          // the number of lines and pieces
	End     lines.Ending // of the last one
	Text    []byte
	// Buffer is the memory that starts with Text. Add can keep it instead of a copy. Nil: it must
	// not be kept.
	Buffer []byte
	// Skipped is the number of lines of the stream before these that are not added. The instance
	// forgets the lines before them.
	Skipped int
}

// Add adds lines. It returns true if it keeps the buffer, which the caller must not use any more.
func (s *Store) Add(i *Instance, r Read) (kept bool) {
	if len(r.Text) == 0 {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seq++
	x := run{
		seq: s.seq, at: r.At.UnixNano(), lines: uint32(r.Lines), process: r.Process,
		stream: r.Stream, hook: r.Hook, end: r.End,
	}
	followed := s.followed(i, &x)
	limit := min(i.limit, s.total)
	if followed {
		limit = min(max(i.limit, followWindow), s.total)
	}
	for r.Skipped > 0 && len(i.chunks) > 0 {
		s.forget(i)
	}
	i.forgotten = i.forgotten || r.Skipped > 0
	text := r.Text
	if len(text) > limit {
		all := x.lines
		if limit > 0 {
			text, x.lines = lastLines(text, limit)
		} else {
			text, x.lines = nil, 0
		}
		s.countMissed(i, &x, all-min(x.lines, all))
		i.forgotten = true
	}
	if len(text) > 0 {
		x.size = uint32(len(text))
		kept = s.store(i, x, text, r.Buffer, limit)
	}
	if followed {
		s.wakeReaders(i, &x)
	}
	return kept
}

// store adds a run that is within the limits, and forgets older ones. A buffer is kept if most of
// it is used and the instance can have several.
func (s *Store) store(i *Instance, x run, text, buffer []byte, limit int) (kept bool) {
	before := i.bytes
	kept = len(text) >= len(buffer)/2 && 3*len(buffer) <= limit && len(buffer) > 0
	if kept {
		i.adopt(x, buffer[:len(text):len(buffer)])
	} else {
		i.copyRun(x, text)
	}
	if before == 0 {
		s.filled++
	}
	s.bytes += i.bytes - before
	i.last = x.seq
	s.moveToFront(i)
	s.trim(i)
	s.trimSum(i)
	return kept
}

// trim forgets the lines of an instance that are above its limit. The latest chunk stays, and so do
// chunks that a reader waits for, within followWindow.
func (s *Store) trim(i *Instance) {
	keep := 1
	if i.limit == 0 {
		keep = 0
	}
	for len(i.chunks) > keep && i.bytes > i.limit {
		if i.bytes <= followWindow && s.awaited(i, i.chunks[0]) {
			return
		}
		s.forget(i)
	}
}

// trimSum forgets lines until all instances together are within the sum: those of the instance that
// was added to, if it has more than its share, else those of the largest ones. So an instance with
// few lines does not lose them because another one prints many.
func (s *Store) trimSum(added *Instance) {
	if s.bytes <= s.total {
		return
	}
	share := s.total / max(s.filled, 1)
	for added != nil && s.bytes > s.total && added.bytes > share && len(added.chunks) > 1 {
		s.forget(added)
	}
	for s.bytes > s.total {
		var largest *Instance
		for _, i := range s.instances {
			if largest == nil || i.bytes > largest.bytes {
				largest = i
			}
		}
		if largest == nil || len(largest.chunks) == 0 {
			return
		}
		s.forget(largest)
		for len(largest.chunks) > 1 && largest.bytes > share &&
			s.bytes > s.total-s.total/slackPart {
			s.forget(largest)
		}
	}
}

// forget removes the oldest chunk of an instance.
func (s *Store) forget(i *Instance) {
	before := i.bytes
	c := i.removeOldest()
	i.forgotten = true
	s.bytes += i.bytes - before
	if i.bytes == 0 {
		s.filled--
	}
	for k := range c.runs {
		if len(s.cursors) > 0 {
			s.countMissed(i, &c.runs[k], c.runs[k].lines)
		}
	}
	switch {
	case c.adopted && s.recycle != nil:
		s.recycle(c.text)
	case !c.adopted && cap(c.text) == maxChunk:
		chunks.Put((*[maxChunk]byte)(c.text[:maxChunk]))
	}
}

// countMissed counts lines of a run for the readers that have not read them.
func (s *Store) countMissed(i *Instance, x *run, n uint32) {
	for _, c := range s.cursors {
		if c.wants(i, x) {
			c.missed += uint64(n - min(c.skip(i, x), n))
		}
	}
}

// Followed reports whether a reader follows an instance.
func (s *Store) Followed() bool { return s.following.Load() > 0 }

// followed reports whether a reader follows the instance.
func (s *Store) followed(i *Instance, x *run) bool {
	for _, c := range s.cursors {
		if c.query.Follow && c.wants(i, x) {
			return true
		}
	}
	return false
}

// awaited reports whether a reader follows the instance and has not read the chunk.
func (s *Store) awaited(i *Instance, k *chunk) bool {
	last := &k.runs[len(k.runs)-1]
	return s.followed(i, last)
}

// wakeReaders wakes the readers that wait for a run.
func (s *Store) wakeReaders(i *Instance, x *run) {
	for _, c := range s.cursors {
		if c.query.Follow && c.wants(i, x) {
			c.notify()
		}
	}
}

func (s *Store) moveToFront(i *Instance) {
	if s.latest == i {
		return
	}
	s.unlink(i)
	if i.next = s.latest; i.next != nil {
		i.next.prev = i
	}
	s.latest = i
}

func (s *Store) unlink(i *Instance) {
	if i.prev != nil {
		i.prev.next = i.next
	}
	if i.next != nil {
		i.next.prev = i.prev
	}
	if s.latest == i {
		s.latest = i.next
	}
	i.prev, i.next = nil, nil
}

// Close ends the readers once they have read the lines that are kept.
func (s *Store) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	for _, c := range s.cursors {
		c.notify()
	}
}
