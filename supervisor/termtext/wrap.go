package termtext

import (
	"strings"
	"unicode/utf8"
)

// Wrap breaks lines of text at spaces, so that a line has at most width characters. A word that is
// longer has a line of its own. Lines that are short enough stay as they are. Without a positive
// width Wrap returns text as it is.
func Wrap(text string, width int) string {
	if width <= 0 {
		return text
	}
	var b strings.Builder
	for line := range strings.Lines(text) {
		wrapLine(&b, line, width)
	}
	return b.String()
}

// wrapLine writes one line, with its newline if it has one. The spaces at a break are dropped.
func wrapLine(b *strings.Builder, line string, width int) {
	used, spaces := 0, 0
	for i, word := range strings.Split(strings.TrimSuffix(line, "\n"), " ") {
		if i > 0 {
			spaces++
		}
		if word == "" {
			continue
		}
		n := utf8.RuneCountInString(word)
		if used > 0 && used+spaces+n > width {
			b.WriteByte('\n')
			used, spaces = 0, 0
		}
		b.WriteString(strings.Repeat(" ", spaces))
		b.WriteString(word)
		used, spaces = used+spaces+n, 0
	}
	if strings.HasSuffix(line, "\n") {
		b.WriteByte('\n')
	}
}
