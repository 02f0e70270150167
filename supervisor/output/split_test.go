package output

import (
	"bytes"
	"strings"
	"testing"
	"unicode/utf8"

	"tp0/supervisor/output/lines"
)

// pipeReads reads data as a stream does, with reads of the sizes that steps gives in turn, and
// returns the pieces of lines.
func pipeReads(data, steps []byte) (pieces []string, ends []ending) {
	var pending []byte
	least := len(data) / 64 // each read looks at all bytes of an open line
	take := func() {
		for {
			line, rest, end, ok := lines.Cut(pending)
			if !ok {
				pending = rest
				return
			}
			pieces, ends = append(pieces, string(line)), append(ends, end)
			pending = rest
		}
	}
	for i := 0; len(data) > 0; i++ {
		n := 1 + least
		if len(steps) > 0 {
			n += int(steps[i%len(steps)]) * 300
		}
		n = min(n, len(data))
		pending, data = append(pending, data[:n]...), data[n:]
		take()
	}
	if len(pending) > 0 {
		pieces, ends = append(pieces, string(pending)), append(ends, eof)
	}
	return pieces, ends
}

// FuzzCut checks the splitter of lines: whatever the sizes of the reads are, no byte is lost, no
// piece is above the limit, and a character that is complete stays in one piece.
func FuzzCut(f *testing.F) {
	for _, s := range []string{"", "a\nb", "\n\n", "no end", "\r\n\x00\n", "日本\n日本"} {
		f.Add([]byte(s), uint32(0), []byte{0})
	}
	f.Add([]byte("日"), uint32(maxLine), []byte{255})
	f.Add([]byte("日\n"), uint32(maxLine/3-1), []byte{13, 200})
	f.Add([]byte{0x80}, uint32(maxLine+9), []byte{1})
	f.Fuzz(func(t *testing.T, unit []byte, repeat uint32, steps []byte) {
		if len(unit) > 64 {
			unit = unit[:64]
		}
		data := append(bytes.Repeat(unit, int(repeat)%(2*maxLine/max(len(unit), 1))), unit...)
		pieces, ends := pipeReads(data, steps)
		valid := utf8.Valid(data)
		var back strings.Builder
		for i, piece := range pieces {
			back.WriteString(piece)
			if ends[i] == newline {
				back.WriteByte('\n')
			}
			if strings.Contains(piece, "\n") || len(piece) > maxLine || ends[i] == eof &&
				i < len(pieces)-1 {
				t.Errorf("piece %d of %d has %d bytes and the end %d", i, len(pieces), len(piece),
					ends[i])
			}
			if valid && !utf8.ValidString(piece) {
				t.Errorf("piece %d ends in a character: %q", i, piece[max(len(piece)-8, 0):])
			}
		}
		if back.String() != string(data) {
			t.Errorf("%d bytes became %d in %d pieces", len(data), back.Len(), len(pieces))
		}
	})
}
