package spawn

import (
	"strings"
	"testing"
)

// What the start verb says, and what its silence means.
func TestReceiveStartError(t *testing.T) {
	for said, want := range map[string]string{
		"":                   ErrNotExecuted.Error(),
		"\x00":               "",
		"\x002 execute /x":   "cannot execute /x: no such file or directory",
		"1 set nice to -5":   "cannot set nice to -5: operation not permitted",
		"0 go on: it is not": "cannot go on: it is not",
	} {
		err := receiveStartError(strings.NewReader(said))
		if got := ""; err != nil {
			if got = err.Error(); got != want {
				t.Errorf("%q: %s", said, got)
			}
		} else if want != "" {
			t.Errorf("%q: no error", said)
		}
	}
}
