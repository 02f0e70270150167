package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

// Limits that keep files readable.
const (
	maxColumns      = 100 // of a line, a tab counts as 4
	maxFunctionSize = 60  // lines of a function, without its doc comment
)

// TestStyle checks the limits in each package, and that no two files of a package need each
// other.
func TestStyle(t *testing.T) {
	packages := map[string][]string{}
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (d.Name() == "testdata" || d.Name() == ".git") {
			return fs.SkipDir
		}
		if strings.HasSuffix(path, ".go") {
			packages[filepath.Dir(path)] = append(packages[filepath.Dir(path)], path)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, dir := range slices.Sorted(maps.Keys(packages)) {
		t.Run(strings.TrimPrefix(dir, "../"), func(t *testing.T) { checkStyle(t, packages[dir]) })
	}
}

func checkStyle(t *testing.T, paths []string) {
	fset := token.NewFileSet()
	var sources []*ast.File
	for _, path := range paths {
		src, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for i, line := range strings.Split(string(src), "\n") {
			if n := utf8.RuneCountInString(strings.ReplaceAll(line, "\t", "    ")); n > maxColumns {
				t.Errorf("%s:%d: %d columns, want %d at most", path, i+1, n, maxColumns)
			}
		}
		file, err := parser.ParseFile(fset, path, src, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range file.Decls {
			f, ok := d.(*ast.FuncDecl)
			if !ok || f.Body == nil {
				continue
			}
			at := fset.Position(f.Pos())
			lines := fset.Position(f.End()).Line - at.Line + 1
			if lines > maxFunctionSize {
				t.Errorf("%s: %s has %d lines, want %d at most", at, f.Name.Name, lines,
					maxFunctionSize)
			}
		}
		if !strings.HasSuffix(path, "_test.go") {
			sources = append(sources, file)
		}
	}
	for _, cycle := range fileCycles(fset, sources) {
		t.Error(cycle)
	}
}

func fileName(fset *token.FileSet, f *ast.File) string {
	return filepath.Base(fset.Position(f.Pos()).Filename)
}

// declarations returns the file of each name of package level, and the files of each method.
// A method that has the name of a struct field counts as declared more than once: a selector
// with that name may be the field.
func declarations(fset *token.FileSet, files []*ast.File) (
	global map[string]string, methods map[string][]string,
) {
	name := func(f *ast.File) string { return fileName(fset, f) }
	global, methods = map[string]string{}, map[string][]string{}
	for _, f := range files {
		for _, d := range f.Decls {
			switch d := d.(type) {
			case *ast.FuncDecl:
				if d.Recv != nil {
					methods[d.Name.Name] = append(methods[d.Name.Name], name(f))
				} else if d.Name.Name != "init" {
					global[d.Name.Name] = name(f)
				}
			case *ast.GenDecl:
				for _, s := range d.Specs {
					switch s := s.(type) {
					case *ast.TypeSpec:
						global[s.Name.Name] = name(f)
						if s, ok := s.Type.(*ast.StructType); ok {
							for _, field := range s.Fields.List {
								for _, n := range field.Names {
									methods[n.Name] = append(methods[n.Name], "", "")
								}
							}
						}
					case *ast.ValueSpec:
						for _, n := range s.Names {
							global[n.Name] = name(f)
						}
					}
				}
			}
		}
	}
	return global, methods
}

// fileCycles returns the groups of files that need each other, with the references that
// make each group. A file needs another one if it uses a name of package level, or a method
// whose name is declared once in the package, that the other one declares.
func fileCycles(fset *token.FileSet, files []*ast.File) []string {
	global, methods := declarations(fset, files)
	name := func(f *ast.File) string { return fileName(fset, f) }
	needs := map[string]map[string]string{} // file → file → one name
	for _, f := range files {
		from := name(f)
		needs[from] = map[string]string{}
		use := func(to, what string) {
			if to != "" && to != from && to != "_" {
				needs[from][to] = what
			}
		}
		selected := map[*ast.Ident]bool{f.Name: true}
		ast.Inspect(f, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.SelectorExpr:
				selected[n.Sel] = true
				if x, ok := n.X.(*ast.Ident); ok && imports(f, x.Name) {
					return false
				}
				if in := methods[n.Sel.Name]; len(in) == 1 {
					use(in[0], n.Sel.Name)
				}
			case *ast.KeyValueExpr:
				if k, ok := n.Key.(*ast.Ident); ok && global[k.Name] != "" &&
					!ast.IsExported(k.Name) {
					selected[k] = true // most likely a field
				}
			case *ast.Field:
				for _, k := range n.Names {
					selected[k] = true
				}
			case *ast.Ident:
				if !selected[n] {
					use(global[n.Name], n.Name)
				}
			}
			return true
		})
	}
	return cycles(needs)
}

// majorVersion is the end of an import path that the name of the package does not have.
var majorVersion = regexp.MustCompile(`/v[0-9]+$`)

// imports reports whether a file imports a package by a name.
func imports(f *ast.File, name string) bool {
	for _, i := range f.Imports {
		path := strings.Trim(i.Path.Value, `"`)
		path = majorVersion.ReplaceAllString(path, "")
		if i.Name != nil && i.Name.Name == name || i.Name == nil && filepath.Base(path) == name {
			return true
		}
	}
	return false
}

// cycles returns a text for each strongly connected group of more than one file.
func cycles(needs map[string]map[string]string) (texts []string) {
	reach := func(from string) map[string]bool {
		seen, queue := map[string]bool{}, []string{from}
		for len(queue) > 0 {
			next := queue[0]
			queue = queue[1:]
			for to := range needs[next] {
				if !seen[to] {
					seen[to] = true
					queue = append(queue, to)
				}
			}
		}
		return seen
	}
	reached := map[string]map[string]bool{}
	for f := range needs {
		reached[f] = reach(f)
	}
	done := map[string]bool{}
	for _, f := range slices.Sorted(maps.Keys(needs)) {
		if done[f] || !reached[f][f] {
			continue
		}
		var group, edges []string
		for _, g := range slices.Sorted(maps.Keys(needs)) {
			if g == f || reached[f][g] && reached[g][f] {
				group = append(group, g)
				done[g] = true
			}
		}
		for _, g := range group {
			for _, h := range group {
				if what, ok := needs[g][h]; ok {
					edges = append(edges, fmt.Sprintf("%s → %s (%s)", g, h, what))
				}
			}
		}
		texts = append(texts, fmt.Sprintf("%d files need each other: %s\n\t%s", len(group),
			strings.Join(group, ", "),
			strings.Join(edges, "\n\t")))
	}
	return texts
}
