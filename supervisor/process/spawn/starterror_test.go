package spawn

import (
	"strings"
	"testing"
)

// TestReceiveStartError decodes what the start verb can write, including nothing.
func TestReceiveStartError(t *testing.T) {
	for written, want := range map[string]string{
		"":                    ErrNotExecuted.Error(),
		"\x00":                "",
		"\x002 execute /x":    "cannot execute /x: no such file or directory",
		"1 set nice to -5":    "cannot set nice to -5: operation not permitted",
		"0 continue: no file": "cannot continue: no file",
	} {
		err := receiveStartError(strings.NewReader(written))
		if got := ""; err != nil {
			if got = err.Error(); got != want {
				t.Errorf("%q: got error %q, want %q", written, got, want)
			}
		} else if want != "" {
			t.Errorf("%q: got no error, want %q", written, want)
		}
	}
}
