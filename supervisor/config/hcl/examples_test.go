package hclconfig

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/hashicorp/hcl/v2/hclwrite"
)

// TestExampleFiles loads each file of examples/ with programs of these names in PATH.
func TestExampleFiles(t *testing.T) {
	bin := t.TempDir()
	for _, name := range []string{"api", "app", "migrate", "nginx", "notify-ops"} {
		if err := os.WriteFile(filepath.Join(bin, name), []byte("#!/bin/sh\n"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	paths, err := filepath.Glob("../../../examples/*.hcl")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no examples were found: %v", err)
	}
	for _, path := range paths {
		t.Run(filepath.Base(path), func(t *testing.T) {
			if _, err := Load(path, Options{Environ: []string{"PATH=" + bin}}); err != nil {
				t.Error(err)
			}
			src, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if out, err := formatted(string(src), path); err != nil || out != string(src) {
				t.Errorf("not formatted, run `supervisor fmt %s`: %v", path, err)
			}
		})
	}
}

// formatted returns a file in the canonical layout. Package format, which imports this package, is
// not at hand here.
func formatted(src, filename string) (string, error) {
	if err := CheckFormattable([]byte(src), filename); err != nil {
		return "", err
	}
	return string(hclwrite.Format([]byte(src))), nil
}
