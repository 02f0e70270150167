package cli

import (
	"strings"
	"testing"

	"tp0/supervisor/api"
)

// TestWriteAnswer compares the text of an answer. Texts of a child are escaped.
func TestWriteAnswer(t *testing.T) {
	var b strings.Builder
	writeAnswer(&b, &api.Why{
		Answer: "web is restarted in 3s: its last process exited with code 1, and this sentence " +
			"is longer than a line.",
		Evidence: []string{"Its output: \x1b[31mno", "It is short."},
		Next:     []string{"supervisor start web # starts it now"},
	})
	const want = `web is restarted in 3s: its last process exited with code 1, and this sentence
is longer than a line.
  - Its output: \x1b[31mno
  - It is short.
Next:
  supervisor start web # starts it now
`
	if b.String() != want {
		t.Errorf("got\n%s\nwant\n%s", b.String(), want)
	}
}
