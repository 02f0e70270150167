package output

import (
	"bytes"
	"sync"
	"unicode/utf8"

	"tp0/supervisor/termtext"
)

// How much of a run's output is kept for the log of an unexpected exit.
const (
	tailLines = 5
	tailWidth = 200 // bytes
)

// A tail keeps the beginnings of the last lines of a run, as they came.
type tail struct {
	mu    sync.Mutex
	lines [tailLines][tailWidth]byte
	sizes [tailLines]int
	count uint // of all lines so far
}

// note looks at a block of lines that were passed on together. It goes from
// the end backwards, so that a flood costs no more than its last lines.
func (t *tail) note(block []byte) {
	var found [tailLines][]byte
	n := 0
	for n < tailLines && len(block) > 0 {
		i := bytes.LastIndexByte(block[:len(block)-1], '\n') + 1
		if line := bytes.TrimSpace(block[i:]); len(line) > 0 {
			found[n] = block[i:]
			n++
		}
		block = block[:i]
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for n--; n >= 0; n-- {
		i := t.count % tailLines
		t.sizes[i] = copy(t.lines[i][:], found[n])
		t.count++
	}
}

// strings returns the lines, oldest first, fit for a log: control characters
// escaped, valid UTF-8, none longer than tailWidth.
func (t *tail) strings() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	kept := min(t.count, tailLines)
	lines := make([]string, 0, kept)
	for i := t.count - kept; i < t.count; i++ {
		raw := t.lines[i%tailLines][:t.sizes[i%tailLines]]
		lines = append(lines, clean(bytes.TrimRight(raw, "\r\n")))
	}
	return lines
}

func clean(raw []byte) string {
	s := termtext.Valid(string(termtext.AppendText(nil, raw)))
	if len(s) > tailWidth {
		n := tailWidth
		for !utf8.RuneStart(s[n]) {
			n--
		}
		s = s[:n]
	}
	return s
}
