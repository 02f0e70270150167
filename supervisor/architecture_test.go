package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// layers are the packages of the supervisor, from the top down. A package imports only packages of
// the layers below its own.
var layers = [][]string{
	{".", "supervisorctl"},
	{"app", "cli"},
	{"verb"},
	{"orchestrator"},
	{
		"sockets", "orchestrator/rollout", "config/format", "api/server", "api/client",
		"output/history", "metrics/endpoint", "examine",
	},
	{
		"process", "config/hcl", "control", "output", "probe", "eventlog", "report",
		"watch", "notify", "guard", "usage", "openfds", "metrics",
	},
	{"output/retain"},
	{"output/lines"},
	{"config/plan"},
	{"config"},
	{"process/phase", "process/proof", "process/spawn", "process/tracehelper", "lifecycle"},
	{"process/ptrace", "process/sigchld"},
	{"cause"},
	{"fdledger", "mailbox", "tally", "limits", "program", "envfile", "sibling", "explain"},
	{
		"timeout", "procfs", "event", "files", "entrypoint", "exitcode", "findings", "api",
		"sigqueue",
	},
	{"sockdiag", "termtext", "similar", "sigaction"},
	{"procdir"},
}

const (
	modulePath = "tp0/supervisor/"
	// hclPath is the module of HCL. Only packages of the folder config may import it.
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
			if strings.HasPrefix(imported, hclPath) && importer != "config/hcl" &&
				importer != "config/format" {
				t.Errorf("%s imports %s: only packages of config may", path, imported)
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

// notLinked are packages that only the command line needs. They are not a part of the program
// supervisor, which is the process with pid 1: their init functions and tables cost time and memory
// in each start. A path ends with "/..." if the packages below it are meant too.
var notLinked = []string{
	"tp0/supervisor/cli", "tp0/supervisor/config/format",
	"github.com/spf13/cobra/...", "github.com/hashicorp/hcl/v2/hclwrite",
	"github.com/google/go-cmp/...", "github.com/prometheus/...", "google.golang.org/protobuf/...",
}

// TestSupervisorLinks checks that the program supervisor has none of the packages of notLinked, and
// that supervisorctl has nothing that starts a process.
func TestSupervisorLinks(t *testing.T) {
	checkLinked(t, "tp0/supervisor", notLinked)
	checkLinked(t, "tp0/supervisor/supervisorctl", []string{
		"tp0/supervisor/app", "tp0/supervisor/orchestrator/...", "tp0/supervisor/process",
		"tp0/supervisor/process/spawn",
	})
}

// checkLinked checks that none of some packages is a part of a program.
func checkLinked(t *testing.T, program string, forbidden []string) {
	t.Helper()
	out, err := exec.Command("go", "list", "-deps", program).Output()
	if err != nil {
		t.Fatalf("cannot list the packages of %s: %v", program, err)
	}
	linked := strings.Fields(string(out))
	if !slices.Contains(linked, "tp0/supervisor/verb") {
		t.Errorf("%s has no package verb: got %d packages", program, len(linked))
	}
	for _, name := range linked {
		for _, f := range forbidden {
			below, tree := strings.CutSuffix(f, "/...")
			if name == below || tree && strings.HasPrefix(name, below+"/") {
				t.Errorf("%s has the package %s: `go list -deps %s` finds what imports it", program,
					name, program)
			}
		}
	}
}

// TestNoExpressionsAtStart checks that no package of the program supervisor compiles a regular
// expression before main: each takes three pages of memory and up to 0.1 ms in each start.
func TestNoExpressionsAtStart(t *testing.T) {
	files := 0
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") ||
			strings.HasSuffix(path, "_test.go") || strings.HasPrefix(path, "fixture") {
			return err
		}
		files++
		fset := token.NewFileSet()
		f, err := parser.ParseFile(fset, path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		ast.Inspect(f, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.FuncDecl, *ast.FuncLit:
				return false
			case *ast.SelectorExpr:
				if n.Sel.Name == "MustCompile" {
					t.Errorf("%s: the expression is compiled in each start: use sync.OnceValue",
						fset.Position(n.Pos()))
				}
			}
			return true
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if files < 200 {
		t.Errorf("found %d files, want at least 200", files)
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
