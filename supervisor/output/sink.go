package output

import (
	"bytes"
	"cmp"
	"errors"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// patience is how long a full sink may take not one byte before the
	// lines that do not fit are dropped; a child must not freeze because
	// nobody reads our output.
	patience = time.Second
	// reportEvery bounds how often the drops of a stalled sink are reported.
	reportEvery = time.Second
	// diskRetry is how often a full disk is tried again.
	diskRetry = time.Second

	// queueLimit is how many bytes of batches wait for a sink before its
	// streams do.
	queueLimit = 1 << 20
	// overdraft is the limit for what does not wait: the supervisor's own
	// lines, and what a closed run still had.
	overdraft = 4 << 20

	// batchSize holds what one full pipe becomes with short prefixes, and a
	// line of lineCap with its prefix.
	batchSize = 72 << 10
)

// Why lines were dropped, besides the text of an error.
const (
	reasonStalled = "stalled"
	reasonSlow    = "too slow" // it gets on, but the lines were not to wait
	reasonEnded   = "not taken before the end"
)

// A batch is a run of whole lines on its way to a sink. Who holds it may
// change it; it is handed on, never shared.
type batch struct{ b []byte }

var batches = sync.Pool{New: func() any { return &batch{make([]byte, 0, batchSize)} }}

func newBatch() *batch { return batches.Get().(*batch) }

// free gives b back; one that had to grow is left to the collector.
func (b *batch) free() {
	if cap(b.b) == batchSize {
		b.b = b.b[:0]
		batches.Put(b)
	}
}

// An origin is who hands lines to a sink: a stream of a run, or the
// supervisor itself.
type origin struct {
	own     bool
	closing <-chan struct{} // closed when its lines shall no longer wait
}

func (o *origin) hurried() bool {
	select {
	case <-o.closing:
		return true
	default:
		return false
	}
}

// A loss is output that could not be delivered and was not reported yet.
type loss struct {
	lines, bytes uint64
	reason       string
}

// A sink is one destination: a bounded queue and the goroutine that writes it,
// so that lines of many streams meet there whole, and few writes carry many.
type sink struct {
	dest   string
	to     target
	quit   <-chan struct{} // closed when what is left is given up
	retire func() bool     // asked when nothing is queued: true ends the writer; nil: never
	finish func()          // called as the writer ends; nil: nothing to do
	report func(dest string, lines, bytes uint64, reason string)
	offset int           // the writer's: how much of the batch in hand is written
	poke   chan struct{} // there is something for the writer to do; holds one
	gone   chan struct{} // closed as the writer ends

	mu       sync.Mutex
	queue    []*batch // accepted and not yet taken up by the writer
	spare    []*batch // the other slice for queue
	held     int      // capacity of the batches accepted and not yet written out
	accepted uint64   // bytes, ever
	finished uint64   // bytes of those that were written or lost
	last     *origin  // of the last byte accepted, if that was no newline
	open     bool     // the last byte accepted was no newline
	since    time.Time
	stalled  string // the reason, while lines are dropped that do not fit
	broken   error  // for good
	ended    bool
	lost     loss
	reported time.Time
	changed  chan struct{} // closed when there is room again, or no hope for it; nil: nobody waits
}

func newSink(dest string, to target, quit <-chan struct{},
	report func(string, uint64, uint64, string)) *sink {
	return &sink{
		dest: dest, to: to, quit: quit, report: report,
		poke: make(chan struct{}, 1), gone: make(chan struct{}),
	}
}

// put hands b over, and waits while the sink is full and gets on. b must not
// be used afterwards.
func (s *sink) put(b *batch, from *origin) {
	began := time.Time{}
	for {
		hurried := from.hurried()
		s.mu.Lock()
		if s.admits(from, hurried) {
			s.enqueue(b, from)
			s.mu.Unlock()
			s.wakeWriter()
			return
		}
		now := time.Now()
		if began.IsZero() {
			began = now
		}
		if s.hopeless(now) || hurried || from.own && now.Sub(began) >= patience {
			l := s.lose(b.b, from, now)
			s.mu.Unlock()
			b.free()
			s.tell(l)
			return
		}
		wait := s.since.Add(patience).Sub(now)
		changed := s.watch()
		s.mu.Unlock()
		if from.own {
			wait = min(wait, began.Add(patience).Sub(now))
		}
		pause(wait, changed, from.closing)
	}
}

// pause waits for d or for one of the channels.
func pause(d time.Duration, a, b <-chan struct{}) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-a:
	case <-b:
	}
}

// admits says whether there is room. Called with the lock, as are all that
// follow up to tell.
func (s *sink) admits(from *origin, hurried bool) bool {
	if s.ended || s.broken != nil {
		return false
	}
	if from.own || hurried {
		return s.held < overdraft
	}
	return s.held < queueLimit
}

// hopeless says whether it makes no sense to wait for room; that is where a
// full sink becomes a stalled one.
func (s *sink) hopeless(now time.Time) bool {
	if s.ended || s.broken != nil || s.stalled != "" {
		return true
	}
	if now.Sub(s.since) < patience {
		return false
	}
	s.stalled = reasonStalled
	s.announce()
	return true
}

func (s *sink) enqueue(b *batch, from *origin) {
	if s.open && s.last != from {
		// Somebody's line has no end yet: others do not go on with it.
		s.push(&batch{[]byte{'\n'}})
	}
	s.last, s.open = from, b.b[len(b.b)-1] != '\n'
	s.push(b)
}

func (s *sink) push(b *batch) {
	s.accepted += uint64(len(b.b))
	if n := len(s.queue); n > 0 {
		if t := s.queue[n-1]; len(b.b) <= cap(t.b)-len(t.b) {
			// Many small batches become few large ones; so the memory is
			// bounded by their capacity, and a write carries them all.
			t.b = append(t.b, b.b...)
			b.free()
			return
		}
	}
	if s.held < queueLimit && s.held+cap(b.b) >= queueLimit {
		s.since = time.Now() // full from now on
	}
	s.queue = append(s.queue, b)
	s.held += cap(b.b)
}

// lose counts text as lost and returns the loss if it is to be reported now.
func (s *sink) lose(text []byte, from *origin, now time.Time) loss {
	s.lost.count(text)
	if s.last == from {
		s.last = nil // what follows is another line
	}
	if s.broken != nil || s.ended || now.Sub(s.reported) < reportEvery {
		return loss{} // a broken sink was reported as it broke; the end tells the rest
	}
	return s.owed(cmp.Or(s.stalled, reasonSlow), now)
}

func (l *loss) count(text []byte) {
	if len(text) == 0 {
		return
	}
	l.bytes += uint64(len(text))
	l.lines += uint64(bytes.Count(text, []byte{'\n'}))
	if text[len(text)-1] != '\n' {
		l.lines++
	}
}

// owed takes what is lost and unreported, to be told for reason.
func (s *sink) owed(reason string, now time.Time) loss {
	l := s.lost
	l.reason = reason
	s.lost, s.reported = loss{}, now
	return l
}

func (s *sink) watch() <-chan struct{} {
	if s.changed == nil {
		s.changed = make(chan struct{})
	}
	return s.changed
}

func (s *sink) announce() {
	if s.changed != nil {
		close(s.changed)
		s.changed = nil
	}
}

// tell reports l, without the lock.
func (s *sink) tell(l loss) {
	if l.reason != "" && s.report != nil {
		s.report(s.dest, l.lines, l.bytes, l.reason)
	}
}

func (s *sink) wakeWriter() {
	select {
	case s.poke <- struct{}{}:
	default:
	}
}

// left returns how many bytes accepted before mark are not finished, and a
// channel that is closed once that may have changed.
func (s *sink) left(mark uint64) (uint64, <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.finished >= mark {
		return 0, nil
	}
	return mark - s.finished, s.watch()
}

func (s *sink) mark() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.accepted
}

// write is the writer: it ends once quit is closed, or retire agrees.
func (s *sink) write() {
	defer close(s.gone)
	var vector [maxVector][]byte
	var work []*batch
	for !s.over() {
		if len(work) == 0 {
			work = s.take()
		}
		if len(work) > 0 {
			work = s.deliver(work, vector[:0])
			continue
		}
		if s.retire != nil && s.retire() {
			break
		}
		select {
		case <-s.poke:
		case <-s.quit:
		}
	}
	s.end(work)
	if s.finish != nil {
		s.finish()
	}
}

func (s *sink) over() bool {
	select {
	case <-s.quit:
		return true
	default:
		return false
	}
}

// take takes up all that is queued; the writer has nothing in hand then.
func (s *sink) take() []*batch {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.queue, s.spare = s.spare[:0], s.queue
	return s.spare
}

// deliver writes the front of work once and returns what is left of it.
func (s *sink) deliver(work []*batch, vector [][]byte) []*batch {
	for _, b := range work[:min(len(work), maxVector)] {
		vector = append(vector, b.b)
	}
	vector[0] = vector[0][s.offset:]
	n, err := s.to.write(vector)
	switch {
	case err == nil && n == 0:
		return work
	case err == nil:
		return s.took(work, n)
	case errors.Is(err, unix.ENOSPC), errors.Is(err, unix.EDQUOT):
		// Somebody may make room: what is queued is kept, a line that was
		// written in part among it, and tried again.
		s.full(err)
		return work
	default:
		s.fail(work, err)
		return nil
	}
}

// took books n bytes of work as written.
func (s *sink) took(work []*batch, n int) []*batch {
	freed := 0
	for s.offset += n; len(work) > 0 && s.offset >= len(work[0].b); work = work[1:] {
		s.offset -= len(work[0].b)
		freed += cap(work[0].b)
		work[0].free()
		work[0] = nil
	}
	s.mu.Lock()
	var l loss
	now := time.Now()
	s.held -= freed
	s.finished += uint64(n)
	s.since = now
	if s.stalled != "" && s.lost.bytes > 0 {
		l = s.owed(s.stalled, now)
	}
	s.stalled = ""
	if s.held <= queueLimit/2 {
		s.announce() // not for each batch: who waited can work for a while
	}
	s.mu.Unlock()
	s.tell(l)
	return work
}

// full waits after a write to a full disk.
func (s *sink) full(err error) {
	s.mu.Lock()
	var l loss
	if reason := err.Error(); s.stalled != reason {
		s.stalled = reason
		l = s.owed(reason, time.Now())
		s.announce()
	}
	s.mu.Unlock()
	s.tell(l)
	pause(diskRetry, s.quit, nil)
}

// fail gives the sink up for good.
func (s *sink) fail(work []*batch, err error) {
	s.mu.Lock()
	s.broken = err
	s.discard(work)
	l := s.owed(err.Error(), time.Now())
	s.mu.Unlock()
	s.tell(l)
}

// end gives up what is left as the writer ends, and reports what was not yet.
func (s *sink) end(work []*batch) {
	s.mu.Lock()
	s.ended = true
	s.discard(work)
	var l loss
	if s.lost.bytes > 0 {
		reason := reasonEnded
		if s.broken != nil {
			reason = s.broken.Error()
		}
		l = s.owed(reason, time.Now())
	}
	s.mu.Unlock()
	s.tell(l)
}

// discard loses work, which the writer has in hand, and the queue. Called with
// the lock.
func (s *sink) discard(work []*batch) {
	for _, b := range work {
		s.lost.count(b.b[s.offset:])
		s.offset = 0
		b.free()
	}
	for _, b := range s.queue {
		s.lost.count(b.b)
		b.free()
	}
	clear(work)
	clear(s.queue)
	s.queue, s.held, s.finished = s.queue[:0], 0, s.accepted
	s.announce()
}
