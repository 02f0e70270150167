// Package journal writes events as log lines.
package journal

import (
	"io"
	"time"

	"github.com/hashicorp/go-hclog"

	"tp0/supervisor/event"
	"tp0/supervisor/queue"
)

// Settings are how the log looks. Level is trace, debug, info, warn or error,
// Format is text or json.
type Settings struct {
	Level, Format string
	Color         bool // for a terminal
}

// Journal is the sink that logs. Emit puts an event into a queue; one goroutine
// writes them in order, so whoever emits never waits for the reader of our log.
// The queue is bounded by w: if it takes nothing for long, it has to drop
// rather than block.
type Journal struct {
	w    io.Writer
	mail *queue.Queue[any]
	quit chan struct{}
	done chan struct{}
}

// Start begins to write to w.
func Start(w io.Writer, s Settings) *Journal {
	j := &Journal{w: w, mail: queue.New[any](), quit: make(chan struct{}), done: make(chan struct{})}
	go j.run(s)
	return j
}

// Emit takes an event. It never blocks.
func (j *Journal) Emit(e event.Event) { j.mail.Put(e) }

// Set changes how the events that follow look.
func (j *Journal) Set(s Settings) { j.mail.Put(s) }

// Close writes what is there and ends. Nothing may be emitted after it.
func (j *Journal) Close() {
	close(j.quit)
	<-j.done
}

func (j *Journal) run(s Settings) {
	defer close(j.done)
	log := newLogger(j.w, s)
	for open := true; open; {
		select {
		case <-j.mail.Wake():
		case <-j.quit:
			open = false
		}
		for _, m := range j.mail.Take() {
			switch m := m.(type) {
			case Settings:
				log = newLogger(j.w, m)
			case event.Event:
				log.write(m)
			}
		}
	}
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
