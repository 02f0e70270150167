package termtext

import (
	"strings"
	"testing"
)

func TestEscape(t *testing.T) {
	for _, tt := range []struct{ name, in, line, lines, spaces string }{
		{"plain", `a "b" \c ü 日本`, `a "b" \c ü 日本`, `a "b" \c ü 日本`, `a "b" \c ü 日本`},
		{"empty", "", "", "", ""},
		{"line break and tab", "a\n\tb", `a\n\tb`, "a\n\tb", "a  b"},
		{"escape sequence", "\x1b[2J", `\x1b[2J`, `\x1b[2J`, " [2J"},
		{"carriage return", "a\rb", `a\x0db`, `a\x0db`, "a b"},
		{"DEL and C1", "\x7f\u009b", `\x7f\u009b`, `\x7f\u009b`, "  "},
		{"direction override", "\u202ea", `\u202ea`, `\u202ea`, " a"},
		{"beyond the basic plane", "\U000e0001😀", `\U000e0001😀`, `\U000e0001😀`, " 😀"},
		{"not UTF-8", "a\x9b\xffb", `a\x9b\xffb`, `a\x9b\xffb`, "a  b"},
		{"replacement character", "\ufffd", "\ufffd", "\ufffd", " "},
	} {
		if got := Escape(tt.in); got != tt.line {
			t.Errorf("%s: Escape returned %q, want %q", tt.name, got, tt.line)
		}
		if got := EscapeLines(tt.in); got != tt.lines {
			t.Errorf("%s: EscapeLines returned %q, want %q", tt.name, got, tt.lines)
		}
		if got := Spaces(tt.in); got != tt.spaces {
			t.Errorf("%s: Spaces returned %q, want %q", tt.name, got, tt.spaces)
		}
	}
}

func TestCut(t *testing.T) {
	for _, tt := range []struct {
		in    string
		limit int
		want  string
	}{
		{"abcdef", 6, "abcdef"},
		{"abcdefg", 6, "abc…"},
		{"aüüü", 6, "aü…"},
		{"aüüü", 5, "a…"},
		{"abcdef", 0, "…"},
	} {
		if got := Cut(tt.in, tt.limit); got != tt.want {
			t.Errorf("Cut(%q, %d) returned %q, want %q", tt.in, tt.limit, got, tt.want)
		}
	}
}

func TestPlain(t *testing.T) {
	for in, want := range map[string]string{
		"plain":                                  "plain",
		"\x1b[1;32mready\x1b[0m\x1b[K now":       "ready now",
		"\x1b[?25l\x1b[2K\x1b[1Gup":              "up",
		"\x1b]0;title\aup\x1b]8;;http://x\x1b\\": "up",
		"\x1b(B\x1b=up\x1b7":                     "up",
		"up\x1b":                                 "up",
		"up\x1b[31":                              "up[31",
		"\x1b]up":                                "]up",
		"\x1bé\x1b\x1b[mx":                       "éx",
	} {
		if got := string(Plain([]byte(in))); got != want {
			t.Errorf("%q is %q, want %q", in, got, want)
		}
	}
}

func TestAppendColors(t *testing.T) {
	ones90 := strings.Repeat("1", 90)
	for _, tt := range []struct{ name, in, keep, strip string }{
		{"none", "a", "a", "a"},
		{"ended", "\x1b[31mred\x1b[0m b", "\x1b[31mred\x1b[0m b", "red b"},
		{"ended by nothing", "\x1b[1;38:5:9mx\x1b[m", "\x1b[1;38:5:9mx\x1b[m", "x"},
		{"open", "\x1b[31mred", "\x1b[31mred\x1b[0m", "red"},
		{"again", "\x1b[31ma\x1b[0m\x1b[32m", "\x1b[31ma\x1b[0m\x1b[32m\x1b[0m", "a"},
		{"reset and a color", "\x1b[0;31ma", "\x1b[0;31ma\x1b[0m", "a"},
		{"cursor", "\x1b[2J\x1b[31;5H", `\x1b[2J\x1b[31;5H`, `\x1b[2J\x1b[31;5H`},
		{"private", "\x1b[?25m\x1b[>4m", `\x1b[?25m\x1b[>4m`, `\x1b[?25m\x1b[>4m`},
		{"title", "\x1b]0;x\a", `\x1b]0;x\x07`, `\x1b]0;x\x07`},
		{"C1", "\u009b31m\x9b31m", `\u009b31m\x9b31m`, `\u009b31m\x9b31m`},
		{"cut", "a\x1b[31", `a\x1b[31`, `a\x1b[31`},
		{"too long", "\x1b[" + ones90 + "m", `\x1b[` + ones90 + "m", `\x1b[` + ones90 + "m"},
		{"within another", "\x1b\x1b[31mx", `\x1b` + "\x1b[31mx\x1b[0m", `\x1bx`},
	} {
		if got := string(AppendColors(nil, []byte(tt.in), KeepColors)); got != tt.keep {
			t.Errorf("%s: kept %q, want %q", tt.name, got, tt.keep)
		}
		if got := string(AppendColors(nil, []byte(tt.in), StripColors)); got != tt.strip {
			t.Errorf("%s: stripped %q, want %q", tt.name, got, tt.strip)
		}
		plain := string(AppendText(nil, WithoutColors([]byte(tt.in))))
		if plain != tt.strip {
			t.Errorf("%s: without colors %q, want %q", tt.name, plain, tt.strip)
		}
	}
}
