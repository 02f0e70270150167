package history

import (
	"context"
	"fmt"
	"hash/maphash"
	"time"

	"tp0/supervisor/fdledger"
	"tp0/supervisor/output"
	"tp0/supervisor/output/retain"
)

// A history is one query to files.
type history struct {
	memory Memory
	query  retain.Query
	stacks []*stack
	notes  []string
}

// plan decides which files are read for which instances.
func (h *history) plan(ctx context.Context, sources []Source, fds fdledger.Registrar) error {
	if h.query.Last == 0 {
		return nil
	}
	selected, err := h.countSelected(ctx)
	if err != nil {
		return err
	}
	left := budget{maxFiles, maxScan}
	for i := range sources {
		src := &sources[i]
		s := &stack{
			pile:   pile{source: src, fds: fds, budget: &left, seen: map[[2]uint64]bool{}},
			parser: newParser(),
		}
		for k := range src.Instances {
			inst := &src.Instances[k]
			if !h.query.Selects(inst.Name, inst.Child) {
				continue
			}
			t := h.target(inst, selected[inst.Name])
			if t == nil {
				continue
			}
			if why := h.useless(t, src); why != "" {
				h.note(fmt.Sprintf("%s: %s", src.Path, why))
				continue
			}
			s.add(t)
			s.targets = append(s.targets, t)
		}
		if len(s.targets) > 0 {
			s.setLimits()
			h.stacks = append(h.stacks, s)
		}
	}
	return nil
}

func (h *history) note(text string) { h.notes = append(h.notes, text) }

// setLimits sets the limits up to which older lines of the stack are read.
func (s *stack) setLimits() {
	s.since = s.targets[0].since
	for _, t := range s.targets {
		if t.since.Before(s.since) {
			s.since = t.since // the zero time is before all others
		}
	}
	s.all = s.since.IsZero() && s.targets[0].last < 0
}

// countSelected returns how many lines in memory the query selects, of each instance.
func (h *history) countSelected(ctx context.Context) (map[string]int, error) {
	q := h.query
	q.Follow = false
	n := map[string]int{}
	return n, eachLine(ctx, h.memory, q, func(l retain.Line) {
		if !l.Partial {
			n[l.Instance]++
		}
	})
}

// eachLine calls each with the lines in memory that a query selects.
func eachLine(ctx context.Context, m Memory, q retain.Query, each func(retain.Line)) error {
	r, err := m.Lines(q)
	if err != nil {
		return err
	}
	defer r.Close()
	for ctx.Err() == nil {
		b := r.Poll()
		if b.Empty() {
			return nil
		}
		for l := range b.Lines() {
			each(l)
		}
	}
	return ctx.Err()
}

// target returns the target of an instance. It is nil if memory has all lines that are needed.
func (h *history) target(inst *Instance, selected int) *target {
	q, state := &h.query, h.memory.State(inst.Name)
	t := &target{Instance: inst, last: q.Last, selected: selected, since: q.Since}
	if q.Stdout != q.Stderr {
		t.stream = retain.Stderr.String()
		if q.Stdout {
			t.stream = retain.Stdout.String()
		}
	}
	if inst.Stdout != inst.Stderr {
		t.only = retain.Stderr.String()
		if inst.Stdout {
			t.only = retain.Stdout.String()
		}
	}
	switch {
	case t.stream != "" && t.only != "" && t.stream != t.only:
		return nil // the stream goes to another file
	case q.Last > 0 && selected >= q.Last:
		return nil
	case !q.Since.IsZero() && !state.Oldest.IsZero() && state.Oldest.Before(q.Since):
		return nil
	}
	if !q.Previous {
		return t
	}
	process, begun, next := state.Previous()
	if process > 0 && (state.Complete || state.OldestProcess > 0 && state.OldestProcess < process) {
		return nil
	}
	// A time in a file is cut off after the millisecond.
	if process > 0 && t.since.Before(begun) {
		t.since = begun.Truncate(time.Millisecond)
	}
	if !next.IsZero() && (inst.hasTime() || !state.Complete) {
		t.to = next.Truncate(time.Millisecond)
	}
	return t
}

// useless returns why a file cannot answer the query for an instance; empty: it can.
func (h *history) useless(t *target, src *Source) string {
	switch {
	case t.isBare() && len(src.Instances) > 1:
		return "it does not say which instance printed a line"
	case t.stream != "" && t.only == "" && t.Format != "json":
		return "it does not say to which stream a line belongs"
	case (!t.since.IsZero() || !t.to.IsZero()) && !t.hasTime():
		return "its lines have no time. Set logs.timestamps, or the format json"
	}
	return ""
}

// measure counts the lines in memory that go to the file.
func (t *target) measure(ctx context.Context, m Memory) error {
	form := output.NewLineFormat(t.Format, t.Colors, t.Name, t.Timed)
	q := retain.Query{
		Names: []string{t.Name}, Stdout: t.Stdout, Stderr: t.Stderr, Last: -1,
	}
	var line []byte
	whole := true // no line of the window has pieces
	return eachLine(ctx, m, q, func(l retain.Line) {
		if l.Instance != t.Name {
			return // of a child that has the name of the instance
		}
		if t.held++; t.held == 1 {
			t.oldest = l.At
		}
		if l.Partial && t.isBare() {
			t.held-- // the file has no newline there
			whole = whole && len(t.window) == windowSize
		}
		if len(t.window) < windowSize {
			line = form.Format(line[:0], l)
			if n := len(line); n > 0 && line[n-1] == '\n' {
				line = line[:n-1]
			}
			t.window = append(t.window, maphash.Bytes(seed, line))
		}
		if !whole {
			t.window = t.window[:0]
		}
	})
}
