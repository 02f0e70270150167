// Package eventlog writes events as log lines.
package eventlog

import (
	"bytes"
	"context"
	"io"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"

	"tp0/supervisor/event"
	"tp0/supervisor/mailbox"
)

// Settings are how the log looks. Level is trace, debug, info, warn or error,
// Format is text or json.
type Settings struct {
	Level, Format string
	Color         bool // for a terminal
}

// Log is the sink that logs. Emit puts an event into a queue; one goroutine
// writes them in order, so whoever emits never waits for the reader of our log.
// w must drop rather than block for long: it is what bounds the queue.
type Log struct {
	mail  *mailbox.Queue[any]
	quit  chan struct{}
	done  chan struct{}
	brief atomic.Bool // the time is over: only the last event is written
}

// New makes a journal that keeps what is emitted until [Journal.Start].
func New() *Log {
	return &Log{mail: mailbox.New[any](), quit: make(chan struct{}), done: make(chan struct{})}
}

// Start begins to write to w. It must be called once.
func (j *Log) Start(w io.Writer, s Settings) { go j.run(w, s) }

// Emit takes an event. It never blocks.
func (j *Log) Emit(e event.Event) { j.mail.Put(e) }

// Set changes how the events that follow look.
func (j *Log) Set(s Settings) { j.mail.Put(s) }

// Close writes what is there and ends, after a Start. Nothing may be emitted after
// it. When ctx ends first, events that are not written yet are dropped and
// counted, but for the last one; and the error of ctx is returned.
func (j *Log) Close(ctx context.Context) error {
	close(j.quit)
	select {
	case <-j.done:
		return nil
	case <-ctx.Done():
	}
	j.brief.Store(true)
	<-j.done
	return ctx.Err()
}

func (j *Log) run(w io.Writer, s Settings) {
	defer close(j.done)
	log := newLogger(w, s)
	for open := true; open; {
		select {
		case <-j.mail.Wake():
		case <-j.quit:
			open = false
		}
		var dropped uint64
		for _, m := range j.mail.Take() {
			switch m := m.(type) {
			case Settings:
				log = newLogger(w, m)
			case event.ShutdownComplete:
				if dropped > 0 {
					log.write(event.OutputDropped{Dest: "log", Lines: dropped, Reason: "the deadline passed"})
				}
				log.write(m)
			case event.Event:
				if j.brief.Load() {
					dropped++
					continue
				}
				log.write(m)
			}
		}
	}
}

// Line is an event as lines of the log, for somebody who cannot wait for a
// journal. It is empty where the level leaves the event out.
func Line(s Settings, e event.Event) []byte {
	var b bytes.Buffer
	newLogger(&b, s).write(e)
	return b.Bytes()
}

type logger struct {
	hclog.Logger
	json bool
}

func newLogger(w io.Writer, s Settings) logger {
	o := &hclog.LoggerOptions{
		Name:       "supervisor",
		Level:      hclog.LevelFromString(s.Level),
		Output:     w,
		JSONFormat: s.Format == "json",
		TimeFn:     func() time.Time { return time.Now().UTC() },
	}
	if !o.JSONFormat {
		o.TimeFormat = "15:04:05.000Z07:00"
		if s.Color {
			o.Color = hclog.ForceColor
			o.ColorHeaderAndFields = true
		}
	}
	return logger{hclog.New(o), o.JSONFormat}
}
