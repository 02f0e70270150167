package eventlog

import (
	"encoding/json"
	"strings"
	"testing"

	"tp0/supervisor/event"
)

// TestBackslash checks that a value cannot imitate the escape of another one, and that a reader of
// logfmt gets it back.
func TestBackslash(t *testing.T) {
	for in, want := range map[string]string{
		`C:\new`: `"C:\\new"`, `\x1b`: `"\\x1b"`, "\x1b": `"\u001b"`, `\`: `"\\"`,
		"A=b": `"A=b"`, `say "hi"`: `"say \"hi\""`, `a" pid=1 b="`: `"a\" pid=1 b=\""`,
		"\x9b": `"\\x9b"`, "\u009b": `"\u009b"`, "\U000e0041": `"\udb40\udc41"`, "": `""`,
		"plain": "plain", "a\nb\tc\r": `"a\nb\tc\r"`, "日本": `"日本"`,
	} {
		got := text(t, Settings{Level: "info"}, event.Warning{What: "x", Reason: in})
		_, got, _ = strings.Cut(strings.TrimSuffix(got, "\n"), "reason=")
		if got != want {
			t.Errorf("%q: got %s, want %s", in, got, want)
		}
		if back := ""; got[0] == '"' && in != "\x9b" &&
			(json.Unmarshal([]byte(got), &back) != nil || back != in) {
			t.Errorf("%q: a reader gets %q", in, back)
		}
	}
}

// TestColor checks that the colors of the log are its own.
func TestColor(t *testing.T) {
	got := text(t, Settings{Level: "info", Color: true},
		event.Warning{What: "x", Reason: "\x1b[31ma"},
		event.ConfigRejected{Diagnostics: "one\n\x1b[31mtwo\n"})
	if strings.Contains(got, "\x1b[31ma") || strings.Contains(got, "\x1b[31mtwo") ||
		!strings.Contains(got, "\x1b[2mreason\x1b[0m\x1b[2m=\x1b[0m\"\\u001b[31ma\"\n") {
		t.Errorf("got %q", got)
	}
}
