package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"
)

// layers are the packages of the supervisor, from the top down. A package imports only packages of
// the layers below its own.
var layers = [][]string{
	{"."},
	{"app"},
	{"cli"},
	{"orchestrator"},
	{"sockets", "orchestrator/rollout"},
	{
		"process", "config/hcl", "control", "output", "probe", "eventlog", "report",
		"watch", "notify", "guard",
	},
	{"config/plan"},
	{"config"},
	{"process/phase", "process/proof", "process/spawn", "lifecycle"},
	{"cause"},
	{"fdledger", "mailbox", "limits", "program", "envfile"},
	{"timeout", "procfs", "event", "files", "entrypoint", "exitcode", "findings", "api"},
	{"sockdiag", "termtext"},
}

const (
	modulePath = "tp0/supervisor/"
	// hclPath is the module of HCL. Only package config/hcl may import it.
	hclPath = "github.com/hashicorp/hcl/v2"
)

// TestImportsPointDown checks the imports of every package against the layers.
func TestImportsPointDown(t *testing.T) {
	layerOf := map[string]int{}
	for i, packages := range layers {
		for _, name := range packages {
			layerOf[name] = i
		}
	}
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") ||
			strings.HasSuffix(path, "_test.go") {
			return err
		}
		importer := filepath.Dir(path)
		if strings.HasPrefix(importer, "fixture") {
			return nil
		}
		own, ok := layerOf[importer]
		if !ok {
			t.Errorf("package %s is in no layer: add it to the table layers", importer)
			return nil
		}
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		for _, i := range f.Imports {
			imported := strings.Trim(i.Path.Value, `"`)
			if strings.HasPrefix(imported, hclPath) && importer != "config/hcl" {
				t.Errorf("%s imports %s: only package config/hcl may", path, imported)
			}
			name, internal := strings.CutPrefix(imported, modulePath)
			if internal && layerOf[name] <= own {
				t.Errorf("%s imports %s, which is not in a layer below %s", path, name, importer)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// maxFields is the number of fields that a struct of the process loop may have. A struct with more
// fields has more than one concern.
const maxFields = 20

// TestStructsAreSmall checks the structs of package process, and of the packages in its folder,
// against maxFields. An embedded struct counts as one field.
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
				if n := fields(s); n > maxFields {
					t.Errorf("%s: struct %s has %d fields, at most %d are allowed",
						path, spec.Name, n, maxFields)
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
		t.Errorf("found %d structs, want at least 40", structs)
	}
}

func fields(s *ast.StructType) int {
	n := 0
	for _, f := range s.Fields.List {
		n += max(len(f.Names), 1)
	}
	return n
}
