package eventlog

import (
	"fmt"
	"strings"

	"tp0/supervisor/termtext"
)

// multiline is the one key whose value keeps its line breaks in the text format.
const multiline = "diagnostics"

// appendFields appends the fields of a record in logfmt: key=value. Two kinds of values are not
// logfmt: a list is written as in JSON, and a text of several lines has a line for each of them.
func appendFields(dst []byte, fields []any, color bool) []byte {
	if len(fields) > 0 {
		dst = append(dst, ':')
	}
	for i := 1; i < len(fields); i += 2 {
		key := fmt.Sprint(fields[i-1])
		equals, bar := "=", "  | "
		if s, ok := fields[i].(string); ok && key == multiline && strings.Contains(s, "\n") {
			if color {
				key, equals, bar = faint(key), faint(equals), faint(bar)
			}
			dst = fmt.Appendf(dst, "\n  %s%s\n", key, equals)
			for line := range strings.Lines(termtext.EscapeLines(s)) {
				dst = append(append(dst, bar...), strings.TrimSuffix(line, "\n")...)
				dst = append(dst, '\n')
			}
			dst = append(dst, "  "...)
			continue
		}
		if color {
			key, equals = faint(key), faint(equals)
		}
		dst = append(append(append(dst, ' '), key...), equals...)
		dst = appendValue(dst, fields[i])
	}
	return dst
}

func faint(s string) string { return "\x1b[2m" + s + "\x1b[0m" }

func appendValue(dst []byte, value any) []byte {
	switch value := value.(type) {
	case string:
		return termtext.AppendLogfmt(dst, value)
	case []string:
		dst = append(dst, '[')
		for i, s := range value {
			if i > 0 {
				dst = append(dst, ", "...)
			}
			dst = termtext.AppendQuoted(dst, s)
		}
		return append(dst, ']')
	default:
		return termtext.AppendLogfmt(dst, fmt.Sprint(value))
	}
}
