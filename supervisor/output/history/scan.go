package history

import (
	"bufio"
	"bytes"
	"context"
	"io"
)

const (
	// block is how many bytes of a file are read at once, from its end to its beginning.
	block = 64 << 10
	// headSize is the size of the part of a line that has its time and its instance.
	headSize = 512
	// maxPiece is the longest piece of a line. A line of 64 KiB has six times as many bytes in
	// JSON, if each one is escaped.
	maxPiece = 512 << 10
	// maxPieces is the number of pieces of one line that are shown.
	maxPieces = 2
)

// backward calls each with the beginnings of the lines of a plain file, the last one first, until
// each returns true. It returns the offset of the last line of a call. after is called after each
// block with its size, and ends the scan too.
func (f *file) backward(
	ctx context.Context, each func(head []byte) bool, after func(n int) bool,
) (at int64, err error) {
	at = f.size
	buf := make([]byte, block+headSize)
	for end := f.size; end > 0; {
		from := max(end-block, 0)
		n, err := f.readAt(ctx, buf[:end-from+headSize], from)
		if err != nil && err != io.EOF {
			return at, err
		}
		data := buf[:n]
		body := data[:min(int64(n), end-from)]
		for i := bytes.LastIndexByte(body, '\n'); i >= 0; i = bytes.LastIndexByte(body[:i], '\n') {
			if from+int64(i)+1 == f.size {
				continue // the end of the last line
			}
			if at = from + int64(i) + 1; each(headOf(data[i+1:])) {
				return at, nil
			}
		}
		if from == 0 {
			each(headOf(data))
			return 0, nil
		}
		if after(int(end - from)) {
			return at, nil
		}
		end = from
	}
	return at, nil
}

// headOf returns the beginning of the first line of data.
func headOf(data []byte) []byte {
	data = data[:min(len(data), headSize)]
	if n := bytes.IndexByte(data, '\n'); n >= 0 {
		data = data[:n]
	}
	return data
}

// A scanner cuts a stream into lines, and lines above maxPiece bytes into pieces.
type scanner struct {
	r    *bufio.Reader
	buf  []byte
	more bool // the last piece was not the end of its line
}

func newScanner(r io.Reader) *scanner { return &scanner{r: bufio.NewReaderSize(r, 16<<10)} }

// next returns the next piece without its newline, which is valid until the next call. first says
// that a line begins with it, more that the next piece continues it.
func (s *scanner) next() (piece []byte, first, more bool, err error) {
	first = !s.more
	s.buf = s.buf[:0]
	for {
		chunk, err := s.r.ReadSlice('\n')
		s.buf = append(s.buf, chunk...)
		switch {
		case err == nil:
			s.more = false
			return s.buf[:len(s.buf)-1], first, false, nil
		case err == bufio.ErrBufferFull && len(s.buf) < maxPiece:
		case err == bufio.ErrBufferFull:
			s.more = true
			return s.buf, first, true, nil
		case err == io.EOF && len(s.buf) > 0:
			s.more = false
			return s.buf, first, false, nil
		default:
			return nil, false, false, err
		}
	}
}
