package history

import (
	"context"
	"errors"
	"io"
	"iter"
	"slices"

	"tp0/supervisor/output/retain"
)

// A merger puts the lines of the files and those in memory in order.
type merger struct {
	*history
	reader  *retain.Reader
	each    func(Line) error
	cursors []*cursor
	skip    map[string]int // lines of an instance that are left out at the beginning

	pull   func() (retain.Line, bool) // the next line of the batch; nil: it has none
	end    func()
	head   retain.Line
	filled bool // head is the next line in memory
	missed uint64
}

func (m *merger) stop() {
	if m.end != nil {
		m.end()
	}
}

// run shows all lines.
func (m *merger) run(ctx context.Context) error {
	m.leaveOut()
	if err := m.showNotes(); err != nil {
		return err
	}
	for _, s := range m.stacks {
		if c := s.begin(s.all); c.advance(ctx, m.skip) {
			m.cursors = append(m.cursors, c)
		}
	}
	for len(m.cursors) > 0 && ctx.Err() == nil {
		if err := m.step(ctx); err != nil {
			return err
		}
	}
	for _, s := range m.stacks {
		s.close()
	}
	if err := m.showNotes(); err != nil {
		return err
	}
	return m.rest(ctx)
}

// leaveOut finds instances whose streams go to two files, which together have too many lines.
func (m *merger) leaveOut() {
	m.skip = map[string]int{}
	room := map[string]int{}
	for _, s := range m.stacks {
		for _, t := range s.targets {
			if t.last >= 0 {
				m.skip[t.Name] += t.wanted()
				room[t.Name] = max(t.last-t.selected, 0)
			}
		}
	}
	for name, n := range room {
		m.skip[name] = max(m.skip[name]-n, 0)
	}
}

// showNotes shows the notes that were not shown yet.
func (m *merger) showNotes() error {
	for _, s := range m.stacks {
		m.notes = append(m.notes, s.notes[s.shown:]...)
		s.shown = len(s.notes)
	}
	for _, n := range m.notes {
		if err := m.each(Line{Note: n}); err != nil {
			return err
		}
	}
	m.notes = nil
	return nil
}

// step shows the next line of a file or of memory.
func (m *merger) step(ctx context.Context) error {
	m.fill()
	next := m.cursors[0]
	for _, c := range m.cursors[1:] {
		if c.order.Before(next.order) {
			next = c
		}
	}
	if m.filled && m.head.At.Before(next.order) {
		m.filled = false
		return m.show(m.head)
	}
	if err := m.each(next.line); err != nil {
		return err
	}
	if !next.advance(ctx, m.skip) {
		m.cursors = slices.DeleteFunc(m.cursors, func(c *cursor) bool { return c == next })
	}
	return nil
}

// fill takes the next line in memory, if there is one now.
func (m *merger) fill() {
	for !m.filled {
		if m.pull == nil {
			b := m.reader.Poll()
			if m.missed += b.Missed; b.Empty() {
				return
			}
			m.pull, m.end = iter.Pull(b.Lines())
		}
		if m.head, m.filled = m.pull(); !m.filled {
			m.pull = nil
		}
	}
}

// show shows a line in memory.
func (m *merger) show(l retain.Line) error {
	missed := m.missed
	m.missed = 0
	return m.each(Line{
		Instance: l.Instance, Child: l.Child, Process: l.Process, Stream: l.Stream.String(),
		Hook: l.Hook.String(), At: l.At, Partial: l.Partial, Text: l.Text, Missed: missed,
	})
}

// rest shows the lines in memory once no line of a file is left.
func (m *merger) rest(ctx context.Context) error {
	for m.pull != nil {
		m.fill()
		if !m.filled {
			break
		}
		m.filled = false
		if err := m.show(m.head); err != nil {
			return err
		}
	}
	for {
		batch, err := m.reader.Next(ctx)
		m.missed += batch.Missed
		for l := range batch.Lines() {
			if err := m.show(l); err != nil {
				return err
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}
