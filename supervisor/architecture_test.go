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

// floors are the rooms of the house, from the roof down. A room imports only
// from floors below its own.
var floors = [][]string{
	{"."},
	{"app"},
	{"cli"},
	{"orchestrator"},
	{"sockets"},
	{"process", "config", "control", "lifecycle", "output", "probe", "eventlog", "report", "watch", "notify", "guard"},
	{"process/phase", "process/proof", "process/spawn"},
	{"fdledger", "mailbox", "limits"},
	{"procfs", "event", "files", "entrypoint"},
}

// TestArrowsPointDown holds the imports against the floors.
func TestArrowsPointDown(t *testing.T) {
	floor := map[string]int{}
	for i, rooms := range floors {
		for _, room := range rooms {
			floor[room] = i
		}
	}
	// hcl stays in config: nobody else decides what a file means.
	hcl := "github.com/hashicorp/hcl/v2"
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		room := filepath.Dir(path)
		if strings.HasPrefix(room, "fixture") {
			return nil
		}
		mine, ok := floor[room]
		if !ok {
			t.Errorf("room %s is on no floor", room)
			return nil
		}
		src, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		f, err := parser.ParseFile(token.NewFileSet(), path, src, parser.ImportsOnly)
		if err != nil {
			return err
		}
		for _, i := range f.Imports {
			name := strings.Trim(i.Path.Value, `"`)
			if strings.HasPrefix(name, hcl) && room != "config" {
				t.Errorf("%s imports %s", path, name)
			}
			if other, own := strings.CutPrefix(name, "tp0/supervisor/"); own && floor[other] <= mine {
				t.Errorf("%s imports %s, which is not below it", path, other)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// mostFields is how many fields a struct of the process loop has at most: a struct with
// more has more than one concern.
const mostFields = 20

// TestStructsAreSmall holds the structs of package process, and of the packages below it,
// against mostFields. An embedded struct counts as one field.
func TestStructsAreSmall(t *testing.T) {
	structs := 0
	err := filepath.WalkDir("process", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") {
			return err
		}
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		ast.Inspect(f, func(n ast.Node) bool {
			spec, ok := n.(*ast.TypeSpec)
			if !ok {
				return true
			}
			if s, ok := spec.Type.(*ast.StructType); ok {
				structs++
				if n := fields(s); n > mostFields {
					t.Errorf("%s: struct %s has %d fields, at most %d are allowed",
						path, spec.Name, n, mostFields)
				}
			}
			return true
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if structs < 40 {
		t.Errorf("only %d structs were found", structs)
	}
}

// fields counts the fields of a struct.
func fields(s *ast.StructType) int {
	n := 0
	for _, f := range s.Fields.List {
		n += max(len(f.Names), 1)
	}
	return n
}
