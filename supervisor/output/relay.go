// Package output carries the output of children to where it goes: whole lines,
// in order within a stream, marked with the instance they came from.
//
// A run has a pipe for each stream. A goroutine reads it (the runtime's poller
// waits, so that an idle stream costs no thread, and no buffer), turns lines
// into what the format asks for, and hands batches of whole lines to a sink. A
// sink is one destination, shared by all streams that go there, with one
// goroutine that writes. Everything between is bounded:
//
//	child ─ pipe ─ stream ─┐
//	child ─ pipe ─ stream ─┼─ sink (queue of 1 MiB) ─ stdout
//	own log ─ Writer ──────┘
//
// While a sink takes bytes, however slowly, its streams wait for it and no line
// is lost. A full sink that takes not one byte for a second is stalled: lines
// that do not fit are dropped and counted until it takes bytes again, so that
// no child ever freezes because nobody reads our output. A sink that breaks
// (the reader is gone) drops and counts from then on. A disk that is full is
// a stalled sink, tried again every second.
//
// Neither the end of a run's process nor that of its group is known here: a
// stream ends at EOF, which a grandchild can hold off, or with [Run.Close].
package output

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"tp0/supervisor/fdledger"
)

// The destinations that are not paths.
const (
	destStdout = "stdout"
	destStderr = "stderr"
	destNone   = "none"
)

// lastWrite is how long Close waits, after its context ended, for a writer to
// come back from a write that cannot be interrupted.
const lastWrite = 20 * time.Millisecond

const (
	settleLimit = 20 * time.Millisecond
	settlePoll  = 200 * time.Microsecond
)

var (
	errClosed  = errors.New("the relay is closed")
	errStalled = errors.New(reasonStalled)
)

// Options are what a [Relay] is made with.
type Options struct {
	// Stdout and Stderr are the supervisor's own streams. They must stay open
	// until [Hub.Close] returned; the relay closes them never and changes no
	// flag of theirs. Where both lead to the same file they share one sink,
	// whose name is stdout: two would tear each other's lines.
	Stdout, Stderr *os.File

	FDs fdledger.Registrar

	// Dropped is called when output for dest (stdout, stderr or a path) could
	// not be delivered, with the number of lines and bytes lost since the last
	// call for it, and why: "stalled", "too slow" (for what a closed run or the
	// supervisor itself could not place), "not taken before the end", or the
	// text of an error. It is called as a sink breaks or finds its disk full
	// (nothing may be lost yet: 0 lines), for a sink that is stalled at most
	// once a second and when it takes bytes again, and at the end for what was
	// not reported yet. The calls come from the relay's goroutines and from
	// those in a [Hub.Writer]; it must not block. May be nil.
	Dropped func(dest string, lines, bytes uint64, reason string)
}

// A Hub owns the sinks, and the runs that feed them. Its methods may be called
// from any goroutine.
type Relay struct {
	opt Options
	// an eventfd that Close makes readable, for writers that wait in poll(2); -1: there is none
	ended int
	quit  chan struct{} // closed by Close, after the flush
	std   [2]*sink      // stdout, stderr; may be one

	mu     sync.Mutex
	sinks  []*sink              // whose writers have not ended
	files  map[string]*fileSink // by path
	runs   map[*ChildOutput]struct{}
	closed bool
}

// A fileSink is open while a run uses it, and until its queue is written.
type fileSink struct {
	*sink
	users int // guarded by Hub.mu
}

// NewRelay starts the writers of the standard streams. It opens one descriptor,
// an eventfd, which [Hub.Close] closes. Like the standard streams it serves
// until the last line of the log is written, so it is not in the books, which
// that line sums up.
func NewRelay(opt Options) *Relay {
	h := &Relay{
		opt: opt, quit: make(chan struct{}),
		files: make(map[string]*fileSink), runs: make(map[*ChildOutput]struct{}),
	}
	var err error
	if h.ended, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK); err != nil {
		h.ended = -1 // the writers look up by themselves now and then
	}
	out, log := number(opt.Stdout), number(opt.Stderr)
	h.std[0] = newSink(destStdout, newDescriptor(out, h.ended, opt.Stdout), h.quit, opt.Dropped)
	h.std[1] = h.std[0]
	h.sinks = []*sink{h.std[0]}
	if !sameFile(out, log) {
		h.std[1] = newSink(destStderr, newDescriptor(log, h.ended, opt.Stderr), h.quit, opt.Dropped)
		h.sinks = append(h.sinks, h.std[1])
	}
	for _, s := range h.sinks {
		go s.write()
	}
	return h
}

// Writer returns a writer into the sink of dest, "stdout" or "stderr" (which
// everything else is taken for), for the supervisor's own lines. Each Write
// must hold whole lines; they are passed on as they are, nothing is escaped.
//
// Write never fails and returns len(p). It goes past the streams that wait for
// a slow or stalled sink: only when 4 MiB are queued does it wait, for a second
// at most, and then the lines are dropped and counted.
func (h *Relay) Writer(dest string) io.Writer {
	w := &ownWriter{sink: h.std[1]}
	if dest == destStdout {
		w.sink = h.std[0]
	}
	w.origin.own = true
	return w
}

type ownWriter struct {
	sink   *sink
	origin origin
}

func (w *ownWriter) Write(p []byte) (int, error) {
	if len(p) > 0 {
		b := newBatch()
		b.b = append(b.b, p...)
		w.sink.put(b, &w.origin)
	}
	return len(p), nil
}

// Flush waits until everything that was handed to the sinks before the call is
// written, or lost and counted, and the files that no run uses any more are
// closed, and returns nil then. It gives a sink up that takes not one byte for
// as long as makes one stalled (1 s), and all when ctx ends; the error says how
// much is left. The supervisor's own log comes first.
func (h *Relay) Flush(ctx context.Context) error {
	sinks := h.allSinks()
	marks := make([]uint64, len(sinks))
	for i, s := range sinks {
		marks[i] = s.mark()
	}
	var errs []error
	for i, s := range slices.Backward(sinks) {
		if left, err := flush(ctx, s, marks[i]); left > 0 {
			errs = append(errs, fmt.Errorf("cannot flush %s, %d bytes left: %w", s.dest, left, err))
		}
	}
	if len(errs) == 0 {
		errs = append(errs, h.awaitUnused(ctx))
	}
	return errors.Join(errs...)
}

// LostOutput reports whether bytes for "stdout" or "stderr" were not written. Call it after
// [Hub.Close].
func (h *Relay) LostOutput(dest string) bool {
	s := h.std[1]
	if dest == destStdout {
		s = h.std[0]
	}
	left, _ := s.left(s.mark())
	return left > 0
}

// awaitUnused waits until the writers of files that no run uses have closed
// them: they do so by themselves, after the last byte.
func (h *Relay) awaitUnused(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for _, s := range h.unused() {
		select {
		case <-s.gone:
		case <-ctx.Done():
			return fmt.Errorf("cannot close %s: %w", s.dest, ctx.Err())
		}
	}
	return nil
}

func (h *Relay) unused() []*sink {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(h.sinks), func(s *sink) bool {
		f := h.files[s.dest]
		return s.retire == nil || f != nil && f.sink == s && f.users > 0
	})
}

// WaitDrained waits until readers have taken what the standard streams hold, if
// those are pipes; 20 ms at most. It is for whoever reads both streams into
// one (docker logs): what is written to one of them after it comes after what
// was written to the other before.
func (h *Relay) WaitDrained() {
	late := time.Now().Add(settleLimit)
	for _, f := range []*os.File{h.opt.Stdout, h.opt.Stderr} {
		for unread(number(f)) && time.Now().Before(late) {
			time.Sleep(settlePoll) // the kernel tells no writer that a pipe is empty
		}
	}
}

// unread reports whether a pipe holds something (FIONREAD, pipe(7); x/sys calls it TIOCINQ).
func unread(fd int) bool {
	var st unix.Stat_t
	if unix.Fstat(fd, &st) != nil || st.Mode&unix.S_IFMT != unix.S_IFIFO {
		return false
	}
	n, err := unix.IoctlGetInt(fd, unix.TIOCINQ)
	return err == nil && n > 0
}

// flush returns how many bytes before mark are left, and why it gave up.
func flush(ctx context.Context, s *sink, mark uint64) (uint64, error) {
	idle := time.NewTimer(patience)
	defer idle.Stop()
	before, _ := s.left(mark) // when idle was set
	for {
		left, changed := s.left(mark)
		if left == 0 {
			return 0, nil
		}
		select {
		case <-changed:
		case <-idle.C:
			if left, _ = s.left(mark); left >= before {
				return left, errStalled
			}
			before = left
			idle.Reset(patience)
		case <-ctx.Done():
			left, _ = s.left(mark)
			return left, ctx.Err()
		}
	}
}

func (h *Relay) allSinks() []*sink {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.sinks)
}

// Close ends the relay: it flushes within ctx, gives up and counts what is left
// then, ends the writers and closes every descriptor that the hub opened. No
// run should be left; one that is gets closed first. [Hub.Prepare] fails from
// now on, and lines for a [Hub.Writer] are lost once Close returned.
//
// The error says what was left: bytes, runs, or a writer that did not come back
// from a write within 20 ms after all others had ended. Only that of a terminal
// stopped in mid-write or of a disk that hangs can do that; its goroutine (and
// its file, if it is ours) is left behind. A second Close does nothing.
func (h *Relay) Close(ctx context.Context) error {
	h.mu.Lock()
	if h.closed {
		h.mu.Unlock()
		return nil
	}
	h.closed = true
	runs := make([]*ChildOutput, 0, len(h.runs))
	for r := range h.runs {
		runs = append(runs, r)
	}
	h.mu.Unlock()

	var errs []error
	for _, r := range runs {
		r.Close()
	}
	for _, r := range runs {
		select {
		case <-r.done:
		case <-ctx.Done():
			errs = append(errs, fmt.Errorf("cannot end the relay of %s: %w", r.spec.Instance,
				ctx.Err()))
		}
	}
	errs = append(errs, h.Flush(ctx), h.endWriters())
	if h.ended >= 0 {
		errs = append(errs, unix.Close(h.ended))
	}
	return errors.Join(errs...)
}

func (h *Relay) endWriters() error {
	sinks := h.allSinks()
	close(h.quit)
	if h.ended >= 0 {
		// It cannot fail: the counter starts at 0 and is written once.
		_, _ = unix.Write(h.ended, []byte{1, 0, 0, 0, 0, 0, 0, 0})
	}
	timer := time.NewTimer(lastWrite)
	defer timer.Stop()
	var errs []error
	late := false
	for _, s := range sinks {
		if !late {
			select {
			case <-s.gone:
				continue
			case <-timer.C:
				late = true
			}
		}
		select {
		case <-s.gone:
		default:
			errs = append(errs,
				fmt.Errorf("cannot end the writer of %s: it does not come back from a write",
					s.dest))
		}
	}
	return errors.Join(errs...)
}

// sink returns the sink of dest, and its path if it is a file, for which
// release must be called.
func (h *Relay) sink(dest string) (*sink, string, error) {
	switch dest {
	case destStdout:
		return h.std[0], "", nil
	case destStderr:
		return h.std[1], "", nil
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return nil, "", errClosed
	}
	if f := h.files[dest]; f != nil {
		f.users++
		return f.sink, dest, nil
	}
	fd, err := openFile(dest)
	if err != nil {
		return nil, "", err
	}
	h.opt.FDs.Opened(fd, "file", dest)
	f := &fileSink{newSink(dest, newFile(fd), h.quit, h.opt.Dropped), 1}
	f.retire = func() bool { return h.retire(dest, f) }
	f.finish = func() {
		// the writes told what there was to tell
		_ = h.opt.FDs.Close(fd, func() error { return unix.Close(fd) })
		h.forget(f.sink)
	}
	h.files[dest] = f
	h.sinks = append(h.sinks, f.sink)
	go f.write()
	return f.sink, dest, nil
}

// openFile opens a path to append to. It does not hang: O_NONBLOCK makes the
// open of a FIFO that nobody reads fail (ENXIO) and changes nothing for a
// regular file.
func openFile(path string) (int, error) {
	for {
		fd, err := unix.Open(path,
			unix.O_APPEND|unix.O_CREAT|unix.O_WRONLY|unix.O_CLOEXEC|unix.O_NOCTTY|unix.O_NONBLOCK,
			0o644)
		if err == nil {
			return fd, nil
		}
		if err != unix.EINTR {
			return -1, &os.PathError{Op: "open", Path: path, Err: err}
		}
	}
}

func (h *Relay) release(path string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	f := h.files[path]
	if f.users--; f.users == 0 {
		f.wakeWriter()
	}
}

func (h *Relay) forget(s *sink) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.sinks = slices.DeleteFunc(h.sinks, func(other *sink) bool { return other == s })
}

// retire is asked by the writer of a file that has nothing to do: it may close
// the file if nobody uses it, and only then, since a run that comes meanwhile
// goes on with it.
func (h *Relay) retire(path string, f *fileSink) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if f.users > 0 {
		return false
	}
	delete(h.files, path)
	return true
}
