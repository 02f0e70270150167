package acceptance

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// daemonPIDs returns the pids, on this machine, of the processes that `fixture daemon` left in
// a container. They are executed without arguments.
func (c *container) daemonPIDs() (pids []string) {
	for line := range strings.SplitSeq(docker(c.t, "top", c.id, "-eo", "pid,args"), "\n") {
		if f := strings.Fields(line); len(f) == 2 && f[1] == "/bin/fixture" {
			pids = append(pids, f[0])
		}
	}
	return pids
}

// awaitEntryFrom returns the first matching log entry at or after line i, and the index of the
// line behind it.
func (c *container) awaitEntryFrom(i int, message string, keys ...any) (e entry, next int) {
	c.t.Helper()
	_, next, err := c.logs.find(i, func(line string) bool {
		e = nil
		return json.Unmarshal([]byte(line), &e) == nil && e.matches(message, keys...)
	})
	if err != nil {
		c.t.Fatalf("no log entry %q %v: %v", message, keys, err)
	}
	return e, next
}

// TestDockerExecIsNoDescendant checks that a process that docker exec leaves behind is no
// descendant of a child: PID 1 adopts it, a crash of a child does not end it, and the stop
// does.
func TestDockerExecIsNoDescendant(t *testing.T) {
	image := quickImage(t)
	const again = "restart {\n    attempts = 100\n    delay = \"10ms\"\n" +
		"    max_delay = \"10ms\"\n  }"
	c := runContainer(t, image, fixture("job", "sleep", again))
	c.awaitLine("[job] ready")
	docker(t, "exec", c.id, "/bin/fixture", "daemon", "sleep") // it ends, and its daemon lives on
	daemons := c.daemonPIDs()
	if len(daemons) != 1 {
		t.Fatalf("%d daemons, want 1", len(daemons))
	}
	at := 0
	for range 3 {
		var spawned entry
		spawned, at = c.awaitEntryFrom(at, "child spawned", "child", "job")
		if err := unix.Kill(hostPID(t, c.id, spawned.int("pid")), unix.SIGKILL); err != nil {
			t.Fatal(err)
		}
	}
	c.awaitEntryFrom(at, "child spawned", "child", "job")
	if now := c.daemonPIDs(); !slices.Equal(now, daemons) {
		t.Errorf("got the daemons %[2]v, want %[1]s", daemons[0], now)
	}
	docker(t, "stop", c.id)
	c.expectStop(0, "graceful").expect(t, "orphans", 1)
}
