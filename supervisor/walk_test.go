package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"regexp"
	"testing"
)

// Each row of the walks in docs/architecture.md names a function that is in the file
// that the row names.
func TestWalksNameWhatIsThere(t *testing.T) {
	b, err := os.ReadFile("../docs/architecture.md")
	if err != nil {
		t.Fatal(err)
	}
	rows := regexp.MustCompile("(?m)^\\| `([a-z/_]+\\.go)` \\| `(\\w+)` \\|").FindAllStringSubmatch(string(b), -1)
	if len(rows) < 20 {
		t.Fatalf("%d rows, want 20 at least", len(rows))
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
