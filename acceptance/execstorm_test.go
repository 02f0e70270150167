package acceptance

import (
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// TestStopDuringExecve traces all threads of programs that execute themselves without end.
// PTRACE_SEIZE waits for a sibling in execve(2), and execve(2) waits for siblings that are
// already traced; the two must not deadlock.
func TestStopDuringExecve(t *testing.T) {
	program := filepath.Join(t.TempDir(), "execstorm")
	gcc(t, program, "../supervisor/fixture/execstorm.c")
	for range 10 {
		s := start(t, `shutdown { deadline = "20s" }
child "storm" {
  count   = 8
  command = "`+program+`"
  kill_hold = "0s"
  logs { format = "raw" }
}`)
		s.awaitEntry("child spawned", "child", "storm8")
		s.signal(unix.SIGTERM)
		s.expectStop(0, "graceful").expect(t, "reaped", 8, "orphans", 0)
	}
}
