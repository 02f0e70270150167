package termtext

import "testing"

func TestWrap(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		text  string
		width int
		want  string
	}{
		{"", 5, ""},
		{"one two three", 7, "one two\nthree"},
		{"one two three", 13, "one two three"},
		{"one two three", 12, "one two\nthree"},
		{"one two", 0, "one two"},
		{"one two", -3, "one two"},
		{"one two", 1, "one\ntwo"},
		{"a verylongword b", 5, "a\nverylongword\nb"},
		{"äöü äöü", 7, "äöü äöü"},
		{"äöü äöü", 6, "äöü\näöü"},
		{"first line\n\n  second one\n", 8, "first\nline\n\n  second\none\n"},
		{"two  spaces here", 11, "two  spaces\nhere"},
		{"end ", 9, "end"},
	} {
		if got := Wrap(tt.text, tt.width); got != tt.want {
			t.Errorf("Wrap(%q, %d) = %q, want %q", tt.text, tt.width, got, tt.want)
		}
	}
}
