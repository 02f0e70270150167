package main

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/printer"
	"go/token"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"
)

// raws has the raw system calls by file and first argument, each with the reason why it cannot
// block. Go's scheduler does not know of a raw call and cannot preempt its thread. The next garbage
// collection would wait for the thread with all other goroutines stopped, including the last guard.
var raws = map[string]string{
	"sigaction/sigaction.go SYS_RT_SIGACTION": "changes a table of the process",

	"process/spawn/syscall.go call":                  "changes the ids of its thread",
	"process/spawn/attributes.go SYS_RT_SIGPROCMASK": "changes a mask of the start verb's thread",
	"process/tracehelper/ids.go call":                "changes the ids of the helper's thread",
	"process/ptrace/calls.go SYS_WAITID":             "has WNOHANG",
	"process/ptrace/calls.go SYS_WAIT4":              "has WNOHANG",
	"process/ptrace/calls.go SYS_PTRACE":             "waits for no thread",
	"procfs/stat.go SYS_OPENAT":                      "/proc is in memory",
	"procfs/stat.go SYS_READ":                        "/proc is in memory",
	"procfs/stat.go SYS_CLOSE":                       "/proc is in memory",
}

// rawCalls are the functions that make a raw system call.
var rawCalls = map[string]bool{
	"RawSyscall": true, "RawSyscall6": true, "RawSyscallNoError": true, "RawVforkSyscall": true,
}

// TestRawCallsCannotBlock compares the raw system calls of the program with raws. PTRACE_SEIZE can
// wait for an execve, so it must not be raw.
func TestRawCallsCannotBlock(t *testing.T) {
	seen := map[string]bool{}
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") ||
			strings.HasSuffix(path, "_test.go") || strings.HasPrefix(path, "fixture") {
			return err
		}
		files := token.NewFileSet()
		f, err := parser.ParseFile(files, path, nil, 0)
		if err != nil {
			return err
		}
		seized := false
		called := map[ast.Expr]bool{}
		ast.Inspect(f, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.CallExpr:
				if s, ok := n.Fun.(*ast.SelectorExpr); ok && rawCalls[s.Sel.Name] {
					called[s] = true
					what := n.Args[0]
					if s, ok := what.(*ast.SelectorExpr); ok {
						what = s.Sel
					}
					var name bytes.Buffer
					_ = printer.Fprint(&name, files, what)
					use := fmt.Sprintf("%s %s", path, name.String())
					seen[use] = true
					if raws[use] == "" {
						t.Errorf("%s is raw: add to raws why it cannot block, or use unix.Syscall",
							use)
					}
				}
				if contains(n.Fun, "Request") && contains(n, "PTRACE_SEIZE", "PTRACE_ATTACH") {
					seized = true
				}
			case *ast.SelectorExpr:
				if rawCalls[n.Sel.Name] && !called[n] {
					t.Errorf("%s: %s must be called directly, or its use cannot be checked",
						files.Position(n.Pos()), n.Sel.Name)
				}
			}
			return true
		})
		if seized {
			t.Errorf("%s attaches with ptrace.Request, which can block: use ptrace.Attach",
				path)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for use := range raws {
		if !seen[use] {
			t.Errorf("%s is in raws but not in the program", use)
		}
	}
}

// contains reports whether n uses one of the names of a package.
func contains(n ast.Node, names ...string) (found bool) {
	ast.Inspect(n, func(n ast.Node) bool {
		if s, ok := n.(*ast.SelectorExpr); ok {
			for _, name := range names {
				found = found || s.Sel.Name == name
			}
		}
		return true
	})
	return found
}
