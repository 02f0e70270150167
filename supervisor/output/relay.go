package output

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"tp0/supervisor/output/retain"
)

// WaitDrained waits at most drainTimeout.
const (
	drainTimeout  = 20 * time.Millisecond
	drainInterval = 200 * time.Microsecond
)

// A Relay owns the sinks and the outputs of the children. Its methods may be called from any
// goroutine.
type Relay struct {
	*sinkSet
	poller *poller
	lines  *retain.Store

	mu       sync.Mutex
	children map[*ChildOutput]struct{}
	relayed  counts
	settings Settings
	closed   bool        // Settle was called
	ended    atomic.Bool // Close was called
}

// NewRelay starts the writers of the standard streams. It opens one descriptor, an eventfd, which
// [Relay.Close] closes. The eventfd is not in the fd ledger: it is needed until the last line of
// the log is written, and that line contains the totals of the ledger.
func NewRelay(opt Options) *Relay {
	return &Relay{
		sinkSet: newSinkSet(opt), poller: newPoller(opt.FDs), lines: retain.NewStore(recycle),
		children: make(map[*ChildOutput]struct{}), relayed: counts{},
	}
}

// Configure applies settings to all outputs, those that are open too.
func (h *Relay) Configure(s Settings) {
	limits := make(map[string]int, len(s.Instances))
	for name, i := range s.Instances {
		limits[name] = i.Retain
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.settings = s
	for name := range h.relayed {
		h.forget(name)
	}
	for c := range h.children {
		c.timestamps.Store(s.Instances[c.spec.Instance].Timestamps)
	}
	h.lines.Configure(s.RetainTotal, limits)
	h.rotations.Store(&s.Rotations)
}

// Lines returns a reader of the lines in memory, which never delays a child. A child whose format
// is inherit has no lines. The text is not escaped, see [retain.Line].
func (h *Relay) Lines(q retain.Query) (*retain.Reader, error) { return h.lines.Read(q) }

// State says which lines of an instance are in memory.
func (h *Relay) State(instance string) retain.State { return h.lines.State(instance) }

// Prepare opens what a process of a child needs: at most two descriptors for the supervisor and
// two for the process, and the files that are not open yet. After an error everything is closed
// again; otherwise [ChildOutput.Started] must be called.
//
// The read ends of the pipes and the files are entered in the fd ledger. The ends of the process
// are not, since they are ours only until Started.
func (h *Relay) Prepare(spec Spec) (*ChildOutput, error) {
	c := newChildOutput(h.sinkSet, h.poller, h.lines, spec)
	c.onEnd = func() { h.remove(c) }
	err := c.prepare()
	if err == nil && !h.add(c) {
		err = errClosed
	}
	if err != nil {
		c.discard()
		return nil, fmt.Errorf("cannot prepare the output of %s: %w", spec.Instance, err)
	}
	return c, nil
}

func (h *Relay) add(c *ChildOutput) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.closed {
		h.children[c] = struct{}{}
		n := h.relayed.of(c.spec.Instance)
		for _, st := range c.streams {
			st.count = &n[st.retain.stream]
		}
		c.timestamps.Store(h.settings.Instances[c.spec.Instance].Timestamps)
	}
	return !h.closed
}

func (h *Relay) remove(c *ChildOutput) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.children, c)
	h.forget(c.spec.Instance)
}

// Relayed returns what was relayed of standard output and standard error of each instance that is
// in the settings or has an open output.
func (h *Relay) Relayed() map[string][2]Relayed {
	h.mu.Lock()
	defer h.mu.Unlock()
	all := make(map[string][2]Relayed, len(h.relayed))
	for name, n := range h.relayed {
		var r [2]Relayed
		for i := range n {
			r[i] = Relayed{n[i].lines.Load(), n[i].bytes.Load()}
		}
		all[name] = r
	}
	return all
}

// forget removes the counts of an instance that is gone. The caller holds h.mu.
func (h *Relay) forget(instance string) {
	if _, wanted := h.settings.Instances[instance]; wanted {
		return
	}
	for c := range h.children {
		if c.spec.Instance == instance {
			return
		}
	}
	delete(h.relayed, instance)
}

// Writer returns a writer for the supervisor's own lines to dest, "stdout" or "stderr" (every
// other name means stderr). Each Write must contain whole lines; they are not escaped.
//
// Write never fails and returns len(p). It does not wait behind the streams of a slow or stalled
// sink. It waits for at most one second while 4 MiB are queued, and then drops and counts the
// lines.
func (h *Relay) Writer(dest string) io.Writer {
	w := &ownWriter{sink: h.standard(dest)}
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
		b.b, b.lines = append(b.b, p...), bytes.Count(p, newlineByte)
		w.sink.put(b, &w.origin)
	}
	return len(p), nil
}

// LostOutput reports whether bytes for "stdout" or "stderr" were not written. Call it after
// [Relay.Close].
func (h *Relay) LostOutput(dest string) bool {
	s := h.standard(dest)
	left, _ := s.left(s.mark())
	return left > 0
}

// WaitDrained waits until the pipes of the standard streams are empty, at most 20 ms. A reader
// that merges both streams, as docker logs does, then receives what was written to one stream
// before the call ahead of what is written to the other after it.
func (h *Relay) WaitDrained() {
	end := time.Now().Add(drainTimeout)
	for _, f := range []*os.File{h.opt.Stdout, h.opt.Stderr} {
		for unread(number(f)) && time.Now().Before(end) {
			time.Sleep(drainInterval) // the kernel does not notify a writer of an empty pipe
		}
	}
}

// unread reports whether a pipe contains bytes (FIONREAD, pipe(7); x/sys calls it TIOCINQ).
func unread(fd int) bool {
	var st unix.Stat_t
	if unix.Fstat(fd, &st) != nil || st.Mode&unix.S_IFMT != unix.S_IFIFO {
		return false
	}
	n, err := unix.IoctlGetInt(fd, unix.TIOCINQ)
	return err == nil && n > 0
}

// Settle ends the relay of all output, apart from the supervisor's own lines: it closes the outputs
// that are still open, flushes within ctx, drops and counts the rest, and closes the files. All
// losses are reported then. Once Settle was called, [Relay.Prepare] fails. A second Settle does
// nothing.
//
// The error contains what was not done, as for [Relay.Close].
func (h *Relay) Settle(ctx context.Context) error {
	h.mu.Lock()
	if h.closed {
		h.mu.Unlock()
		return nil
	}
	h.closed = true
	children := make([]*ChildOutput, 0, len(h.children))
	for c := range h.children {
		children = append(children, c)
	}
	h.mu.Unlock()
	h.refuseFiles()

	var errs []error
	for _, c := range children {
		c.Close()
	}
	for _, c := range children {
		select {
		case <-c.done:
		case <-ctx.Done():
			errs = append(errs,
				fmt.Errorf("cannot end the relay of %s: %w", c.spec.Instance, ctx.Err()))
		}
	}
	h.poller.close()
	errs = append(errs, h.Flush(ctx))
	h.lines.Close()
	log := h.std[1]
	others := slices.DeleteFunc(h.allSinks(), func(s *sink) bool { return s == log })
	errs = append(errs, endWriters(ctx, others))
	log.reportRest()
	return errors.Join(errs...)
}

// Close ends the relay: it calls Settle, flushes the supervisor's own lines, drops and counts the
// rest, ends the last writer and closes every descriptor that the relay opened. Once Close has
// returned, lines for a [Relay.Writer] are lost. A second Close does nothing.
//
// The error contains what was not done: bytes that were not written, children whose streams did
// not end, writers whose write did not return within 20 ms ([ErrWriteBlocked]; the goroutine and
// the file of such a writer are left open).
func (h *Relay) Close(ctx context.Context) error {
	log := h.std[1]
	err := h.Settle(ctx)
	if h.ended.Swap(true) {
		return err
	}
	timeout := stallTimeout
	if err != nil {
		timeout = writerTimeout // Settle has waited for the log, or its time is over
	}
	left, why := flush(ctx, log, log.mark(), timeout)
	if left > 0 && err == nil {
		err = flushError(log, left, why)
	}
	return errors.Join(err, endWriters(ctx, []*sink{log}), h.closeEvents())
}
