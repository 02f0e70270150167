package retain

import (
	"cmp"
	"container/heap"
	"context"
	"errors"
	"io"
	"slices"
)

const (
	// batchSize is how many bytes of text a batch has, and less than one read more.
	batchSize = 64 << 10
	// maxReaders is the number of readers at a time. Each one costs time when lines are added.
	maxReaders = 128
)

// ErrTooManyReaders is returned by [Store.Read] if 128 readers are open.
var ErrTooManyReaders = errors.New("too many readers of the output: 128 are open")

// errPreviousFollow says that no line can follow those of an ended process.
var errPreviousFollow = errors.New("the lines of a previous process cannot be followed")

// A Reader returns the lines that a query selects, in order over all instances. One goroutine may
// use it. It must be closed.
type Reader struct {
	store  *Store
	cursor *cursor
}

// Read returns a reader of the lines that a query selects.
func (s *Store) Read(q Query) (*Reader, error) {
	if q.Previous && q.Follow {
		return nil, errPreviousFollow
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.cursors) >= maxReaders {
		return nil, ErrTooManyReaders
	}
	c := &cursor{
		query: q, until: s.seq, floors: map[*Instance]floor{}, wake: make(chan struct{}, 1),
	}
	if !q.Since.IsZero() {
		c.since = q.Since.UnixNano()
	}
	for _, i := range s.instances {
		if q.selects(i) && (q.Last >= 0 || q.Previous) {
			c.setFloor(i, s.seq)
		}
	}
	s.cursors = append(s.cursors, c)
	if q.Follow {
		s.following.Add(1)
	}
	return &Reader{s, c}, nil
}

// Close ends the reader. Next must not run.
func (r *Reader) Close() {
	s := r.store
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cursors = slices.DeleteFunc(s.cursors, func(c *cursor) bool { return c == r.cursor })
	if r.cursor.query.Follow {
		s.following.Add(-1)
		for _, i := range s.instances {
			s.trim(i) // it may have had more than its limit for this reader
		}
	}
}

// Next returns the next lines. If the query follows, it waits for them. It returns io.EOF after the
// last line, with what was missed: if the query follows, this is the last line before the relay
// closed. It returns the error of ctx if that ends.
func (r *Reader) Next(ctx context.Context) (Batch, error) {
	for {
		b, ended := r.take()
		if len(b.runs) > 0 {
			return b, nil
		}
		if ended {
			return b, io.EOF
		}
		select {
		case <-r.cursor.wake:
		case <-ctx.Done():
			return Batch{}, ctx.Err()
		}
	}
}

// Poll is Next without waiting: the batch is empty if there is no line now.
func (r *Reader) Poll() Batch {
	b, _ := r.take()
	return b
}

// take returns the next lines without waiting. ended says that there are no later ones.
func (r *Reader) take() (b Batch, ended bool) {
	s, c := r.store, r.cursor
	s.mu.Lock()
	defer s.mu.Unlock()
	left := r.unread()
	size := 0
	for len(left) > 0 && size < batchSize {
		p := left[0]
		x, text := p.run()
		if c.wants(p.inst, x) {
			b.runs = append(b.runs, selected{*x, p.inst, c.skip(p.inst, x), slices.Clone(text)})
			size += len(text)
		}
		c.next = x.seq + 1
		if p.advance() {
			heap.Fix(&left, 0)
		} else {
			heap.Pop(&left)
		}
	}
	if len(left) == 0 {
		c.next = s.seq + 1
	}
	if len(b.runs) > 0 && c.query.Follow {
		for _, x := range b.runs {
			s.trim(x.inst)
		}
	}
	ended = len(left) == 0 && (!c.query.Follow || s.closed)
	if len(b.runs) > 0 || ended {
		b.Missed, c.missed = c.missed, 0
	}
	return b, ended
}

// unread returns the positions of the runs that the reader has not read, as a heap.
func (r *Reader) unread() (left positions) {
	for i := r.store.latest; i != nil && i.last >= r.cursor.next; i = i.next {
		if !r.cursor.query.selects(i) {
			continue
		}
		chunk := slices.IndexFunc(i.chunks, func(c *chunk) bool {
			return c.last() >= r.cursor.next
		})
		if chunk < 0 {
			continue
		}
		p := &position{inst: i, chunk: chunk}
		for x, _ := p.run(); x.seq < r.cursor.next; x, _ = p.run() {
			p.advance()
		}
		left = append(left, p)
	}
	heap.Init(&left)
	return left
}

// A position is that of a run.
type position struct {
	inst   *Instance
	chunk  int
	at     int // in the runs of the chunk
	offset int // in its text
}

func (p *position) run() (*run, []byte) {
	c := p.inst.chunks[p.chunk]
	x := &c.runs[p.at]
	return x, c.text[p.offset : p.offset+int(x.size)]
}

// advance goes to the next run. It returns false if there is none.
func (p *position) advance() bool {
	c := p.inst.chunks[p.chunk]
	p.offset += int(c.runs[p.at].size)
	if p.at++; p.at == len(c.runs) {
		p.chunk, p.at, p.offset = p.chunk+1, 0, 0
	}
	return p.chunk < len(p.inst.chunks)
}

// positions is a heap in the order of the runs.
type positions []*position

func (h positions) Len() int      { return len(h) }
func (h positions) Swap(i, j int) { h[i], h[j] = h[j], h[i] }

func (h positions) Less(i, j int) bool {
	a, _ := h[i].run()
	b, _ := h[j].run()
	return cmp.Less(a.seq, b.seq)
}

func (h *positions) Push(x any) { *h = append(*h, x.(*position)) }

func (h *positions) Pop() any {
	last := len(*h) - 1
	p := (*h)[last]
	*h = (*h)[:last]
	return p
}
