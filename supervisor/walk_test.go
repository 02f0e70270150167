package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"regexp"
	"testing"
)

// TestWalks checks that each function in the walks of docs/architecture.md is in the file of its
// row.
func TestWalks(t *testing.T) {
	b, err := os.ReadFile("../docs/architecture.md")
	if err != nil {
		t.Fatal(err)
	}
	row := regexp.MustCompile("(?m)^\\| `([a-z/_]+\\.go)` \\| `(\\w+)` \\|")
	rows := row.FindAllStringSubmatch(string(b), -1)
	if len(rows) < 20 {
		t.Fatalf("got %d rows, want 20 at least", len(rows))
	}
	for _, row := range rows {
		file, err := parser.ParseFile(token.NewFileSet(), row[1], nil, 0)
		if err != nil {
			t.Errorf("%s: %v", row[1], err)
			continue
		}
		found := false
		for _, d := range file.Decls {
			f, ok := d.(*ast.FuncDecl)
			found = found || ok && f.Name.Name == row[2]
		}
		if !found {
			t.Errorf("%s has no function %s", row[1], row[2])
		}
	}
}
