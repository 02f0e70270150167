package acceptance

import (
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// To trace a thread waits for a sibling that is in execve, and that one waits
// for those that are traced already. Nothing may come to stand by it.
func TestStopsInTheMiddleOfExec(t *testing.T) {
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
		s.wait("child spawned", "child", "storm8")
		s.signal(unix.SIGTERM)
		if e := s.ends(0, "graceful"); e.int("reaped") != 8 || e.int("orphans") != 0 {
			t.Errorf("%v", e)
		}
	}
}
