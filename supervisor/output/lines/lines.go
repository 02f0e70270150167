// Package lines cuts output into lines.
package lines

import (
	"bytes"
	"unicode/utf8"
)

// Max is the largest line, in bytes without its newline, that is not split.
const Max = 64 << 10

// An Ending is what follows the bytes of a line.
type Ending uint8

// The endings of a line.
const (
	Newline Ending = iota // the line is complete
	More                  // the line was split: its next piece follows
	EOF                   // the stream ended without a newline
)

// Cut returns the next line of data without its newline, or the next piece of a line above [Max]
// bytes. rest is the data after it. ok is false if data has neither.
func Cut(data []byte) (line, rest []byte, end Ending, ok bool) {
	i := bytes.IndexByte(data, '\n')
	switch {
	case i >= 0 && i <= Max:
		return data[:i], data[i+1:], Newline, true
	case len(data) <= Max:
		return nil, data, 0, false
	}
	n := Max
	// Do not split a UTF-8 character. If the data is not UTF-8, split at Max.
	for back := 0; back < utf8.UTFMax && !utf8.RuneStart(data[n]); back++ {
		n--
	}
	if !utf8.RuneStart(data[n]) {
		n = Max
	}
	return data[:n], data[n:], More, true
}
