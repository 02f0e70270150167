package fdledger

import (
	"bytes"
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"tp0/supervisor/procdir"
	"tp0/supervisor/procfs"
)

// Runtimes detects the runtimes of programs and caches them. The zero value is ready to use, by
// any goroutine.
type Runtimes struct{ known sync.Map } // path → Runtime

// Of returns the runtime of the program that a process executes. It fails if the process has ended
// or the supervisor may not read its program. If the main thread has ended, it reads the program of
// another thread.
func (r *Runtimes) Of(pid int) (Runtime, error) {
	link := procdir.Of(pid) + "/exe"
	path, err := os.Readlink(link)
	if errors.Is(err, fs.ErrNotExist) {
		link = fmt.Sprintf("%s/task/%d/exe", procdir.Of(pid), procfs.LiveThread(pid))
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
		switch {
		case f.Section(".note.go.buildid") != nil, f.Section(".go.buildinfo") != nil:
			found = Go
		case found == Unknown && hasTokio(f):
			found = Tokio
		}
		f.Close()
	}
	r.known.Store(path, found)
	return found, nil
}

// maxRodata bounds the constants that hasTokio reads, in bytes. Reading them takes 1 ms for 4 MB.
const maxRodata = 16 << 20

// hasTokio reports whether the Rust library tokio is part of a program. The texts of its panics
// name its source files, and stay in a program without symbols:
// "…/tokio-1.24.2/src/runtime/io/driver.rs".
func hasTokio(f *elf.File) bool {
	section := f.Section(".rodata")
	if section == nil || section.Type == elf.SHT_NOBITS {
		return false
	}
	name := []byte("/tokio-1.")
	data := io.LimitReader(section.Open(), maxRodata)
	buffer := make([]byte, 64<<10)
	kept := 0 // bytes of the previous block, in which the name can begin
	for {
		n, err := io.ReadFull(data, buffer[kept:])
		read := buffer[:kept+n]
		if bytes.Contains(read, name) {
			return true
		}
		if err != nil {
			return false
		}
		kept = copy(buffer, read[len(read)-len(name)+1:])
	}
}

// interpreters maps the name of a program, without the digits and dots of a version at its end,
// to its runtime. Debian names programs like that: "python3.11", "ruby3.1", "php8.2".
var interpreters = map[string]Runtime{
	"python":          Python,
	"java":            Java,
	"node":            Node,
	"nodejs":          Node,
	"ruby":            Ruby,
	"php":             PHP,
	"bash":            Bash,
	"dash":            Dash,
	"busybox":         BusyBox,
	"beam.smp":        Erlang,
	"erl_child_setup": Erlang,
}

// runtimeByName returns the runtime of an interpreter by the path of its program. A program with
// another name is [Unknown], and all its descriptors count.
func runtimeByName(path string) Runtime {
	name := filepath.Base(strings.TrimSuffix(path, " (deleted)")) // the file was replaced
	return interpreters[strings.TrimRight(name, "0123456789.")]
}
