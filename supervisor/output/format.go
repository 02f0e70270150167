package output

import (
	"bytes"
	"time"
	"unicode/utf8"

	"tp0/supervisor/termtext"
)

// The formats of a logs block.
const (
	formatText    = "text"
	formatJSON    = "json"
	formatRaw     = "raw"
	formatInherit = "inherit"
)

// lineCap is how many bytes of a line, its newline not counted, are passed on
// in one piece.
const lineCap = 64 << 10

// An ending says what follows the bytes of a line.
type ending uint8

const (
	newline ending = iota // the line is complete
	more                  // it was cut: its next piece follows
	eof                   // the stream ended before a newline came
)

// A formatter turns the lines of one stream into what goes to the sink. It
// belongs to the goroutine of that stream.
type formatter struct {
	kind string
	// head stands before each line: `[client1] ` in text, in json everything
	// up to the message.
	head []byte
}

// stampLayout has a fixed width, so that a new time can be written over the
// old one.
const (
	stampLayout = "2006-01-02T15:04:05.000000Z"
	stampHead   = `{"@timestamp":"`
)

func newFormatter(kind, instance, stream string) *formatter {
	f := &formatter{kind: kind}
	switch kind {
	case formatText:
		f.head = append(f.head, '[')
		f.head = termtext.AppendText(f.head, []byte(instance))
		f.head = append(f.head, "] "...)
	case formatJSON:
		f.head = append(f.head, stampHead+stampLayout+`","@module":"`...)
		f.head = termtext.AppendJSON(f.head, []byte(instance))
		f.head = append(f.head, `","stream":"`+stream+`","@message":"`...)
	}
	return f
}

// stamp sets the time of the lines that follow; one time for all that one
// read brought, because they were read together and it costs as much as a
// line does.
func (f *formatter) stamp(now time.Time) {
	if f.kind == formatJSON {
		var text [48]byte // not into head: AppendFormat scribbles behind what it returns
		copy(f.head[len(stampHead):], now.UTC().AppendFormat(text[:0], stampLayout))
	}
}

// room is how much line needs, unless much of it has to be escaped.
func (f *formatter) room(line []byte) int { return len(f.head) + len(line) + 20 }

// append appends one line, or a piece of one, to dst.
func (f *formatter) append(dst, line []byte, end ending) []byte {
	switch f.kind {
	case formatText:
		dst = append(dst, f.head...)
		if end == more {
			return append(termtext.AppendText(dst, line), "…\n"...)
		}
		if n := len(line) - 1; n >= 0 && line[n] == '\r' { // a part of the line's end
			return append(termtext.AppendText(dst, line[:n]), "\r\n"...)
		}
		return append(termtext.AppendText(dst, line), '\n')
	case formatJSON:
		dst = append(dst, f.head...)
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

// cut splits off the next line of data, or the next piece of one that is
// longer than lineCap. rest is what follows, the newline taken off; ok is
// false where neither is there yet.
func cut(data []byte) (line, rest []byte, end ending, ok bool) {
	i := bytes.IndexByte(data, '\n')
	switch {
	case i >= 0 && i <= lineCap:
		return data[:i], data[i+1:], newline, true
	case len(data) <= lineCap:
		return nil, data, 0, false
	}
	n := lineCap
	// A character is not cut in two; where there is no UTF-8, anywhere does.
	for back := 0; back < utf8.UTFMax && !utf8.RuneStart(data[n]); back++ {
		n--
	}
	if !utf8.RuneStart(data[n]) {
		n = lineCap
	}
	return data[:n], data[n:], more, true
}
