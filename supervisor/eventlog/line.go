package eventlog

import (
	"bytes"
	"io"
	"time"

	"github.com/hashicorp/go-hclog"

	"tp0/supervisor/event"
	"tp0/supervisor/termtext"
)

// Settings are the format of the log.
type Settings struct {
	Level  string // trace, debug, info, warn or error
	Format string // text or json
	FDs    event.LogFDs
	Color  bool // whether the text format has colors, for a terminal
}

// jsonWriter escapes what encoding/json leaves in strings and a terminal acts upon.
type jsonWriter struct{ io.Writer }

func (w jsonWriter) Write(p []byte) (int, error) {
	_, err := w.Writer.Write(termtext.AppendEncoded(nil, p))
	return len(p), err
}

// Line returns an event as the lines of a log. The result is empty if the level excludes the
// event. It is for callers that cannot wait for a [Log].
func Line(s Settings, e event.Event) []byte {
	var b bytes.Buffer
	newLogger(&b, s).write(e)
	return b.Bytes()
}

type logger struct {
	hclog.Logger
	json bool
	fds  event.LogFDs
}

func newLogger(w io.Writer, s Settings) logger {
	out := w
	if s.Format == "json" {
		out = jsonWriter{w}
	}
	o := &hclog.LoggerOptions{
		Name:       "supervisor",
		Level:      hclog.LevelFromString(s.Level),
		Output:     out,
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
	return logger{hclog.New(o), o.JSONFormat, s.FDs}
}

var levels = map[event.Level]hclog.Level{
	event.Debug: hclog.Debug,
	event.Info:  hclog.Info,
	event.Warn:  hclog.Warn,
	event.Error: hclog.Error,
}

// multiline is the one key whose value keeps its line breaks in the text format.
const multiline = "diagnostics"

func (l logger) level(e event.Event) hclog.Level { return levels[l.fds.Level(e)] }

// shows reports whether the log has an event.
func (l logger) shows(e event.Event) bool { return l.level(e) >= l.GetLevel() }

// write logs an event. The values are untrusted: JSON escapes them by itself, the text format
// needs it done. hclog quotes the elements of lists.
func (l logger) write(e event.Event) {
	if !l.shows(e) {
		return
	}
	r := e.Record()
	if !l.json {
		for i := 1; i < len(r.Fields); i += 2 {
			if s, ok := r.Fields[i].(string); !ok {
				continue
			} else if r.Fields[i-1] == multiline {
				r.Fields[i] = termtext.EscapeLines(s)
			} else {
				r.Fields[i] = termtext.Escape(s)
			}
		}
	}
	l.Log(l.level(e), r.Message, r.Fields...)
}
