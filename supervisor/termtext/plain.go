package termtext

import "bytes"

// Plain returns a line of output without its escape sequences (ECMA-48): what a person reads.
func Plain(line []byte) []byte {
	if bytes.IndexByte(line, esc) < 0 {
		return line
	}
	plain := make([]byte, 0, len(line))
	for len(line) > 0 {
		if line[0] == esc {
			line = line[sequenceSize(line):]
			continue
		}
		n := bytes.IndexByte(line, esc)
		if n < 0 {
			n = len(line)
		}
		plain = append(plain, line[:n]...)
		line = line[n:]
	}
	return plain
}

// sequenceSize returns the size of the escape sequence at the start of line. If it is not complete,
// the escape character is the sequence.
func sequenceSize(line []byte) int {
	if len(line) < 2 {
		return 1
	}
	switch line[1] {
	case '[': // CSI: parameters, intermediate bytes, the final byte
		if n := finalByte(line[2:], 0x20, 0x3f, 0x40); n > 0 {
			return 2 + n
		}
		return 1
	case ']', 'P', 'X', '^', '_': // a string that BEL or ESC backslash ends
		text := line[2:]
		if i := bytes.IndexByte(text, '\a'); i >= 0 {
			return 2 + i + 1
		}
		if i := bytes.Index(text, []byte("\x1b\\")); i >= 0 {
			return 2 + i + 2
		}
		return 1
	default:
		return 1 + finalByte(line[1:], 0x20, 0x2f, 0x30)
	}
}

// finalByte returns the size of a sequence of bytes from low to high and a final byte from final to
// 0x7e. Without a final byte it is 0.
func finalByte(text []byte, low, high, final byte) int {
	for i, c := range text {
		switch {
		case low <= c && c <= high:
		case final <= c && c <= 0x7e:
			return i + 1
		default:
			return 0
		}
	}
	return 0
}
