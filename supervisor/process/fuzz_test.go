package process

import (
	"bytes"
	"strings"
	"testing"
	"testing/iotest"
	"unicode"
	"unicode/utf8"

	"tp0/supervisor/termtext"
)

// FuzzProbeOutput reads the output of a probe command. The result is the end of the output as one
// printable line of bounded size, however the output is cut into reads. padding makes a long output
// of a short input.
func FuzzProbeOutput(f *testing.F) {
	f.Add(uint16(0), []byte("connection refused\n"))
	f.Add(uint16(4095), []byte("\x1b[31mred\x1b[0m\r\n\x00"))
	f.Add(uint16(maxProbeOutput), []byte("ü\u202e\u2028\xff"))
	f.Fuzz(func(t *testing.T, padding uint16, end []byte) {
		output := append(bytes.Repeat([]byte("é"), int(padding)/2), end...)
		kept := output[max(len(output)-maxProbeOutput, 0):]
		want := strings.TrimSpace(termtext.Spaces(string(kept)))
		got := readTail(bytes.NewReader(output))
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
		if cut := readTail(iotest.OneByteReader(bytes.NewReader(output))); cut != got {
			t.Errorf("got %q, and %q byte by byte", got, cut)
		}
		if joined := readTail(iotest.DataErrReader(bytes.NewReader(output))); joined != got {
			t.Errorf("got %q, and %q if the last bytes come with EOF", got, joined)
		}
		if len(got) > maxProbeOutput || !utf8.ValidString(got) ||
			strings.ContainsFunc(got, func(r rune) bool { return !unicode.IsPrint(r) }) {
			t.Errorf("got %q, want a printable line of %d bytes at most", got, maxProbeOutput)
		}
	})
}
