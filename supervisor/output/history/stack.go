package history

import (
	"context"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"time"
)

// A stack is a log file with its renamed files, and the targets that are searched in them.
type stack struct {
	pile
	parser
	targets []*target
	notes   []string
	shown   int // of the notes

	all    bool      // the query selects all lines
	since  time.Time // no line before is needed; zero for no limit
	oldest time.Time // of the lines that were read
	left   int       // targets that need older lines

	// The place from which on lines were counted: a number in pile.open, and an offset.
	number int
	offset int64
}

// note adds a note about a file.
func (s *stack) note(name string, err error) {
	path := filepath.Join(filepath.Dir(s.source.Path), name)
	s.say(fmt.Sprintf("%s: %v", path, err))
}

// say adds a note, once.
func (s *stack) say(note string) {
	if !slices.Contains(s.notes, note) {
		s.notes = append(s.notes, note)
	}
}

// openOlder opens the next older file; nil if there is none. A file that cannot be opened is passed
// over with a note.
func (s *stack) openOlder() *file {
	for {
		f, err := s.openNext()
		if err == nil {
			return f
		}
		s.say(fmt.Sprintf("cannot read a log file: %v", err))
		if s.dir == nil || s.budget.files == 0 {
			return nil
		}
	}
}

// locate searches the files from the end to the beginning, for the place of the oldest line that
// the query needs.
func (s *stack) locate(ctx context.Context) {
	s.left = len(s.targets)
	for s.number = 0; s.number < len(s.open) || s.openOlder() != nil; s.number++ {
		f := s.open[s.number]
		var err error
		if f.packed {
			s.offset, err = 0, s.countForward(ctx, f)
		} else {
			s.offset, err = f.backward(ctx, s.count, s.afterBlock)
		}
		if err != nil {
			s.note(f.name, err)
		}
		if ctx.Err() != nil || err != nil && !f.packed || s.enough() {
			break
		}
	}
	if s.number == len(s.open) {
		s.number, s.offset = len(s.open)-1, 0
	}
	if s.all {
		for ctx.Err() == nil && s.openOlder() != nil {
		}
	}
}

// count counts a line.
func (s *stack) count(head []byte) bool {
	r := s.parse(head)
	if !r.at.IsZero() {
		s.oldest = r.at
	}
	if t := r.target; t != nil {
		if enough := t.count(r.at, r.stream); enough && !t.done {
			t.done = true
			s.left--
		}
	}
	return s.left == 0
}

// afterBlock reports whether the search ends after a block of n bytes.
func (s *stack) afterBlock(n int) bool {
	s.budget.scan -= n
	return s.enough()
}

// enough reports whether no older lines are needed.
func (s *stack) enough() bool {
	if s.budget.scan <= 0 {
		s.note(filepath.Base(s.source.Path), errScan)
		return true
	}
	tooOld := !s.since.IsZero() && !s.oldest.IsZero() && s.oldest.Before(s.since.Add(-slack))
	for _, t := range s.targets {
		if !t.done && (t.counted < t.held || !s.all && !tooOld) {
			return false
		}
	}
	return true
}

// countForward counts the lines of a compressed file. None can be left out: it has no other end.
func (s *stack) countForward(ctx context.Context, f *file) error {
	r, err := f.reader(ctx, 0, f.size)
	if err != nil {
		return err
	}
	oldest := time.Time{}
	for lines := newScanner(r); ; {
		piece, first, _, err := lines.next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
		if s.budget.scan -= len(piece); first {
			s.count(piece)
			if oldest.IsZero() {
				oldest = s.oldest
			}
		}
	}
	s.oldest = oldest
	return nil
}
