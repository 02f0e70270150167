package output

import (
	"bytes"
	"cmp"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"tp0/supervisor/timeout"
)

const (
	// stallTimeout is how long the destination of a full sink may accept no byte before the
	// lines that do not fit are dropped. A child must not block because nothing reads our output.
	stallTimeout = time.Second
	// reportInterval is the shortest time between two reports of a stalled sink.
	reportInterval = time.Second
	// diskRetry is the pause before a write to a full disk is repeated.
	diskRetry = time.Second

	// queueLimit is the number of bytes in the queue above which streams wait.
	queueLimit = 1 << 20
	// priorityLimit is the limit for lines that do not wait behind the streams: those of the
	// supervisor, and those of a closed ChildOutput.
	priorityLimit = 4 << 20

	// batchSize holds one full pipe with short prefixes, and for a line of maxLine bytes
	// with its prefix.
	batchSize = 72 << 10
)

// The reasons for dropped lines, besides the text of an error.
const (
	reasonStalled = "stalled"
	reasonSlow    = "too slow" // the sink accepts bytes, but these lines could not wait
	reasonEnded   = "not taken before the end"
)

// A batch is a sequence of whole lines for a sink. It has one owner at a time, who may change it.
type batch struct {
	b     []byte
	lines int // newlines in b
}

var batches = sync.Pool{New: func() any { return &batch{b: make([]byte, 0, batchSize)} }}

func newBatch() *batch { return batches.Get().(*batch) }

// free returns b to the pool. A batch that had to grow is left to the garbage collector.
func (b *batch) free() {
	if cap(b.b) == batchSize {
		b.b, b.lines = b.b[:0], 0
		batches.Put(b)
	}
}

// An origin is the source of lines: a stream, or the supervisor itself.
type origin struct {
	own     bool
	closing <-chan struct{} // closed when the lines no longer wait; nil: never
}

func (o *origin) closed() bool {
	select {
	case <-o.closing:
		return true
	default:
		return false
	}
}

// A loss is output that was not delivered and not reported yet.
type loss struct {
	lines, bytes uint64
	reason       string
}

// losses are what a sink lost.
type losses struct {
	lost     loss // not reported yet
	reported time.Time
	total    *atomic.Uint64 // lines that this sink and others lost, reported or not; may be nil
}

// A backlog is the queue of a sink and its byte counters.
type backlog struct {
	queue    []*batch // not yet taken by the writer
	spare    []*batch // the other slice for queue
	held     int      // capacity of all batches that are not written yet
	accepted uint64   // bytes, since the start
	finished uint64   // bytes of accepted that are written or lost
	pending  int      // lines in the batches that are not written yet
}

// hooks adapt a sink to its destination. Each may be nil, and the writer calls them.
type hooks struct {
	// checkPath is called before a write, and when a check is requested. It returns true if the
	// destination was replaced: a log file was renamed.
	checkPath func(requested, writing bool) (replaced bool)
	retire    func() bool // called when the queue is empty; true ends the writer
	finish    func()      // called when the writer ends
	report    func(dest string, lines, bytes uint64, reason string)
}

// A sink is one destination: a bounded queue and the goroutine that writes it. The lines of all
// streams stay whole, and one write carries many of them.
type sink struct {
	dest string
	to   target
	hooks
	quit           chan struct{} // closed when the writer has to drop the queue and end
	offset         int           // bytes written of the first batch; used by the writer only
	checkRequested atomic.Bool   // the writer has to call checkPath
	writing        atomic.Bool   // the writer is in a call that can block: a write, or checkPath
	wake           chan struct{} // wakes the writer; capacity 1
	gone           chan struct{} // closed when the writer has ended

	mu sync.Mutex
	backlog
	last    *origin // of the last accepted byte; nil if some of its lines were lost
	open    bool    // the last accepted byte was not a newline
	clock   *timeout.Clock
	since   time.Duration // of the last written byte, or of the queue being full, by clock
	stalled string        // the reason for dropping lines that do not fit; empty if none
	broken  error         // of a write; it ends all delivery
	ended   bool          // the writer has ended
	losses
	changed chan struct{} // closed when space or state has changed; nil if nothing waits
}

func newSink(dest string, to target, report func(string, uint64, uint64, string)) *sink {
	base := time.Now()
	now := func() time.Duration { return time.Since(base) }
	return &sink{
		clock: timeout.New(now, func(time.Duration) {}), // the pause is reported elsewhere
		dest:  dest, to: to, hooks: hooks{report: report}, quit: make(chan struct{}),
		wake: make(chan struct{}, 1), gone: make(chan struct{}),
	}
}

// put queues b, and waits while the sink is full but accepts bytes. The sink owns b afterwards. A
// pause of the supervisor does not count, since no byte is written in it.
func (s *sink) put(b *batch, from *origin) {
	start := time.Duration(-1)
	for {
		closing := from.closed()
		s.mu.Lock()
		if s.admits(from, closing) {
			s.enqueue(b, from)
			s.mu.Unlock()
			s.wakeWriter()
			return
		}
		now := s.clock.Ran()
		if start < 0 {
			start = now
		}
		if s.dropping(now) || closing || from.own && now-start >= stallTimeout {
			l := s.drop(b, from, time.Now())
			s.mu.Unlock()
			b.free()
			s.reportLoss(l)
			return
		}
		wait := s.since + stallTimeout - now
		changed := s.awaitChange()
		s.mu.Unlock()
		if from.own {
			wait = min(wait, start+stallTimeout-now)
		}
		s.awaitSpace(wait, changed, from.closing)
	}
}

// awaitSpace waits until one of the channels is closed, or until d is over. Pauses do not count.
func (s *sink) awaitSpace(d time.Duration, changed, closing <-chan struct{}) {
	over := make(chan struct{})
	defer s.clock.AfterFunc(d, func() { close(over) }).Stop()
	select {
	case <-over:
	case <-changed:
	case <-closing:
	}
}

// waitFor waits for d, or until the channel is closed.
func waitFor(d time.Duration, quit <-chan struct{}) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-quit:
	}
}

// admits reports whether the queue has space. The caller holds s.mu here and in all methods up to
// notifyChange.
func (s *sink) admits(from *origin, closing bool) bool {
	if s.ended || s.broken != nil {
		return false
	}
	if from.own || closing {
		return s.held < priorityLimit
	}
	return s.held < queueLimit
}

// dropping reports whether lines that do not fit are dropped. It makes a full sink a stalled one
// after stallTimeout.
func (s *sink) dropping(now time.Duration) bool {
	if s.ended || s.broken != nil || s.stalled != "" {
		return true
	}
	if now-s.since < stallTimeout {
		return false
	}
	s.stalled = reasonStalled
	s.notifyChange()
	return true
}

// enqueue appends a batch and keeps the lines of different origins apart.
func (s *sink) enqueue(b *batch, from *origin) {
	if s.open && s.last != from {
		// The last line of another origin has no newline. Separate the lines.
		s.push(&batch{b: []byte{'\n'}, lines: 1})
	}
	s.last, s.open = from, b.b[len(b.b)-1] != '\n'
	s.push(b)
}

func (s *sink) push(b *batch) {
	s.accepted += uint64(len(b.b))
	s.pending += b.lines
	if n := len(s.queue); n > 0 {
		if t := s.queue[n-1]; len(b.b) <= cap(t.b)-len(t.b) {
			// Merge small batches: the capacity of the batches bounds the memory, and one write
			// carries many lines.
			t.b, t.lines = append(t.b, b.b...), t.lines+b.lines
			b.free()
			return
		}
	}
	if s.held < queueLimit && s.held+cap(b.b) >= queueLimit {
		s.since = s.clock.Ran() // the queue is full from now on
	}
	s.queue = append(s.queue, b)
	s.held += cap(b.b)
}

// drop counts a batch as lost. It returns the loss if it is time for a report.
func (s *sink) drop(b *batch, from *origin, now time.Time) loss {
	s.count(b.b, b.lines)
	if s.last == from {
		s.last = nil // the next bytes of this origin are another line
	}
	if s.broken != nil || s.ended || now.Sub(s.reported) < reportInterval {
		return loss{} // the first error was reported; the rest is reported at the end
	}
	return s.takeLoss(cmp.Or(s.stalled, reasonSlow), now)
}

// count counts text as lost. A line without a newline counts as well.
func (l *losses) count(text []byte, newlines int) {
	if n := len(text); n > 0 && text[n-1] != '\n' {
		newlines++
	}
	l.add(uint64(newlines), uint64(len(text)))
}

func (l *losses) add(lines, bytes uint64) {
	l.lost.lines += lines
	l.lost.bytes += bytes
	if l.total != nil {
		l.total.Add(lines)
	}
}

// takeLoss returns the loss that was not reported, with a reason, and resets it.
func (s *sink) takeLoss(reason string, now time.Time) loss {
	l := s.lost
	l.reason = reason
	s.lost, s.reported = loss{}, now
	return l
}

func (s *sink) awaitChange() <-chan struct{} {
	if s.changed == nil {
		s.changed = make(chan struct{})
	}
	return s.changed
}

func (s *sink) notifyChange() {
	if s.changed != nil {
		close(s.changed)
		s.changed = nil
	}
}

// reportLoss reports l. The caller does not hold s.mu.
func (s *sink) reportLoss(l loss) {
	if l.reason != "" && s.report != nil {
		s.report(s.dest, l.lines, l.bytes, l.reason)
	}
}

func (s *sink) wakeWriter() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// left returns the number of bytes that were accepted before mark and are not finished, and a
// channel that is closed when it may have changed.
func (s *sink) left(mark uint64) (uint64, <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.finished >= mark {
		return 0, nil
	}
	return mark - s.finished, s.awaitChange()
}

// mark returns the number of bytes accepted so far.
func (s *sink) mark() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.accepted
}

// write is the goroutine of the sink. It ends when quit is closed or retire returns true.
func (s *sink) write() {
	defer close(s.gone)
	var vector [maxVector][]byte
	var work []*batch
	for !s.quitting() {
		if len(work) == 0 {
			work = s.take()
		}
		if s.checkPath != nil {
			s.writing.Store(true)
			replaced := s.checkPath(s.checkRequested.Swap(false), len(work) > 0)
			s.writing.Store(false)
			if replaced {
				s.restart(work)
			}
		}
		if len(work) > 0 {
			work = s.deliver(work, vector[:0])
			continue
		}
		if s.retire != nil && s.retire() {
			break
		}
		select {
		case <-s.wake:
		case <-s.quit:
		}
	}
	s.end(work)
	if s.finish != nil {
		s.finish()
	}
}

// requestCheck makes the writer call checkPath before the next write.
func (s *sink) requestCheck() { s.checkRequested.Store(true) }

// restart prepares the first write to a new destination. A line that is partly in the old one is
// written again, from its beginning. A write error of the old one does not matter any more.
func (s *sink) restart(work []*batch) {
	again := 0
	if s.offset > 0 {
		again = s.offset - 1 - bytes.LastIndexByte(work[0].b[:s.offset], '\n')
	}
	s.offset -= again
	s.mu.Lock()
	defer s.mu.Unlock()
	s.finished -= uint64(again)
	s.broken = nil
}

func (s *sink) quitting() bool {
	select {
	case <-s.quit:
		return true
	default:
		return false
	}
}

// take returns the queued batches. The writer has written all earlier ones.
func (s *sink) take() []*batch {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.queue, s.spare = s.spare[:0], s.queue
	return s.spare
}

// deliver makes one write of the first batches in work and returns the remaining ones.
func (s *sink) deliver(work []*batch, vector [][]byte) []*batch {
	for _, b := range work[:min(len(work), maxVector)] {
		vector = append(vector, b.b)
	}
	vector[0] = vector[0][s.offset:]
	s.writing.Store(true)
	n, err := s.to.write(vector)
	s.writing.Store(false)
	switch {
	case err == nil && n == 0:
		return work
	case err == nil:
		return s.written(work, n)
	case errors.Is(err, unix.ENOSPC), errors.Is(err, unix.EDQUOT):
		// Keep the queue, including a line that was written in part, and write it again: there may
		// be space later.
		s.diskFull(err)
		return work
	default:
		s.fail(work, err)
		return nil
	}
}

// written counts n bytes of work as written and returns the remaining batches.
func (s *sink) written(work []*batch, n int) []*batch {
	freed, lines := 0, 0
	for s.offset += n; len(work) > 0 && s.offset >= len(work[0].b); work = work[1:] {
		s.offset -= len(work[0].b)
		freed += cap(work[0].b)
		lines += work[0].lines
		work[0].free()
		work[0] = nil
	}
	s.mu.Lock()
	var l loss
	now := time.Now()
	s.held -= freed
	s.pending -= lines
	s.finished += uint64(n)
	s.since = s.clock.Ran()
	if s.stalled != "" && s.lost.bytes > 0 {
		l = s.takeLoss(s.stalled, now)
	}
	s.stalled = ""
	if s.held <= queueLimit/2 {
		s.notifyChange() // not for each batch: a stream that waited then has room for several
	}
	s.mu.Unlock()
	s.reportLoss(l)
	return work
}

// diskFull reports a full disk and waits before the next write.
func (s *sink) diskFull(err error) {
	s.mu.Lock()
	var l loss
	if reason := err.Error(); s.stalled != reason {
		s.stalled = reason
		l = s.takeLoss(reason, time.Now())
		s.notifyChange()
	}
	s.mu.Unlock()
	s.reportLoss(l)
	waitFor(diskRetry, s.quit)
}

// fail drops the queue and all later lines.
func (s *sink) fail(work []*batch, err error) {
	lines, size := s.unreadLoss()
	s.mu.Lock()
	s.broken = err
	s.add(lines, size)
	s.discard(work)
	l := s.takeLoss(err.Error(), time.Now())
	s.mu.Unlock()
	s.reportLoss(l)
}

// unreadLoss returns the lines and bytes that the destination accepted and no reader will take. The
// end of a line that is there in part is still to be written, and is counted then.
func (s *sink) unreadLoss() (lines, size uint64) {
	d, ok := s.to.(*descriptor)
	if !ok {
		return 0, 0
	}
	text := d.takeUnread()
	return uint64(bytes.Count(text, newlineByte)), uint64(len(text))
}

// end drops the remaining lines and reports the losses that were not reported yet.
func (s *sink) end(work []*batch) {
	lines, size := s.unreadLoss() // the reader can have gone after the last write
	s.mu.Lock()
	if !s.ended {
		s.ended = true
		if lines > 0 {
			s.broken = cmp.Or(s.broken, error(unix.EPIPE))
			s.add(lines, size)
		}
		s.discard(work)
	}
	s.mu.Unlock()
	s.reportRest()
}

// abandon counts what a writer has whose write does not return, and reports the losses.
func (s *sink) abandon() {
	s.mu.Lock()
	if !s.ended {
		s.ended = true
		s.add(uint64(s.pending), s.accepted-s.finished)
	}
	s.mu.Unlock()
	s.reportRest()
}

// reportRest reports the losses that were not reported yet.
func (s *sink) reportRest() {
	s.mu.Lock()
	var l loss
	if s.lost.bytes > 0 {
		reason := reasonEnded
		if s.broken != nil {
			reason = s.broken.Error()
		}
		l = s.takeLoss(reason, time.Now())
	}
	s.mu.Unlock()
	s.reportLoss(l)
}

// discard drops the batches of the writer and the queue. The caller holds s.mu.
func (s *sink) discard(work []*batch) {
	for _, b := range slices.Concat(work, s.queue) {
		// A line that is written in part is lost.
		s.count(b.b[s.offset:], b.lines-bytes.Count(b.b[:s.offset], newlineByte))
		s.offset = 0
		b.free()
	}
	clear(work)
	clear(s.queue)
	s.queue, s.held, s.finished, s.pending = s.queue[:0], 0, s.accepted, 0
	s.notifyChange()
}
