package output

import (
	"bytes"
	"sync"
	"unicode/utf8"
)

// What is kept of a child's output for the log line of an unexpected exit.
const (
	tailLines = 5
	tailWidth = 200 // bytes
)

// A tail keeps the beginnings of the last lines of a child, unescaped. It needs no memory for them
// before the first line.
type tail struct {
	mu    sync.Mutex
	lines [][]byte // a ring of tailLines; nil before the first line
	total uint     // of all lines ever added
}

// add records a block of lines. It searches from the end, so a large block costs no more than its
// last lines.
func (t *tail) add(block []byte) {
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
	if t.lines == nil && n > 0 {
		t.lines = make([][]byte, tailLines)
	}
	for n--; n >= 0; n-- {
		last := &t.lines[t.total%tailLines]
		*last = append((*last)[:0], found[n][:min(len(found[n]), tailWidth)]...)
		t.total++
	}
}

// list returns the lines, oldest first, cut to tailWidth bytes. They are not escaped: each sink of
// events escapes text once, in its own form.
func (t *tail) list() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	kept := min(t.total, tailLines)
	lines := make([]string, 0, kept)
	for i := t.total - kept; i < t.total; i++ {
		line := bytes.TrimRight(t.lines[i%tailLines], "\r\n")
		lines = append(lines, wholeCharacters(line))
	}
	return lines
}

// wholeCharacters returns a line without an incomplete character at its end, where it was cut.
func wholeCharacters(line []byte) string {
	for back := 1; back < utf8.UTFMax && back <= len(line); back++ {
		if last := line[len(line)-back:]; utf8.RuneStart(last[0]) {
			if !utf8.FullRune(last) {
				line = line[:len(line)-back]
			}
			break
		}
	}
	return string(line)
}
