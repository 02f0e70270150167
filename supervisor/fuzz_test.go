package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestFuzzTargetsHaveSeeds checks that each fuzz target has inputs in testdata/fuzz, which every go
// test of its package runs.
func TestFuzzTargetsHaveSeeds(t *testing.T) {
	targets := 0
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
		if err != nil {
			return err
		}
		for _, declared := range f.Decls {
			fn, ok := declared.(*ast.FuncDecl)
			if !ok || fn.Recv != nil || !strings.HasPrefix(fn.Name.Name, "Fuzz") {
				continue
			}
			targets++
			dir := filepath.Join(filepath.Dir(path), "testdata/fuzz", fn.Name.Name)
			if seeds, _ := os.ReadDir(dir); len(seeds) == 0 {
				t.Errorf("%s: %s has no input in %s", path, fn.Name.Name, dir)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if targets == 0 {
		t.Error("no fuzz target was found")
	}
}
