package format

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// FuzzFormat checks that Format changes blanks within lines only.
func FuzzFormat(f *testing.F) {
	paths, err := filepath.Glob("../../../examples/*.hcl")
	if err != nil || len(paths) == 0 {
		f.Fatalf("no examples were found: %v", err)
	}
	for _, path := range paths {
		src, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(src))
	}
	f.Add("\ufeffa=1\r\nbc  =<<-E\r\n  x\r\n  E\r\n")
	f.Fuzz(func(t *testing.T, src string) {
		out, err := Format([]byte(src), "f.hcl")
		if err != nil {
			return
		}
		formatted, err := Format(out, "f.hcl")
		if err != nil || bytes.Count(out, []byte("\n")) != strings.Count(src, "\n") {
			t.Errorf("%q became %q, and then %q: %v", src, out, formatted, err)
		}
	})
}
