package hclconfig

import (
	"errors"
	"testing"
)

// TestMissingQuote checks that a missing quote is one fault, after those of the lines before it.
func TestMissingQuote(t *testing.T) {
	const rest = "\n  args = [\"a\", \"b\"]\n  env = { A = \"1\" }\n}\n" +
		"child \"b\" { command = \"true\" }\n"
	for name, tt := range map[string]struct {
		src          string
		faults, line int // line is that of the last one
	}{
		"value":    {"child \"a\" {\n  command = \"true" + rest, 1, 2},
		"list":     {"child \"a\" {\n  command = [\"true]" + rest, 1, 2},
		"label":    {"child \"a {\n  command = \"true\"" + rest, 1, 1},
		"and more": {"= 1\nchild \"a\" {\n  command = \"true" + rest, 2, 3},
	} {
		var f *Faults
		if _, err := Parse([]byte(tt.src), "s.hcl", Options{}); !errors.As(err, &f) {
			t.Fatalf("%s: got %v, want faults", name, err)
		}
		last := f.list[len(f.list)-1]
		if len(f.list) != tt.faults || last.Summary != "Missing closing quote" ||
			last.Line != tt.line {
			t.Errorf("%s: got %+v", name, f.list)
		}
	}
}
