package output

import (
	"bytes"
	"time"

	"tp0/supervisor/output/lines"
	"tp0/supervisor/termtext"
)

// The formats of a logs block.
const (
	formatText    = "text"
	formatJSON    = "json"
	formatRaw     = "raw"
	formatInherit = "inherit"
)

// maxLine is the largest line, in bytes without its newline, that is not split.
const maxLine = lines.Max

var newlineByte = []byte{'\n'}

type ending = lines.Ending

const (
	newline = lines.Newline
	more    = lines.More
	eof     = lines.EOF
)

// A formatter formats the lines of one stream. The goroutine of the stream owns it.
type formatter struct {
	kind   string
	colors termtext.Colors
	// head is written before each line: `[client1] ` in text, with the time before it if timed is
	// true, and everything up to the message in json.
	head  []byte
	full  []byte // head with the time
	timed func() bool
}

// A style says what becomes of the colors of a child, and which color its prefix has.
type style struct {
	colors termtext.Colors
	prefix string // an SGR sequence; empty: no color
}

// The layouts have a fixed width: a new time overwrites the old one in head.
const (
	stampLayout = "2006-01-02T15:04:05.000000Z"
	stampHead   = `{"@timestamp":"`
	textStamp   = "2006-01-02T15:04:05.000Z"
)

// newFormatter returns a formatter for the lines of a process. timed reports whether the lines have
// the time, in text.
func newFormatter(
	kind string, from *Spec, streamName string, s style, timed func() bool,
) *formatter {
	f := &formatter{kind: kind, colors: s.colors, timed: timed}
	switch kind {
	case formatText:
		f.head = append(f.head, textStamp+" "+s.prefix+"["...)
		f.head = termtext.AppendText(f.head, []byte(from.Instance))
		if from.Hook != "" {
			f.head = append(f.head, " "+from.Hook...)
		}
		f.head = append(f.head, ']')
		if s.prefix != "" {
			f.head = append(f.head, "\x1b[0m"...)
		}
		f.full = append(f.head, ' ')
		f.head = f.full[len(textStamp)+1:]
	case formatJSON:
		f.head = append(f.head, stampHead+stampLayout+`","@module":"`...)
		f.head = termtext.AppendJSON(f.head, []byte(from.Instance))
		if from.Hook != "" {
			f.head = append(f.head, `","hook":"`+from.Hook...)
		}
		f.head = append(f.head, `","stream":"`+streamName+`","@message":"`...)
	}
	return f
}

// stamp sets the time of the following lines. All lines of one read get the same time: formatting
// a time costs as much as formatting a line.
func (f *formatter) stamp(now time.Time) {
	var text [48]byte // AppendFormat into head would overwrite the bytes after the time
	switch f.kind {
	case formatJSON:
		copy(f.head[len(stampHead):], now.UTC().AppendFormat(text[:0], stampLayout))
	case formatText:
		if !f.timed() {
			f.head = f.full[len(textStamp)+1:]
			return
		}
		copy(f.full, now.UTC().AppendFormat(text[:0], textStamp))
		f.head = f.full
	}
}

// formattedSize returns the size of a formatted line that has few characters to escape.
func (f *formatter) formattedSize(line []byte) int { return len(f.head) + len(line) + 20 }

// append appends one line, or a piece of one, to dst.
func (f *formatter) append(dst, line []byte, end ending) []byte {
	switch f.kind {
	case formatText:
		dst = append(dst, f.head...)
		if end == more {
			return append(termtext.AppendColors(dst, line, f.colors), "…\n"...)
		}
		if n := len(line) - 1; n >= 0 && line[n] == '\r' { // CR LF ends the line
			return append(termtext.AppendColors(dst, line[:n], f.colors), "\r\n"...)
		}
		return append(termtext.AppendColors(dst, line, f.colors), '\n')
	case formatJSON:
		dst = append(dst, f.head...)
		if f.colors == termtext.StripColors {
			line = termtext.WithoutColors(line)
		}
		dst = termtext.AppendJSON(dst, line)
		if end == more {
			return append(dst, "\",\"partial\":true}\n"...)
		}
		return append(dst, "\"}\n"...)
	default:
		dst = append(dst, line...)
		if end == newline {
			dst = append(dst, '\n')
		}
		return dst
	}
}

// newlines returns the number of newlines that append writes.
func (f *formatter) newlines(line []byte, end ending) int {
	switch {
	case f.kind != formatRaw:
		return 1
	case end == newline:
		return bytes.Count(line, newlineByte) + 1
	default:
		return bytes.Count(line, newlineByte)
	}
}
