package retain

import (
	"iter"
	"time"

	"tp0/supervisor/output/lines"
)

// A Batch is the result of one [Reader.Next].
type Batch struct {
	// Missed is the number of selected lines before those of the batch that are not kept any more:
	// the reader was too slow.
	Missed uint64
	runs   []selected
}

// Empty reports whether the batch has no line.
func (b Batch) Empty() bool { return len(b.runs) == 0 }

// selected is a run in a batch. skip is the number of its lines that are not selected.
type selected struct {
	run
	inst *Instance
	skip uint32
	text []byte
}

// Lines returns the lines in the order in which the supervisor read them. Their text is a copy.
func (b Batch) Lines() iter.Seq[Line] {
	return func(yield func(Line) bool) {
		for _, s := range b.runs {
			line := Line{
				Instance: s.inst.name, Child: s.inst.child, Process: s.process,
				Stream: s.stream, Hook: s.hook, At: time.Unix(0, s.at),
			}
			n := uint32(0)
			for text, end := range eachLine(s.text, s.end) {
				if n++; n <= s.skip {
					continue
				}
				line.Text, line.Partial = text, end == lines.More
				if !yield(line) {
					return
				}
			}
		}
	}
}

// eachLine returns the lines of a run and their endings. end is that of the last line.
func eachLine(text []byte, end lines.Ending) iter.Seq2[[]byte, lines.Ending] {
	return func(yield func([]byte, lines.Ending) bool) {
		for {
			line, rest, e, ok := lines.Cut(text)
			if !ok {
				break
			}
			if !yield(line, e) {
				return
			}
			text = rest
		}
		if len(text) > 0 {
			yield(text, end)
		}
	}
}
