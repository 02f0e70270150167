package termtext

import (
	"encoding/binary"
	"math/bits"
	"unicode/utf8"
)

// The functions of this file work on bytes, because all output of all children goes through
// them.

const hexDigits = "0123456789abcdef"

// AppendText appends a line of output to dst and escapes its control characters, so that no
// escape sequence of a child reaches a terminal: C0 apart from the tab, DEL, and C1 in its
// UTF-8 encoding. All other bytes stay as they are, invalid UTF-8 too, unlike in [Escape].
func AppendText(dst, line []byte) []byte {
	for len(line) > 0 {
		n := plainText(line)
		dst = append(dst, line[:n]...)
		if line = line[n:]; len(line) == 0 {
			break
		}
		used := 1
		switch c := line[0]; {
		case c == '\t':
			dst = append(dst, c)
		case c < 0x20 || c == 0x7f:
			dst = append(dst, '\\', 'x', hexDigits[c>>4], hexDigits[c&15])
		case len(line) > 1 && line[1] >= 0x80 && line[1] <= 0x9f: // c is 0xc2
			dst = appendU(dst, line[1])
			used = 2
		default:
			dst = append(dst, c)
		}
		line = line[used:]
	}
	return dst
}

// AppendJSON appends a line of output to dst as the inside of a JSON string. It escapes what
// JSON requires, and DEL and C1. A byte that is not UTF-8 becomes U+FFFD.
func AppendJSON(dst, line []byte) []byte {
	for len(line) > 0 {
		n := plainJSON(line)
		dst = append(dst, line[:n]...)
		if line = line[n:]; len(line) == 0 {
			break
		}
		c := line[0]
		if c < utf8.RuneSelf {
			dst = appendEscape(dst, c)
			line = line[1:]
			continue
		}
		r, size := utf8.DecodeRune(line)
		switch {
		case r == utf8.RuneError && size == 1:
			dst = append(dst, `\ufffd`...)
		case r <= 0x9f:
			dst = appendU(dst, byte(r))
		default:
			dst = append(dst, line[:size]...)
		}
		line = line[size:]
	}
	return dst
}

// appendEscape appends the JSON escape of an ASCII character.
func appendEscape(dst []byte, c byte) []byte {
	switch c {
	case '"', '\\':
		return append(dst, '\\', c)
	case '\t':
		return append(dst, `\t`...)
	case '\r':
		return append(dst, `\r`...)
	case '\n':
		return append(dst, `\n`...)
	default:
		return appendU(dst, c)
	}
}

func appendU(dst []byte, c byte) []byte {
	return append(dst, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
}

// plainText and plainJSON test eight bytes in one word ("Bit Twiddling Hacks", determine if a
// word has a byte less than n, or equal to n). Only the lowest marked byte of the result is
// exact, and only that one is used.
const (
	ones  = 0x0101010101010101
	highs = 0x8080808080808080
)

func below(word uint64, n byte) uint64 { return (word - ones*uint64(n)) &^ word & highs }

func equal(word uint64, c byte) uint64 { return below(word^ones*uint64(c), 1) }

// plainText returns how many bytes at the start of line are neither control characters nor
// 0xc2, the first byte of an encoded C1.
func plainText(line []byte) int {
	i := 0
	for ; len(line)-i >= 8; i += 8 {
		w := binary.LittleEndian.Uint64(line[i:])
		if hit := below(w, 0x20) | equal(w, 0x7f) | equal(w, 0xc2); hit != 0 {
			return i + bits.TrailingZeros64(hit)/8
		}
	}
	for ; i < len(line); i++ {
		if c := line[i]; c < 0x20 || c == 0x7f || c == 0xc2 {
			break
		}
	}
	return i
}

// plainJSON returns how many bytes at the start of line are ASCII that JSON needs no escape for.
func plainJSON(line []byte) int {
	i := 0
	for ; len(line)-i >= 8; i += 8 {
		w := binary.LittleEndian.Uint64(line[i:])
		hit := below(w, 0x20) | equal(w, '"') | equal(w, '\\') | equal(w, 0x7f) | w&highs
		if hit != 0 {
			return i + bits.TrailingZeros64(hit)/8
		}
	}
	for ; i < len(line); i++ {
		if c := line[i]; c < 0x20 || c == '"' || c == '\\' || c >= 0x7f {
			break
		}
	}
	return i
}
