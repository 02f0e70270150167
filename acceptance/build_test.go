package acceptance

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"tp0/supervisor/fixture/needs"
)

// TestBuildModes checks that a supervisor that a dynamic linker started still works after it has
// released the memory of its start: the linker's relocations are in no file.
func TestBuildModes(t *testing.T) {
	needs.Check(t, "gcc")
	for _, mode := range []string{"exe", "pie"} {
		t.Run(mode, func(t *testing.T) {
			s := prepareExec(t, "-v", "--", "sleep", "1000")
			s.cmd.Path = buildWithCgo(t, mode)
			s.launch()
			s.awaitLogLine("child ready")
			awaitReleasedMemory(t, s.cmd.Process.Pid)
			s.signal(syscall.SIGTERM)
			s.expectExit(128 + int(syscall.SIGTERM))
			s.awaitLogLine("shutdown complete")
		})
	}
}

// buildWithCgo builds a supervisor that a dynamic linker starts, and returns its path.
func buildWithCgo(t *testing.T, mode string) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), "supervisor")
	build := exec.Command("go", "build", "-buildvcs=false", "-buildmode="+mode, "-o", program,
		"tp0/supervisor")
	build.Env = append(os.Environ(), "CGO_ENABLED=1")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return program
}

// awaitReleasedMemory returns once a process has a third less memory of files than at its most.
func awaitReleasedMemory(t *testing.T, pid int) {
	t.Helper()
	most := 0
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); {
		status, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/status")
		if err != nil {
			t.Fatal(err)
		}
		_, rest, _ := strings.Cut(string(status), "RssFile:")
		fields := strings.Fields(rest)
		if len(fields) == 0 {
			t.Fatalf("got no RssFile in %s", status)
		}
		now, err := strconv.Atoi(fields[0])
		if err != nil {
			t.Fatal(err)
		}
		if most = max(most, now); 3*now < 2*most {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	t.Fatalf("got no release of memory, %d KiB of files at the most", most)
}
