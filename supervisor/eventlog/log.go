// Package eventlog writes events as the lines of a log.
package eventlog

import (
	"context"
	"fmt"
	"io"
	"sync/atomic"
	"time"

	"tp0/supervisor/event"
	"tp0/supervisor/mailbox"
)

// maxFDLines bounds the lines about the descriptors of one process. The entry on the end of the
// process has the number of all. The lines on 20,000 descriptors, 4 MB, delayed those on other
// children past a deadline of one second, where they were dropped.
const maxFDLines = 1000

// Log is a sink that logs events. Emit puts an event into a queue, and one goroutine writes
// the events in order. So a caller of Emit never waits for the reader of the log. The queue
// has no limit: the writer must drop output rather than block for long.
type Log struct {
	queue    *mailbox.Queue[any] // event.Event or Settings
	quit     chan struct{}
	done     chan struct{}
	lastOnly atomic.Bool // the context of Close ended: only the last event is written
	filter   atomic.Pointer[filter]
}

// New returns a log that keeps events until [Log.Start].
func New() *Log {
	return &Log{
		queue: mailbox.New[any](),
		quit:  make(chan struct{}),
		done:  make(chan struct{}),
	}
}

// Start starts to write to w. It must be called once.
func (l *Log) Start(w io.Writer, s Settings) {
	l.filter.Store(newFilter(s))
	go l.run(w, s)
}

// Emit queues an event, unless the level of the log hides it: each queued event wakes a goroutine,
// and the usual level hides most events of a stop. Emit never blocks.
func (l *Log) Emit(e event.Event) {
	if f := l.filter.Load(); f == nil || f.passes(e) {
		l.queue.Put(e)
	}
}

// Shows reports whether the present level of the log shows events of a level.
func (l *Log) Shows(level event.Level) bool {
	f := l.filter.Load()
	return f == nil || levels[level] >= f.level
}

// Set changes the format of the events that are emitted after it.
func (l *Log) Set(s Settings) {
	l.filter.Store(newFilter(s))
	l.queue.Put(s)
}

// Close writes the queued events and ends. It must be called after Start, and nothing may be
// emitted after it. If ctx ends first, the events that are not written yet are dropped, apart
// from [event.ShutdownComplete]. The log then has their number, and the error of ctx is returned.
func (l *Log) Close(ctx context.Context) error {
	close(l.quit)
	select {
	case <-l.done:
		return nil
	case <-ctx.Done():
	}
	l.lastOnly.Store(true)
	<-l.done
	return ctx.Err()
}

func (l *Log) run(w io.Writer, s Settings) {
	defer close(l.done)
	out := newLogger(w, s)
	fdLines := map[int]uint64{} // by pid, until the process has ended
	var omitted uint64          // of all processes
	var limit lineLimit
	for open := true; open; {
		select {
		case <-l.queue.Wake():
		case <-l.quit:
			open = false
		}
		var dropped uint64
		for _, m := range l.queue.Take() {
			switch m := m.(type) {
			case Settings:
				out = newLogger(w, m)
			case event.ShutdownComplete:
				if dropped > 0 {
					out.write(event.OutputDropped{
						Dest: "log", Lines: dropped, Reason: "the deadline passed",
					})
				}
				limit.writeRest(out)
				m.LinesDropped += dropped + omitted
				out.write(m)
			case event.Event:
				if l.lastOnly.Load() {
					dropped++
					continue
				}
				if f, ok := m.(event.FDClosed); ok && f.Pid != 0 && out.shows(f) {
					if fdLines[f.Pid]++; fdLines[f.Pid] > maxFDLines {
						continue
					}
				}
				omitted += writeOmitted(out, fdLines, m)
				limit.write(out, m, time.Now())
			}
		}
	}
	limit.writeRest(out)
}

// write logs an event if the limit of its class permits it.
func (l *lineLimit) write(out logger, e event.Event, now time.Time) {
	c, limited := classOf(e)
	if !limited || !out.shows(e) {
		out.write(e)
		return
	}
	if omitted, ok := l.permit(c, now); ok {
		out.writeAfter(e, omitted)
	}
}

// writeRest logs how many lines were suppressed since the last one of their class.
func (l *lineLimit) writeRest(out logger) {
	for _, e := range l.rest() {
		out.write(e)
	}
}

// writeOmitted logs and returns how many lines about the descriptors of a process were omitted, if
// e is its end.
func writeOmitted(out logger, fdLines map[int]uint64, e event.Event) (omitted uint64) {
	pid, notEmitted := 0, 0
	switch e := e.(type) {
	case event.Reaped:
		pid, notEmitted = e.Pid, e.FDsOmitted
	case event.DescendantEnded:
		pid, notEmitted = e.Pid, e.FDsOmitted
	default:
		return 0
	}
	defer delete(fdLines, pid)
	if n := fdLines[pid]; n > maxFDLines {
		omitted = n - maxFDLines + uint64(notEmitted)
		out.write(event.OutputDropped{
			Dest: "log", Lines: omitted,
			Reason: fmt.Sprintf("pid %d had more than %d descriptors", pid, maxFDLines),
		})
	}
	return omitted
}
