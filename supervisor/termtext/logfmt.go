package termtext

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// AppendLogfmt appends s to dst as the value of a key in logfmt. The value is in quotes if it has
// more than ASCII letters, digits and some signs. In quotes the escapes are those of JSON, which
// all readers of logfmt know: `\"`, `\\`, `\n`, `\r`, `\t`, and `\u001b` for a character that is
// not printable. A reader gets s back, apart from bytes that are not UTF-8: of these it gets the
// four characters `\x9b`.
func AppendLogfmt(dst []byte, s string) []byte {
	if s != "" && !strings.ContainsFunc(s, needsQuotes) {
		return append(dst, s...)
	}
	return AppendQuoted(dst, s)
}

// needsQuotes reports whether a value with the character must be in quotes. A blank ends a value
// without quotes, and a reader takes a backslash in it as it is.
func needsQuotes(r rune) bool { return r < '-' || r > '~' || r == '=' || r == '\\' }

// AppendQuoted is [AppendLogfmt] for a value that is always in quotes.
func AppendQuoted(dst []byte, s string) []byte {
	dst = append(dst, '"')
	done := 0 // bytes of s that are in dst
	for i := 0; i < len(s); {
		r, size := utf8.DecodeRuneInString(s[i:])
		invalid := r == utf8.RuneError && size == 1
		if invalid || !unicode.IsPrint(r) || r == '"' || r == '\\' {
			dst = append(dst, s[done:i]...)
			dst = appendLogfmtEscape(dst, r, s[i], invalid)
			done = i + size
		}
		i += size
	}
	return append(append(dst, s[done:]...), '"')
}

func appendLogfmtEscape(dst []byte, r rune, first byte, invalid bool) []byte {
	switch {
	case invalid:
		return fmt.Appendf(dst, `\\x%02x`, first)
	case r < utf8.RuneSelf:
		return appendEscape(dst, first)
	default:
		return appendJSONRune(dst, r)
	}
}
