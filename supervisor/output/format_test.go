package output

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"tp0/supervisor/output/lines"
	"tp0/supervisor/termtext"
)

func TestText(t *testing.T) {
	for _, c := range []struct {
		name, in, want string
		end            ending
	}{
		{"plain", "hello", "[c1] hello\n", newline},
		{"empty", "", "[c1] \n", newline},
		{"tab", "a\tb", "[c1] a\tb\n", newline},
		{"colour", "a\x1b[31mred\x1b[0m", "[c1] a\\x1b[31mred\\x1b[0m\n", newline},
		{"bell and nul", "\a\x00", "[c1] \\x07\\x00\n", newline},
		{"del", "12345678\x7f", "[c1] 12345678\\x7f\n", newline},
		{"c1", "a\u009b31m\u0080\u009f", "[c1] a\\u009b31m\\u0080\\u009f\n", newline},
		{"beside c1", "N°1 \u00a0é", "[c1] N°1 \u00a0é\n", newline},
		{"lone c2", "a\xc2", "[c1] a\xc2\n", newline},
		{"invalid", "\xff\xc0\xe2\xa2", "[c1] \xff\xc0\xe2\xa2\n", newline},
		{"c1 as a byte", "a\x9b31m \xe2\x82", "[c1] a\\x9b31m \xe2\\x82\n", newline},
		{"c1 in another character", "日\u069b\U0001f61b", "[c1] 日\u069b\U0001f61b\n", newline},
		{
			"bidirectional marks", "\u061c\u200d\u200e\u200f\u202a\u202e\u2066\u2069\u206a",
			"[c1] \\u061c\u200d\\u200e\\u200f\\u202a\\u202e\\u2066\\u2069\\u206a\n", newline,
		},
		{
			"invisible", "\ufeffa\u200b\u200c\u2060\u180e\ufff9\U000e0041\U0001f600",
			"[c1] \\ufeffa\\u200b\u200c\\u2060\\u180e\\ufff9\\U000e0041\U0001f600\n", newline,
		},
		{"separators", "\u2027\u2028\u2029\u202f", "[c1] \u2027\\u2028\\u2029\u202f\n", newline},
		{"cr lf", "dos\r", "[c1] dos\r\n", newline},
		{"cr alone", "\r", "[c1] \r\n", newline},
		{"cr inside", "10%\r20%\r", "[c1] 10%\\x0d20%\r\n", newline},
		{"cr at a break", "a\r", "[c1] a\\x0d…\n", more},
		{"break", "abc", "[c1] abc…\n", more},
		{"no newline", "abc", "[c1] abc\n", eof},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := newFormatter(formatText, &Spec{Instance: "c1"}, "stdout", style{}, untimed)
			if got := string(f.append(nil, []byte(c.in), c.end)); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

func TestRaw(t *testing.T) {
	f := newFormatter(formatRaw, &Spec{Instance: "c1"}, "stdout", style{}, untimed)
	for end, want := range map[ending]string{newline: "a\x1b\n", more: "a\x1b", eof: "a\x1b"} {
		if got := string(f.append(nil, []byte("a\x1b"), end)); got != want {
			t.Errorf("ending %d: got %q, want %q", end, got, want)
		}
	}
}

func TestJSON(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 6789000, time.FixedZone("", 3600))
	for _, c := range []struct {
		in, want string
		end      ending
	}{
		{"hello", `"hello"}`, newline},
		{"", `""}`, newline},
		{`say "\"`, `"say \"\\\""}`, newline},
		{"a\tb\rc\x1b\x7f\n", `"a\tb\rc\u001b\u007f\n"}`, newline},
		{"N°1 日本 \u009b", `"N°1 日本 \u009b"}`, newline},
		{"\u202e \u2028 \u061c \u200d", `"\u202e \u2028 \u061c ` + "\u200d\"}", newline},
		{"\xff\xe6\x97é", `"\ufffd\ufffd\ufffdé"}`, newline},
		{"half", `"half","partial":true}`, more},
		{"rest", `"rest"}`, eof},
	} {
		f := newFormatter(formatJSON, &Spec{Instance: `c"1`}, "stderr", style{}, untimed)
		f.stamp(now)
		want := `{"@timestamp":"2026-01-02T02:04:05.006789Z","@module":"c\"1",` +
			`"stream":"stderr","@message":` + c.want + "\n"
		if got := string(f.append(nil, []byte(c.in), c.end)); got != want {
			t.Errorf("%q:\ngot  %swant %s", c.in, got, want)
		}
	}
}

// active are the characters that are escaped in the lines of children.
var active = []*unicode.RangeTable{
	unicode.Bidi_Control, unicode.Zl, unicode.Zp, {
		R16: []unicode.Range16{{0x180e, 0x180e, 1}, {0x200b, 0x200f, 1}, {0x2060, 0x206f, 1},
			{0xfeff, 0xfeff, 1}, {0xfff9, 0xfffb, 1}},
		R32: []unicode.Range32{{0xe0000, 0xe007f, 1}},
	},
}

// FuzzFormats compares both formats with slow and simple implementations.
func FuzzFormats(f *testing.F) {
	for _, seed := range []string{"", "plain text", "a\x1b[1mb\u0085\xc2", "\xff\xfe日本\u2028",
		strings.Repeat("1234567\x7f", 9), "\xc2\x80\xc2\xa0", "\ufeffa\u200bb\u200d",
		"\U000e0041\u180e\ufff9", "\xef\x1b[m\xbb\xbf"} {
		f.Add([]byte(seed))
	}
	r := rand.New(rand.NewPCG(1, 2))
	for range 500 {
		b := make([]byte, r.IntN(40))
		for i := range b {
			b[i] = "ab \t\r\x1b\x7f\xc2\x80\x9b\x9f\xa0\xe6\x97\xa5\xff\"\\\x00"[r.IntN(19)]
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		line = bytes.ReplaceAll(line, []byte("\n"), nil)
		var want strings.Builder
		for rest := line; len(rest) > 0; {
			c, size := utf8.DecodeRune(rest)
			switch {
			case c == utf8.RuneError && size == 1 && rest[0] <= 0x9f:
				fmt.Fprintf(&want, `\x%02x`, rest[0])
			case c == '\t' || c == utf8.RuneError || c >= 0x20 && c < 0x7f || c > 0x9f &&
				!unicode.In(c, active...) || c == '\u200c' || c == '\u200d':
				want.Write(rest[:size])
			case c < 0x80:
				fmt.Fprintf(&want, `\x%02x`, c)
			case c > 0xffff:
				fmt.Fprintf(&want, `\U%08x`, c)
			default:
				fmt.Fprintf(&want, `\u%04x`, c)
			}
			rest = rest[size:]
		}
		if got := string(termtext.AppendText(nil, line)); got != want.String() {
			t.Errorf("text: got %q, want %q", got, want.String())
		}

		var object struct {
			Message string `json:"@message"`
		}
		f := newFormatter(formatJSON, &Spec{Instance: "c1"}, "stdout", style{}, untimed)
		text := f.append(nil, line, newline)
		if err := json.Unmarshal(text, &object); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		if want := string([]rune(string(line))); object.Message != want {
			t.Errorf("json: got %q, want %q", object.Message, want)
		}
		for _, r := range string(bytes.TrimSuffix(text, []byte("\n"))) {
			if r < 0x20 || r >= 0x7f && r <= 0x9f || unicode.Is(unicode.Bidi_Control, r) {
				t.Errorf("json: %q has a control character", text)
			}
		}
	})
}

func TestCut(t *testing.T) {
	full := strings.Repeat("x", maxLine)
	for _, c := range []struct {
		name, in, line, rest string
		end                  ending
		ok                   bool
	}{
		{"nothing", "", "", "", 0, false},
		{"no newline yet", "abc", "", "abc", 0, false},
		{"line", "abc\ndef", "abc", "def", newline, true},
		{"empty line", "\nabc", "", "abc", newline, true},
		{"the cap", full + "\nab", full, "ab", newline, true},
		{"the cap, no newline yet", full, "", full, 0, false},
		{"one above", full + "x\n", full, "x\n", more, true},
		{"one above, no newline yet", full + "x", full, "x", more, true},
		{"in mid-character", full[2:] + "日\n", full[2:], "日\n", more, true},
		{"in mid-character of four", full[3:] + "😀\n", full[3:], "😀\n", more, true},
		{"behind a character", full[3:] + "日x\n", full[3:] + "日", "x\n", more, true},
		{"no UTF-8", full[5:] + strings.Repeat("\x80", 20), full[5:] + "\x80\x80\x80\x80\x80",
			strings.Repeat("\x80", 15), more, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			line, rest, end, ok := lines.Cut([]byte(c.in))
			if string(line) != c.line || string(rest) != c.rest || end != c.end || ok != c.ok {
				t.Errorf("got %d bytes, %q…, %d, %t", len(line), rest[:min(len(rest), 20)], end, ok)
			}
		})
	}
}

// TestFormatAllocates checks that no line causes an allocation.
func TestFormatAllocates(t *testing.T) {
	lines := [][]byte{
		numbered("m", 1)[:lineWidth-1],
		[]byte("\x1b[31m red \u009b \xff \" \\ \t \r"),
		[]byte("N°1 日本語"),
	}
	dst := make([]byte, 0, 4096)
	for _, kind := range []string{formatText, formatJSON, formatRaw} {
		f := newFormatter(kind, &Spec{Instance: "client1"}, "stdout", style{}, untimed)
		now := time.Now()
		if n := testing.AllocsPerRun(200, func() {
			f.stamp(now)
			for _, line := range lines {
				dst = f.append(dst[:0], line, newline)
				dst = f.append(dst[:0], line, more)
			}
		}); n != 0 {
			t.Errorf("%s: got %v allocations, want none", kind, n)
		}
	}
}

func BenchmarkFormat(b *testing.B) {
	line := numbered("m", 1)[:lineWidth-1]
	for _, kind := range []string{formatText, formatJSON, formatRaw} {
		b.Run(kind, func(b *testing.B) {
			f := newFormatter(kind, &Spec{Instance: "client1"}, "stdout", style{}, untimed)
			dst := make([]byte, 0, 4096)
			b.SetBytes(lineWidth)
			for b.Loop() {
				dst = f.append(dst[:0], line, newline)
			}
		})
	}
}

func TestTail(t *testing.T) {
	var tl tail
	if got := tl.list(); len(got) != 0 {
		t.Errorf("got the tail %q of a process without output, want nothing", got)
	}
	tl.add([]byte("one\n\n  \ntwo\r\n"))
	tl.add([]byte("three\x1b[1m\n"))
	if got, want := fmt.Sprintf("%q", tl.list()), `["one" "two" "three\x1b[1m"]`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	tl.add([]byte("x1\nx2\nx3\nx4\nx5\nx6\n\xff7"))
	if got, want := fmt.Sprintf("%q", tl.list()), `["x3" "x4" "x5" "x6" "\xff7"]`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	tl.add([]byte(strings.Repeat("\x1b日", 1000)))
	tl.add([]byte(strings.Repeat("a", 70000) + "\n"))
	for i, line := range tl.list() {
		if len(line) > tailWidth || i > 2 && !utf8.ValidString(line) {
			t.Errorf("line %d is %q", i, line)
		}
		if i >= 3 && len(line) < tailWidth-8 {
			t.Errorf("line %d has only %d bytes", i, len(line))
		}
	}
}

func untimed() bool { return false }

// TestTimestamps checks the time in front of a line, which a reload can switch on and off.
func TestTimestamps(t *testing.T) {
	timed := false
	f := newFormatter(formatText, &Spec{Instance: "c1"}, "stdout", style{prefix: "\x1b[36m"},
		func() bool { return timed })
	at := time.Date(2026, 11, 29, 10, 0, 0, 7_999_999, time.FixedZone("", 3600))
	const plain = "\x1b[36m[c1]\x1b[0m a\n"
	for i, want := range []string{
		plain, "2026-11-29T09:00:00.007Z " + plain, "2026-11-29T09:00:01.007Z " + plain, plain,
	} {
		timed = i == 1 || i == 2
		f.stamp(at.Add(time.Duration(max(i-1, 0)) * time.Second))
		if got := string(f.append(nil, []byte("a"), newline)); got != want {
			t.Errorf("step %d: got %q, want %q", i, got, want)
		}
	}
}

// TestHookIsMarked checks that the lines of a hook are told from those of its main process.
func TestHookIsMarked(t *testing.T) {
	for kind, want := range map[string]string{
		formatText: "[c1 pre_start] x\n",
		formatJSON: `"@module":"c1","hook":"pre_start","stream":"stdout","@message":"x"}` + "\n",
		formatRaw:  "x\n",
	} {
		from := &Spec{Instance: "c1", Hook: "pre_start"}
		f := newFormatter(kind, from, "stdout", style{}, untimed)
		f.stamp(time.Now())
		if got := string(f.append(nil, []byte("x"), newline)); !strings.HasSuffix(got, want) {
			t.Errorf("%s: got %q, want %q at its end", kind, got, want)
		}
	}
}
