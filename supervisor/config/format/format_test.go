package format

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"

	hclconfig "tp0/supervisor/config/hcl"
	"tp0/supervisor/config/plan"
)

// FuzzFormat checks that Format changes blanks within lines only, that a second Format changes
// nothing, and that the file keeps its tokens and its meaning.
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
			if !errors.As(err, new(*hclconfig.Faults)) {
				t.Error(err)
			}
			return
		}
		again, err := Format(out, "f.hcl")
		if err != nil || bytes.Count(out, []byte("\n")) != strings.Count(src, "\n") {
			t.Fatalf("%q became %q, and then %q: %v", src, out, again, err)
		}
		if !bytes.Equal(again, out) {
			t.Errorf("%q became %q, and then %q", src, out, again)
		}
		if a, b := tokensOf(src), tokensOf(string(out)); !slices.Equal(a, b) {
			t.Errorf("the tokens %q became %q", a, b)
		}
		checkMeaning(t, src, string(out))
	})
}

// checkMeaning checks that two files are the same configuration, or both have faults.
func checkMeaning(t *testing.T, src, out string) {
	t.Helper()
	opt := hclconfig.Options{Environ: []string{"PATH=/bin"}}
	a, errA := hclconfig.Parse([]byte(src), "f", opt)
	b, errB := hclconfig.Parse([]byte(out), "f", opt)
	if (errA == nil) != (errB == nil) || errA == nil && !plan.Compare(a, b).Empty() {
		t.Errorf("%q became %q with another meaning: %v, %v", src, out, errA, errB)
	}
}

// tokensOf returns the texts of the tokens of a file.
func tokensOf(src string) (texts []string) {
	tokens, _ := hclsyntax.LexConfig([]byte(src), "f", hcl.InitialPos)
	for _, token := range tokens {
		texts = append(texts, string(token.Bytes))
	}
	return texts
}
