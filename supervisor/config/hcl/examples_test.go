package hclconfig

import (
	"os"
	"path/filepath"
	"testing"
)

// TestExampleFiles loads each file of examples/ with programs of these names in PATH.
func TestExampleFiles(t *testing.T) {
	bin := t.TempDir()
	for _, name := range []string{"api", "app", "migrate", "nginx"} {
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
			if formatted, err := Format(src, path); err != nil || string(formatted) != string(src) {
				t.Errorf("not formatted, run `supervisor fmt %s`: %v", path, err)
			}
		})
	}
}
