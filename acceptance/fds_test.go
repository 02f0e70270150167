package acceptance

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"tp0/supervisor/api"
	"tp0/supervisor/fixture/needs"
)

// TestFDs shows the descriptors of a process with sockets, of one with thousands of them, and
// of none.
func TestFDs(t *testing.T) {
	s := start(t, fixture("web", "leaky", "")+fixture("many", "many-files 3000", "")+
		fixture("gone", "exit 0", ""))
	s.awaitEntry("child completed", "child", "gone")
	s.awaitLine("[web] ready")
	s.awaitLine("[many] ready")
	_, out, _ := s.ctl("fds", "--output", "json", "web", "many")
	var found api.FDs
	if err := json.Unmarshal([]byte(out), &found); err != nil || len(found.Instances) != 2 {
		t.Fatalf("got %v, %d instances in %.2000s", err, len(found.Instances), out)
	}
	web := found.Instances[0].Processes[0]
	listens := func(f api.OpenFD) bool {
		return regexp.MustCompile(`^tcp 127\.0\.0\.1:\d+ listen$`).MatchString(f.Target)
	}
	connected := func(f api.OpenFD) bool {
		return strings.Contains(f.Target, " -> ") && f.State == "established"
	}
	if !slices.ContainsFunc(web.FDs, listens) || !slices.ContainsFunc(web.FDs, connected) {
		t.Errorf("got %+v, want a listener and a connection", web.FDs)
	}
	many := found.Instances[1].Processes[0]
	if many.Open < 3003 || len(many.FDs) != many.Open || many.Kinds["file"] < 3001 ||
		many.Common[0].Target != "/dev/null" {
		t.Errorf("got %d open, %d listed, kinds %v, common %v", many.Open, len(many.FDs),
			many.Kinds, many.Common)
	}
	s.expectCtl("fds web", 0, "tcp 127.0.0.1:", "")
	s.expectCtl("fds many", 0, "more descriptors are not shown: use --all.", "")
	s.expectCtl("fds gone", 0, "gone has no process.", "")
	s.expectCtl("fds nobody", 5, "", "no child or instance")
	s.expectCtl("fds", 2, "", "fds needs the name of a child")
	s.signal(unix.SIGTERM)
	s.exitCode()
}

// TestWatchFDs finds a planted leak, and a process near its limit. A child that is not watched has
// no warning.
func TestWatchFDs(t *testing.T) {
	t.Parallel()
	const watch = "  watch_fds = \"1s\"\n"
	s := start(t, fixture("leak", "leak 200ms", watch)+fixture("quiet", "leak 200ms", "")+
		fixture("near", "many-files 100", watch+"  rlimits {\n    nofile = 120\n  }\n")+
		fixture("steady", "many-files 100", watch))
	near := s.awaitEntry("fd limit near", "child", "near", "limit", 120, "@level", "warn")
	if targets := fmt.Sprint(near["targets"]); !strings.Contains(targets, "100 file /dev/null") {
		t.Errorf("got the targets %s", targets)
	}
	e := s.awaitEntry("fd leak suspected", "child", "leak", "@level", "warn")
	grown, targets := fmt.Sprint(e["grown"]), fmt.Sprint(e["targets"])
	if !regexp.MustCompile(`^\[file from \d+ to \d+ in \d\d counts\]$`).MatchString(grown) ||
		!strings.Contains(targets, " file /dev/null") {
		t.Errorf("got grown %s, targets %s", grown, targets)
	}
	s.signal(unix.SIGTERM)
	s.exitCode()
	for _, message := range []string{"fd leak suspected", "fd limit near"} {
		if n := s.count(message); n != 1 {
			t.Errorf("%d entries %q, want 1", n, message)
		}
	}
}

// TestSocketNameWithNewline stops a child in a network namespace of its own. The name of its socket
// has a newline and makes a line of its own in /proc/PID/net/unix, with the inode of another socket
// of the child and too few columns.
func TestSocketNameWithNewline(t *testing.T) {
	needs.Check(t, "admin", "python")
	program := filepath.Join(t.TempDir(), "name.py")
	const text = `
import os, signal, socket
held, named = socket.socket(socket.AF_UNIX), socket.socket(socket.AF_UNIX)
named.bind("\0x\n0\r0 0 0 0 0 %d" % os.fstat(held.fileno()).st_ino)
signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
print("ready", flush=True)
signal.pause()
`
	if err := os.WriteFile(program, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	s := start(t, fmt.Sprintf("child \"a\" {\n  command = \"unshare\"\n  args = [\"-n\", "+
		"\"python3\", %q]\n}\n", program))
	s.awaitLine("[a] ready")
	s.signal(unix.SIGTERM)
	s.expectStop(0, "graceful")
	s.awaitEntry("child reaped", "child", "a", "code", 0, "fds_left", 2)
}
