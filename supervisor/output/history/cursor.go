package history

import (
	"context"
	"errors"
	"hash/maphash"
	"io"
	"time"

	"tp0/supervisor/output/lines"
)

// errLongLine is the note about a line whose end is not shown.
var errLongLine = errors.New("a line has more than 1 MiB: the rest of it is not shown")

// A part of a file is read in one go. counted says that locate has counted its lines.
type part struct {
	file     *file
	from, to int64
	counted  bool
}

// A cursor reads the lines of a stack, from older files to newer ones.
type cursor struct {
	*stack
	parts   []part
	scanner *scanner // of the first part; nil: it was not opened

	piece       []byte
	first, more bool
	pieces      int    // of the line, so far
	record      record // of the line

	line  Line      // the line that merge shows next
	order time.Time // the place of the line among those of other stacks
	// rest is the rest of the text of the piece, and partial says that another piece follows.
	rest    []byte
	partial bool
}

// begin returns a cursor for the lines that locate has counted, and with all also for older lines.
func (s *stack) begin(all bool) *cursor {
	c := &cursor{stack: s}
	if len(s.open) == 0 {
		return c
	}
	if all {
		for i := len(s.open) - 1; i > s.number; i-- {
			c.parts = append(c.parts, part{s.open[i], 0, s.open[i].size, false})
		}
		c.parts = append(c.parts, part{s.open[s.number], 0, s.offset, false})
	}
	c.parts = append(c.parts, part{s.open[s.number], s.offset, s.open[s.number].size, true})
	for i := s.number - 1; i >= 0; i-- {
		c.parts = append(c.parts, part{s.open[i], 0, s.open[i].size, true})
	}
	return c
}

// next reads the next piece of a line. A file that cannot be read is passed over with a note.
func (c *cursor) next(ctx context.Context) bool {
	for ; len(c.parts) > 0; c.parts, c.scanner = c.parts[1:], nil {
		p := c.parts[0]
		if ctx.Err() != nil {
			return false
		}
		if p.from == p.to {
			continue
		}
		err := error(nil)
		if c.scanner == nil {
			var r io.Reader
			if r, err = p.file.reader(ctx, p.from, p.to); err == nil {
				c.scanner = newScanner(r)
			}
		}
		if err == nil {
			c.piece, c.first, c.more, err = c.scanner.next()
		}
		if err == nil {
			if c.pieces++; c.first {
				c.record, c.pieces = c.parse(c.piece[:min(len(c.piece), headSize)]), 1
			}
			return true
		}
		if err != io.EOF {
			c.note(p.file.name, err)
		}
	}
	return false
}

// align compares the last lines of the files with those in memory.
func (s *stack) align(ctx context.Context) {
	for _, t := range s.targets {
		t.left = t.counted
	}
	for c := s.begin(false); c.next(ctx); {
		if t := c.record.target; t != nil && c.first {
			t.follow(maphash.Bytes(seed, c.piece), t.matches(c.record.at, c.record.stream))
		}
	}
	for _, t := range s.targets {
		t.align()
		t.left, t.leftMatch = t.counted, t.matched
	}
}

// advance sets line to the next line that is shown, and reports whether there is one. skip says how
// many lines of an instance are left out.
func (c *cursor) advance(ctx context.Context, skip map[string]int) bool {
	for len(c.rest) == 0 {
		if !c.next(ctx) {
			return false
		}
		t := c.record.target
		if t == nil || !c.first && c.line.Instance == "" {
			continue
		}
		if c.first && !c.begins(t, skip) {
			c.line.Instance = "" // of its further pieces too
			continue
		}
		if c.pieces > maxPieces {
			c.note(c.parts[0].file.name, errLongLine)
			continue
		}
		c.rest, c.partial = c.piece, c.more
		if c.first && !c.more {
			c.rest, c.partial = c.record.text(c.piece)
		} else if c.first {
			c.rest = c.piece[c.record.body:]
		}
		if len(c.rest) == 0 {
			break // an empty line
		}
	}
	c.cut()
	return true
}

// begins reports whether the line that begins is shown.
func (c *cursor) begins(t *target, skip map[string]int) bool {
	matches := t.matches(c.record.at, c.record.stream)
	if c.parts[0].counted && !t.shows(matches) || !matches {
		return false
	}
	if skip[t.Name] > 0 {
		skip[t.Name]--
		return false
	}
	c.line = Line{
		Instance: t.Name, Child: t.Child, Stream: c.record.stream, Hook: c.record.hook,
		At: c.record.at,
	}
	if c.order.Before(c.record.at) {
		c.order = c.record.at
	}
	if !t.oldest.IsZero() && t.oldest.Before(c.order) {
		c.order = t.oldest // no line in memory is shown before
	}
	return true
}

// cut takes a text of 64 KiB at most from the rest of the line.
func (c *cursor) cut() {
	n := min(len(c.rest), lines.Max)
	c.line.Text, c.rest = c.rest[:n], c.rest[n:]
	c.line.Partial = c.partial || len(c.rest) > 0
}
