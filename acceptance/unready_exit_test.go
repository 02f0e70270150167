package acceptance

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestExitBeforeReady checks that a process that exits with code 0 before its ready block succeeds
// has failed, for each kind of ready block: no dependent starts, and the exit code is 1.
func TestExitBeforeReady(t *testing.T) {
	for name, ready := range map[string]string{
		"notify": "notify = true",
		"tcp":    `tcp = "127.0.0.1:1"`,
		"http":   `http = "http://127.0.0.1:1/"`,
		"log":    `log = "never"`,
		"exec":   `exec = ["/bin/false"]`,
	} {
		t.Run(name, func(t *testing.T) {
			s := start(t, fmt.Sprintf(`child "a" {
  command = "/bin/true"
  ready {
    %s
    timeout = "50s"
  }
  restart { on = "never" }
}
`, ready)+fixture("b", "sleep", `depends_on = [{ child = "a", until = "ready" }]`))
			s.awaitEntry("child failed", "child", "a", "reason",
				"exited with code 0 before it was ready; its restart policy is never")
			s.expectStop(1, "graceful").expect(t, "spawned", 1)
		})
	}
}

// TestLineBeforeExit checks that a line that makes a process ready counts if the process exits
// right after it.
func TestLineBeforeExit(t *testing.T) {
	const n = 30
	done := filepath.Join(t.TempDir(), "done")
	s := start(t, fmt.Sprintf(`child "a" {
  count   = %d
  command = "/bin/sh"
  args    = ["-c", "seq 100000; echo serving"]
  ready {
    log     = "(a|b|c|d|e|f|g|h|i|j|k)*serving"
    timeout = "50s"
  }
  logs { stdout = "/dev/null" }
  restart { on = "never" }
}
child "b" {
  command    = "/bin/sh"
  args       = ["-c", "echo yes >%s"]
  oneshot    = true
  depends_on = [{ child = "a", until = "ready" }]
}
`, n, done))
	s.expectStop(0, "graceful")
	if got := s.count("child ready"); got != n {
		t.Errorf("%d of %d instances were ready", got, n)
	}
	if text, _ := os.ReadFile(done); strings.TrimSpace(string(text)) != "yes" {
		t.Error("the dependent did not run")
	}
}
