package cli

import (
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"tp0/supervisor/termtext"
	"tp0/supervisor/verb"
)

// columns is the width at which the output is wrapped.
const columns = verb.Columns

// rows writes a table of two columns. Each row starts with a prefix, such as the number of a
// layer.
type rows struct {
	w     io.Writer
	width int // of the first column
}

func newRows(w io.Writer, names []string) rows {
	const most = 28 // a longer name has a line of its own
	width := 0
	for _, name := range names {
		if n := utf8.RuneCountInString(name); n <= most {
			width = max(width, n)
		}
	}
	return rows{w, width}
}

func (r rows) row(prefix, name, text string) {
	indent := len(prefix) + r.width + 2
	text = termtext.Wrap(text, columns-indent)
	text = strings.ReplaceAll(text, "\n", "\n"+strings.Repeat(" ", indent))
	if utf8.RuneCountInString(name) > r.width && text != "" {
		text = "\n" + strings.Repeat(" ", indent) + text
	}
	if text != "" && !strings.HasPrefix(text, "\n") {
		name = fmt.Sprintf("%-*s  ", r.width, name)
	}
	fmt.Fprintln(r.w, prefix+name+text)
}
