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

// Runtimes finds out what programs are built on, and remembers it. The zero
// value is ready; any goroutine may use it.
type Runtimes struct{ known sync.Map } // path → Runtime

// Of says on which runtime the program of a process is built. It fails for a
// process that is gone, or whose program we may not read; a main thread that
// ended has no program, but the others do.
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

// runtimeByName knows an interpreter by the name of its program: "python3.11",
// "java", "node". One that goes by another name is [Unknown], and all that it
// holds counts.
func runtimeByName(path string) Runtime {
	name := filepath.Base(strings.TrimSuffix(path, " (deleted)")) // replaced as it ran
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
