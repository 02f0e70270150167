package termtext

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

// hostile are inputs of all fuzz targets of the package.
var hostile = []string{
	"", "plain", "a b", `a\b`, "a=b", `"`, `\`, `\\"`, `C:\new\x1b`, "\x00",
	"a\x1b[1m\u0085\xc2 \u2028", "\x1b]0;title\a", "\u009b31m\x9b31m", "\x7f", "\r\n\t",
	"\u202e\u2066\u200e\u200f\u061c", "\ufeff\u200b\u200d\u2060\u180e\ufff9",
	"\U000e0041\U0001f600",
	"\xff\xfe", "\xed\xa0\x80", "\xc2", "\xef\x1b[m\xbb\xbf", "\xe2\x80\x1b[31m\xae", "\ufffd",
	"12:00:00 [INFO] all is well\nsupervisor: shutdown complete: verdict=graceful",
}

func addHostile(f *testing.F) {
	for _, s := range hostile {
		f.Add(s)
	}
}

// acts reports whether a viewer does more with a character than show it.
func acts(r rune) bool {
	return unicode.IsControl(r) || unicode.In(r, unicode.Bidi_Control, unicode.Zl, unicode.Zp) ||
		r >= 0xe0000 && r <= 0xe007f || strings.ContainsRune("\ufeff\u200b\u2060\u180e\ufff9", r)
}

func isJoinerOrTab(r rune) bool { return r == '\t' || r == '\u200c' || r == '\u200d' }

// FuzzEscape checks that no input brings a character that a terminal acts upon through.
func FuzzEscape(f *testing.F) {
	addHostile(f)
	f.Fuzz(func(t *testing.T, s string) {
		for _, got := range []string{Escape(s), Spaces(s), Escape(Cut(s, 20))} {
			if !utf8.ValidString(got) || strings.ContainsFunc(got, acts) {
				t.Errorf("%q became %q", s, got)
			}
		}
		for _, r := range EscapeLines(s) {
			if acts(r) && r != '\n' && r != '\t' {
				t.Errorf("%q became %q", s, EscapeLines(s))
			}
		}
	})
}

// colors are the sequences that may remain in a line.
var colors = regexp.MustCompile("\x1b\\[[0-9:;]{0,61}m")

// FuzzAppendColors checks the lines of children. They need not be UTF-8, so single bytes of C1 must
// not remain either, and colors must have an end.
func FuzzAppendColors(f *testing.F) {
	addHostile(f)
	f.Fuzz(func(t *testing.T, s string) {
		line := []byte(s)
		for _, c := range []Colors{EscapeColors, KeepColors, StripColors} {
			got := string(AppendColors(nil, line, c))
			plain := got
			if c == KeepColors {
				if all := colors.FindAllString(got, -1); len(all) > 0 &&
					strings.Trim(all[len(all)-1], "\x1b[0m") != "" {
					t.Errorf("%q became %q: the color does not end", s, got)
				}
				plain = colors.ReplaceAllString(got, "_") // a terminal does not join what is around
			}
			for i, r := range plain {
				if acts(r) && !isJoinerOrTab(r) || r == utf8.RuneError && plain[i] <= 0x9f {
					t.Errorf("%d: %q became %q", c, s, got)
				}
			}
		}
	})
}

// FuzzAppendJSON checks that a reader of JSON gets a line back, with U+FFFD for what is not UTF-8,
// and that the same is true for text that encoding/json has encoded.
func FuzzAppendJSON(f *testing.F) {
	addHostile(f)
	f.Fuzz(func(t *testing.T, s string) {
		encoded, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		for _, got := range [][]byte{
			append(AppendJSON([]byte{'"'}, []byte(s)), '"'), AppendEncoded(nil, encoded),
		} {
			var back string
			if err := json.Unmarshal(got, &back); err != nil || back != string([]rune(s)) {
				t.Errorf("%q became %s, which is %q, %v", s, got, back, err)
			}
			if !utf8.Valid(got) || strings.ContainsFunc(string(got), acts) {
				t.Errorf("%q became %q", s, got)
			}
		}
	})
}

// readLogfmt reads a value as the readers of logfmt do (go-logfmt, kr/logfmt): a value in quotes is
// a string of JSON, another one ends at a blank.
func readLogfmt(text string) (value, rest string, err error) {
	if !strings.HasPrefix(text, `"`) {
		value, rest, _ = strings.Cut(text, " ")
		if i := strings.IndexFunc(value, func(r rune) bool {
			return r <= ' ' || r == '=' || r == '"' || r == utf8.RuneError
		}); i >= 0 {
			return "", "", fmt.Errorf("unexpected %q in %q", value[i:], value)
		}
		return value, rest, nil
	}
	d := json.NewDecoder(strings.NewReader(text))
	if err := d.Decode(&value); err != nil {
		return "", "", err
	}
	return value, strings.TrimPrefix(text[d.InputOffset():], " "), nil
}

// withoutBytes returns s with `\x9b` for each byte that is not UTF-8.
func withoutBytes(s string) string {
	var b strings.Builder
	for i, r := range s {
		if n := utf8.RuneLen(r); r == utf8.RuneError && !strings.HasPrefix(s[i:], "\ufffd") {
			fmt.Fprintf(&b, `\x%02x`, s[i])
		} else {
			b.WriteString(s[i : i+n])
		}
	}
	return b.String()
}

// FuzzAppendLogfmt checks that a reader gets two values back that follow each other.
func FuzzAppendLogfmt(f *testing.F) {
	for i, s := range hostile {
		f.Add(s, hostile[(i+1)%len(hostile)])
	}
	f.Fuzz(func(t *testing.T, first, second string) {
		line := string(AppendLogfmt(append(AppendLogfmt(nil, first), ' '), second))
		if !utf8.ValidString(line) || strings.ContainsFunc(line, acts) {
			t.Errorf("%q, %q became %q", first, second, line)
		}
		got, rest, err := readLogfmt(line)
		if err != nil || got != withoutBytes(first) {
			t.Fatalf("%s: got %q, %v, want %q", line, got, err, withoutBytes(first))
		}
		if got, rest, err = readLogfmt(rest); err != nil || got != withoutBytes(second) ||
			rest != "" {
			t.Fatalf("%s: got %q, %q, %v, want %q", line, got, rest, err, withoutBytes(second))
		}
	})
}

// FuzzWriter checks that text is safe and that JSON keeps its meaning.
func FuzzWriter(f *testing.F) {
	addHostile(f)
	f.Fuzz(func(t *testing.T, s string) {
		var b strings.Builder
		if n, err := NewWriter(&b).Write([]byte(s)); n != len(s) || err != nil {
			t.Fatalf("got %d, %v", n, err)
		}
		got := strings.NewReplacer("\n", "", "\t", "").Replace(b.String())
		if !utf8.ValidString(got) || strings.ContainsFunc(got, acts) {
			t.Errorf("%q became %q", s, b.String())
		}
		encoded, _ := json.Marshal(s)
		b.Reset()
		_, _ = NewWriter(&b).Write(encoded)
		var back string
		err := json.Unmarshal([]byte(b.String()), &back)
		if err != nil || back != string([]rune(s)) {
			t.Errorf("%s became %s, %v", encoded, b.String(), err)
		}
	})
}
