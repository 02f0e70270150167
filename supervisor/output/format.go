package output

import (
	"bytes"
	"encoding/binary"
	"math/bits"
	"time"
	"unicode/utf8"
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
		f.head = appendText(f.head, []byte(instance))
		f.head = append(f.head, "] "...)
	case formatJSON:
		f.head = append(f.head, stampHead+stampLayout+`","@module":"`...)
		f.head = appendJSON(f.head, []byte(instance))
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
			return append(appendText(dst, line), "…\n"...)
		}
		if n := len(line) - 1; n >= 0 && line[n] == '\r' { // a part of the line's end
			return append(appendText(dst, line[:n]), "\r\n"...)
		}
		return append(appendText(dst, line), '\n')
	case formatJSON:
		dst = append(dst, f.head...)
		dst = appendJSON(dst, line)
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

const hexDigits = "0123456789abcdef"

// appendText appends line with its control characters made visible, so that a
// terminal never sees an escape sequence of a child: C0 but for the tab, DEL,
// and C1 where it is encoded in UTF-8. Everything else passes byte for byte,
// invalid UTF-8 too.
func appendText(dst, line []byte) []byte {
	for len(line) > 0 {
		n := plainText(line)
		dst = append(dst, line[:n]...)
		if line = line[n:]; len(line) == 0 {
			break
		}
		used := 1
		switch c := line[0]; {
		case c == '\t':
			dst = append(dst, c)
		case c < 0x20 || c == 0x7f:
			dst = append(dst, '\\', 'x', hexDigits[c>>4], hexDigits[c&15])
		case len(line) > 1 && line[1] >= 0x80 && line[1] <= 0x9f: // c is 0xc2
			dst = appendU(dst, line[1])
			used = 2
		default:
			dst = append(dst, c)
		}
		line = line[used:]
	}
	return dst
}

// appendJSON appends line as the inside of a JSON string. Besides what JSON
// asks for, DEL and C1 are escaped, and a byte that is not UTF-8 becomes
// U+FFFD.
func appendJSON(dst, line []byte) []byte {
	for len(line) > 0 {
		n := plainJSON(line)
		dst = append(dst, line[:n]...)
		if line = line[n:]; len(line) == 0 {
			break
		}
		c := line[0]
		if c < utf8.RuneSelf {
			dst = appendEscape(dst, c)
			line = line[1:]
			continue
		}
		r, size := utf8.DecodeRune(line)
		switch {
		case r == utf8.RuneError && size == 1:
			dst = append(dst, `\ufffd`...)
		case r <= 0x9f:
			dst = appendU(dst, byte(r))
		default:
			dst = append(dst, line[:size]...)
		}
		line = line[size:]
	}
	return dst
}

// appendEscape appends the JSON escape of an ASCII character that needs one.
func appendEscape(dst []byte, c byte) []byte {
	switch c {
	case '"', '\\':
		return append(dst, '\\', c)
	case '\t':
		return append(dst, `\t`...)
	case '\r':
		return append(dst, `\r`...)
	case '\n':
		return append(dst, `\n`...)
	default:
		return appendU(dst, c)
	}
}

func appendU(dst []byte, c byte) []byte {
	return append(dst, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
}

// Eight bytes are looked at in one word ("Bit Twiddling Hacks", determine if a
// word has a byte less than n, or equal to n): the lowest marked byte is
// right, and only that one is used.
const (
	ones  = 0x0101010101010101
	highs = 0x8080808080808080
)

func below(word uint64, n byte) uint64 { return (word - ones*uint64(n)) &^ word & highs }

func equal(word uint64, c byte) uint64 { return below(word^ones*uint64(c), 1) }

// plainText returns how many bytes at the front of line are neither control
// characters nor 0xc2, with which an encoded C1 begins.
func plainText(line []byte) int {
	i := 0
	for ; len(line)-i >= 8; i += 8 {
		w := binary.LittleEndian.Uint64(line[i:])
		if hit := below(w, 0x20) | equal(w, 0x7f) | equal(w, 0xc2); hit != 0 {
			return i + bits.TrailingZeros64(hit)/8
		}
	}
	for ; i < len(line); i++ {
		if c := line[i]; c < 0x20 || c == 0x7f || c == 0xc2 {
			break
		}
	}
	return i
}

// plainJSON returns how many bytes at the front of line stand for themselves
// in a JSON string, ASCII only.
func plainJSON(line []byte) int {
	i := 0
	for ; len(line)-i >= 8; i += 8 {
		w := binary.LittleEndian.Uint64(line[i:])
		if hit := below(w, 0x20) | equal(w, '"') | equal(w, '\\') | equal(w, 0x7f) | w&highs; hit != 0 {
			return i + bits.TrailingZeros64(hit)/8
		}
	}
	for ; i < len(line); i++ {
		if c := line[i]; c < 0x20 || c == '"' || c == '\\' || c >= 0x7f {
			break
		}
	}
	return i
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
