// Package termtext makes untrusted text safe to show: text of a child, of a command line, of
// a path or of a configuration file can hold escape sequences that a terminal acts upon,
// line breaks that forge a line of the log, and bytes that are not UTF-8.
package termtext

import (
	"fmt"
	"io"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Escape returns s as one line in which every character that is not printable is written as
// an escape of Go: `\n` and `\t`, `\x1b` for other ASCII characters and for bytes that are not
// UTF-8, `\u200b` and `\U000e0001` for the rest. Backslashes and quotes stay as they are, so
// the escaping cannot be undone.
func Escape(s string) string { return escape(s, false) }

// EscapeLines is [Escape] for a text of several lines: line breaks and tabs stay.
func EscapeLines(s string) string { return escape(s, true) }

// NewWriter returns a writer that escapes what is written to w. Line breaks and tabs stay. The
// escapes are those of JSON, so a JSON document keeps its meaning; a byte that is not UTF-8 becomes
// `\x9b`. Each write must end with a complete character.
func NewWriter(w io.Writer) io.Writer { return writer{w} }

type writer struct{ io.Writer }

func (w writer) Write(p []byte) (int, error) {
	text := make([]byte, 0, len(p))
	for i := 0; i < len(p); {
		r, size := utf8.DecodeRune(p[i:])
		switch {
		case r == utf8.RuneError && size == 1:
			text = fmt.Appendf(text, `\x%02x`, p[i])
		case r == '\n' || r == '\t' || unicode.IsPrint(r):
			text = append(text, p[i:i+size]...)
		default:
			text = appendJSONRune(text, r)
		}
		i += size
	}
	if _, err := w.Writer.Write(text); err != nil {
		return 0, err
	}
	return len(p), nil
}

func escape(s string, lines bool) string {
	safe := func(r rune, size int) bool {
		if r == utf8.RuneError && size == 1 {
			return false
		}
		return unicode.IsPrint(r) || lines && (r == '\n' || r == '\t')
	}
	var b strings.Builder
	done := 0 // bytes of s that are in b
	for i := 0; i < len(s); {
		r, size := utf8.DecodeRuneInString(s[i:])
		if !safe(r, size) {
			b.WriteString(s[done:i])
			writeEscape(&b, r, s[i:i+size])
			done = i + size
		}
		i += size
	}
	if done == 0 {
		return s
	}
	b.WriteString(s[done:])
	return b.String()
}

// writeEscape writes the escape of a character r that has the encoding raw.
func writeEscape(b *strings.Builder, r rune, raw string) {
	switch {
	case r == '\n':
		b.WriteString(`\n`)
	case r == '\t':
		b.WriteString(`\t`)
	case len(raw) == 1:
		fmt.Fprintf(b, `\x%02x`, raw[0])
	case r <= 0xffff:
		fmt.Fprintf(b, `\u%04x`, r)
	default:
		fmt.Fprintf(b, `\U%08x`, r)
	}
}

// Spaces returns s as one line in which a space replaces every character that is not
// printable and every byte that is not UTF-8. It is for text that people read and whose exact
// characters do not matter.
func Spaces(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) && r != utf8.RuneError {
			return r
		}
		return ' '
	}, s)
}

// Valid returns s with U+FFFD in place of what is not UTF-8, as JSON requires. It does not
// make s safe for a terminal.
func Valid(s string) string { return strings.ToValidUTF8(s, string(utf8.RuneError)) }

const ellipsis = "…"

// Cut returns s, or its beginning and "…" if s has more than limit bytes. The result has at
// most limit bytes and ends with a complete character. A limit below 3 is taken as 3, the
// length of "…".
func Cut(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	n := max(limit-len(ellipsis), 0)
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n] + ellipsis
}
