package acceptance

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"tp0/supervisor/fixture/needs"
)

// preloaded is a library that reports the user that it is loaded by.
const preloaded = `#include <stdio.h>
#include <unistd.h>
__attribute__((constructor)) static void loaded(void) {
	dprintf(1, "loaded by user %d\n", (int)getuid());
}
`

// TestPreloadedLibrary checks that a library which a child loads through its environment is not
// loaded by code of the supervisor: the start verb of a build with a dynamic linker runs as root
// before it changes to the user of the child.
func TestPreloadedLibrary(t *testing.T) {
	needs.Check(t, "root", "gcc")
	dir := t.TempDir()
	source, library := filepath.Join(dir, "l.c"), filepath.Join(dir, "l.so")
	if err := os.WriteFile(source, []byte(preloaded), 0o600); err != nil {
		t.Fatal(err)
	}
	gcc := exec.Command("gcc", "-shared", "-fPIC", "-o", library, source)
	if out, err := gcc.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, path := range []string{filepath.Dir(dir), dir, library} {
		if err := os.Chmod(path, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	s := prepare(t, fmt.Sprintf("child \"c\" {\n  command = \"/bin/sleep\"\n  args = [\"1000\"]\n"+
		"  user = 65533\n  env = { LD_PRELOAD = %q }\n}\n", library))
	s.cmd.Path = buildWithCgo(t, "pie")
	s.launch()
	s.awaitLine("[c] loaded by user 65533")
	s.signal(syscall.SIGTERM)
	s.expectStop(0, "graceful")
	if s.output.count() != 1 {
		t.Errorf("got the output\n%s\nwant that the library is loaded once, by the child",
			s.output.text())
	}
}
