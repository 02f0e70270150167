package acceptance

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"tp0/supervisor/fixture/needs"
)

// TestAmbientCapabilities checks that a child and a probe of another user have no capability of a
// supervisor that is not root and may change the user, as with AmbientCapabilities= of systemd.
func TestAmbientCapabilities(t *testing.T) {
	needs.Check(t, "root")
	const show = "grep -E '^Cap(Prm|Eff|Amb)' /proc/self/status"
	s := prepare(t, shell("c", show+"; echo shown; exec sleep 1000", "user = 65533\n"+
		`ready { exec = ["sh", "-c", "! `+show+` | grep [1-9a-f]$"] }`))
	for _, path := range []string{bin, filepath.Dir(s.config), s.config,
		filepath.Dir(filepath.Dir(s.config))} {
		if err := os.Chmod(path, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	s.cmd.Dir = "/"
	s.cmd.SysProcAttr = &syscall.SysProcAttr{
		Credential:  &syscall.Credential{Uid: 65532, Gid: 65532},
		AmbientCaps: []uintptr{unix.CAP_SETUID, unix.CAP_SETGID, unix.CAP_KILL},
	}
	s.launch()
	s.awaitLine("[c] shown")
	for line := range strings.Lines(s.output.text()) {
		if strings.Contains(line, "Cap") && !strings.HasSuffix(strings.TrimSpace(line), ":\t"+
			strings.Repeat("0", 16)) {
			t.Errorf("got %q, want no capability", line)
		}
	}
	s.awaitEntry("child ready", "child", "c")
	s.signal(unix.SIGTERM)
	s.expectStop(0, "graceful")
}
