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
	json, color bool
	fds         event.LogFDs
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
			o.ColorHeaderOnly = true
		}
	}
	return logger{hclog.New(o), o.JSONFormat, s.Color, s.FDs}
}

var levels = map[event.Level]hclog.Level{
	event.Debug: hclog.Debug,
	event.Info:  hclog.Info,
	event.Warn:  hclog.Warn,
	event.Error: hclog.Error,
}

func (l logger) level(e event.Event) hclog.Level { return levels[l.fds.Level(e)] }

// shows reports whether the log has an event.
func (l logger) shows(e event.Event) bool { return l.level(e) >= l.GetLevel() }

// write logs an event. The values are untrusted. hclog encodes them for JSON; in its text format it
// quotes values and escapes neither backslashes nor all that is in quotes, so the fields of that
// are written by [appendFields].
func (l logger) write(e event.Event) { l.writeAfter(e, 0) }

// writeAfter is write for an event before which lines of its class were suppressed.
func (l logger) writeAfter(e event.Event, suppressed int) {
	if !l.shows(e) {
		return
	}
	r := e.Record()
	if suppressed > 0 {
		r.Fields = append(r.Fields, "suppressed", suppressed)
	}
	if l.json {
		l.Log(l.level(e), r.Message, r.Fields...)
		return
	}
	l.Log(l.level(e), string(appendFields([]byte(r.Message), r.Fields, l.color)))
}
