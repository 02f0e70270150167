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

// raws are the system calls of which Go's scheduler is not told, by file and
// first argument, and why none of them can block. A thread that blocks in such
// a call cannot be preempted: the next garbage collection waits for it with all
// other goroutines stopped, the last guard's too.
var raws = map[string]string{
	"process/spawn/syscall.go call":                  "changes the ids of a thread; in the start verb, which has one goroutine",
	"process/spawn/attributes.go SYS_RT_SIGACTION":   "a table of this process; in the start verb",
	"process/spawn/attributes.go SYS_RT_SIGPROCMASK": "a mask of this thread; in the start verb",
	"process/syscalls.go call":                       "setresuid, setresgid, setfsuid and setfsgid change the ids of a thread",
	"process/syscalls.go SYS_WAITID":                 "WNOHANG",
	"process/syscalls.go SYS_WAIT4":                  "WNOHANG",
	"process/syscalls.go SYS_PTRACE":                 "a request about a stopped thread, or PTRACE_INTERRUPT; PTRACE_SEIZE can wait for an execve and is not raw",
	"procfs/stat.go SYS_OPENAT":                      "opens a stat file of /proc, which is always there",
	"procfs/stat.go SYS_READ":                        "reads it: the kernel has all that is in it",
	"procfs/stat.go SYS_CLOSE":                       "closes it",
}

// rawCalls are the functions that make such a call.
var rawCalls = map[string]bool{
	"RawSyscall": true, "RawSyscall6": true, "RawSyscallNoError": true, "RawVforkSyscall": true,
}

// TestRawCallsCannotBlock holds the program against the table.
func TestRawCallsCannotBlock(t *testing.T) {
	seen := map[string]bool{}
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") || strings.HasPrefix(path, "fixture") {
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
						t.Errorf("%s is raw: say in the table why it cannot block, or use unix.Syscall", use)
					}
				}
				if f, ok := n.Fun.(*ast.Ident); ok && f.Name == "ptrace" && contains(n, "PTRACE_SEIZE", "PTRACE_ATTACH") {
					seized = true
				}
			case *ast.SelectorExpr:
				if rawCalls[n.Sel.Name] && !called[n] {
					t.Errorf("%s: %s is used otherwise than to call it", files.Position(n.Pos()), n.Sel.Name)
				}
			}
			return true
		})
		if seized {
			t.Errorf("%s traces by a raw call, which may wait: use ptraceSeize", path)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for use := range raws {
		if !seen[use] {
			t.Errorf("%s is in the table, and nowhere in the program", use)
		}
	}
}

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
