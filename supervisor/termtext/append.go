package termtext

import (
	"bytes"
	"encoding/binary"
	"math/bits"
	"unicode/utf16"
	"unicode/utf8"
)

// The functions of this file work on bytes, because all output of all children goes through
// them.

const (
	esc       = 0x1b
	hexDigits = "0123456789abcdef"
)

// Colors says what becomes of the colors of a line: of the SGR sequences of ECMA-48, as ESC[31m.
type Colors uint8

// The values of Colors.
const (
	EscapeColors Colors = iota // they become visible, as every other escape sequence
	KeepColors                 // they stay, for a terminal
	StripColors                // they are removed
)

// reset ends all colors.
const reset = "\x1b[0m"

// AppendText appends a line of output to dst and escapes what a terminal or a viewer acts upon: C0
// apart from the tab, DEL, C1 (encoded or as a single byte), marks that change the direction of the
// text, the separators of lines and paragraphs, and invisible characters. The two joiners stay,
// because words of some languages and many emoji need them. All other bytes stay as they are,
// invalid UTF-8 too, unlike in [Escape].
func AppendText(dst, line []byte) []byte { return AppendColors(dst, line, EscapeColors) }

// AppendColors is [AppendText] with another treatment of colors. Colors that are kept end with the
// line.
func AppendColors(dst, line []byte, colors Colors) []byte {
	if colors == StripColors { // first, because the bytes around a color can be one character
		line, colors = WithoutColors(line), EscapeColors
	}
	i, next := plainText(line), plainText
	if utf8.Valid(line[i:]) {
		next = plainUTF8
	}
	done := 0 // bytes of line that are in dst
	colored := false
	for ; i < len(line); i += next(line[i:]) {
		c, size := line[i], 1
		if c == '\t' {
			i++
			continue
		}
		if n := colorSize(line[i:]); n > 0 && colors == KeepColors {
			colored = !isReset(line[i : i+n])
			i += n
			continue
		}
		r := rune(c)
		if c >= utf8.RuneSelf {
			if r, size = utf8.DecodeRune(line[i:]); size == 1 {
				r = rune(c) // it is not UTF-8
			}
			if !isActive(r) || isJoiner(r) {
				i += size
				continue
			}
		}
		dst = append(dst, line[done:i]...)
		switch {
		case size == 1:
			dst = append(dst, '\\', 'x', hexDigits[c>>4], hexDigits[c&15])
		case r <= 0xffff:
			dst = appendU(dst, r)
		default:
			dst = append(dst, '\\', 'U', '0', '0', '0', hexDigits[r>>16&15])
			dst = append(dst, hexDigits[r>>12&15], hexDigits[r>>8&15], hexDigits[r>>4&15],
				hexDigits[r&15])
		}
		i += size
		done = i
	}
	dst = append(dst, line[done:]...)
	if colored {
		dst = append(dst, reset...)
	}
	return dst
}

// isActive reports whether a character beyond ASCII is more than a sign to show: C1, a mark of the
// bidirectional algorithm (Unicode Standard Annex 9), a separator of lines or paragraphs, or a
// character that is invisible: the byte order mark, characters of no width, annotations and tags.
// Invisible text can be read by machines, and can make two names look equal.
func isActive(r rune) bool {
	switch {
	case r <= 0x9f:
		return true
	case r < 0x61c:
		return false
	case 0x200b <= r && r <= 0x206f:
		return r <= 0x200f || 0x2028 <= r && r <= 0x202e || 0x2060 <= r
	case r >= 0xe0000:
		return r <= 0xe007f
	}
	return r == 0x61c || r == 0x180e || r == 0xfeff || 0xfff9 <= r && r <= 0xfffb
}

// isJoiner reports whether a character is the zero width non-joiner or the zero width joiner.
func isJoiner(r rune) bool { return r == 0x200c || r == 0x200d }

// maxColor is the largest size of an SGR sequence, in bytes.
const maxColor = 64

// colorSize returns the size of the SGR sequence at the start of line; 0 is none.
func colorSize(line []byte) int {
	if len(line) < 3 || line[0] != esc || line[1] != '[' {
		return 0
	}
	for i, c := range line[2:min(len(line), maxColor)] {
		switch {
		case c == 'm':
			return 2 + i + 1
		case c < '0' || c > ';': // digits, colon and semicolon
			return 0
		}
	}
	return 0
}

// WithoutColors returns line without its SGR sequences.
func WithoutColors(line []byte) []byte {
	if bytes.IndexByte(line, esc) < 0 {
		return line
	}
	plain := make([]byte, 0, len(line))
	for i := 0; i < len(line); {
		if n := colorSize(line[i:]); n > 0 {
			i += n
			continue
		}
		plain = append(plain, line[i])
		i++
	}
	return plain
}

// isReset reports whether an SGR sequence ends all colors.
func isReset(sequence []byte) bool {
	return len(bytes.Trim(sequence[2:len(sequence)-1], "0")) == 0
}

// AppendJSON appends a line of output to dst as the inside of a JSON string. It escapes what
// JSON requires, DEL, and what [AppendText] escapes. A byte that is not UTF-8 becomes U+FFFD.
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
		case isActive(r) && !isJoiner(r):
			dst = appendJSONRune(dst, r)
		default:
			dst = append(dst, line[:size]...)
		}
		line = line[size:]
	}
	return dst
}

// AppendEncoded appends text in which JSON is encoded already, and escapes what [AppendJSON] does
// and another encoder does not: DEL and the characters beyond ASCII. It escapes joiners too: the
// text is that of the supervisor.
func AppendEncoded(dst, text []byte) []byte {
	for len(text) > 0 {
		r, size := rune(text[0]), 1
		if r >= utf8.RuneSelf {
			r, size = utf8.DecodeRune(text)
		}
		if r == 0x7f || r >= utf8.RuneSelf && isActive(r) {
			dst = appendJSONRune(dst, r)
		} else {
			dst = append(dst, text[:size]...)
		}
		text = text[size:]
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
		return appendU(dst, rune(c))
	}
}

// appendU appends the escape of a character up to U+FFFF.
func appendU(dst []byte, r rune) []byte {
	return append(dst, '\\', 'u', hexDigits[r>>12&15], hexDigits[r>>8&15], hexDigits[r>>4&15],
		hexDigits[r&15])
}

// appendJSONRune appends the escape of a character beyond ASCII in JSON.
func appendJSONRune(dst []byte, r rune) []byte {
	if r <= 0xffff {
		return appendU(dst, r)
	}
	high, low := utf16.EncodeRune(r)
	return appendU(appendU(dst, high), low)
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

// plainText returns how many bytes at the start of line are ASCII without control characters.
func plainText(line []byte) int {
	i := 0
	for ; len(line)-i >= 8; i += 8 {
		w := binary.LittleEndian.Uint64(line[i:])
		if hit := below(w, 0x20) | equal(w, 0x7f) | w&highs; hit != 0 {
			return i + bits.TrailingZeros64(hit)/8
		}
	}
	for ; i < len(line); i++ {
		if c := line[i]; c < 0x20 || c >= 0x7f {
			break
		}
	}
	return i
}

// plainUTF8 returns how many bytes at the start of line are neither control characters nor the
// first byte of a character for which isActive can be true. The line must be UTF-8.
func plainUTF8(line []byte) int {
	i := 0
	for ; len(line)-i >= 8; i += 8 {
		w := binary.LittleEndian.Uint64(line[i:])
		hit := below(w, 0x20) | equal(w, 0x7f) | equal(w, 0xc2) | equal(w, 0xd8) | equal(w, 0xe1) |
			equal(w, 0xe2) | equal(w, 0xef) | equal(w, 0xf3)
		if hit != 0 {
			return i + bits.TrailingZeros64(hit)/8
		}
	}
	for ; i < len(line); i++ {
		switch c := line[i]; c {
		case 0x7f, 0xc2, 0xd8, 0xe1, 0xe2, 0xef, 0xf3:
			return i
		default:
			if c < 0x20 {
				return i
			}
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
