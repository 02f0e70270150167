package fdledger

import (
	"debug/elf"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"tp0/supervisor/procfs"
)

// Runtimes detects the runtimes of programs and caches them. The zero value is ready to use, by
// any goroutine.
type Runtimes struct{ known sync.Map } // path → Runtime

// Of returns the runtime of the program that a process executes. It fails if the process has
// ended or we may not read its program. If the main thread has ended, it reads the program of
// another thread.
func (r *Runtimes) Of(pid int) (Runtime, error) {
	link := fmt.Sprintf("/proc/%d/exe", pid)
	path, err := os.Readlink(link)
	if errors.Is(err, fs.ErrNotExist) {
		link = fmt.Sprintf("/proc/%d/task/%d/exe", pid, procfs.LiveThread(pid))
		path, err = os.Readlink(link)
	}
	if err != nil {
		return Unknown, fmt.Errorf("cannot find the program of %d: %w", pid, err)
	}
	if known, ok := r.known.Load(path); ok {
		return known.(Runtime), nil
	}
	found := runtimeByName(path)
	if f, err := elf.Open(link); err == nil {
		if f.Section(".note.go.buildid") != nil || f.Section(".go.buildinfo") != nil {
			found = Go
		}
		f.Close()
	}
	r.known.Store(path, found)
	return found, nil
}

// runtimeByName returns the runtime of an interpreter by the name of its program: "python3.11",
// "java", "node". A program with another name is [Unknown], and all its descriptors count.
func runtimeByName(path string) Runtime {
	name := filepath.Base(strings.TrimSuffix(path, " (deleted)")) // the file was replaced
	version, python := strings.CutPrefix(name, "python")
	switch {
	case python && strings.Trim(version, "0123456789.") == "":
		return Python
	case name == "java":
		return Java
	case name == "node", name == "nodejs":
		return Node
	}
	return Unknown
}
