package acceptance

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// daemons are the pids on this machine of what `fixture daemon` left in a container: it
// is executed without arguments.
func (c *container) daemons() (pids []string) {
	for line := range strings.SplitSeq(docker(c.t, "top", c.id, "-eo", "pid,args"), "\n") {
		if f := strings.Fields(line); len(f) == 2 && f[1] == "/bin/fixture" {
			pids = append(pids, f[0])
		}
	}
	return pids
}

// saysFrom returns the first log entry from line i on that fits, and the line behind it.
func (c *container) saysFrom(i int, message string, keys ...any) (e entry, next int) {
	c.t.Helper()
	_, next, err := c.logs.from(i, func(line string) bool {
		e = nil
		return json.Unmarshal([]byte(line), &e) == nil && e.is(message, keys...)
	})
	if err != nil {
		c.t.Fatalf("no log entry %q %v: %v", message, keys, err)
	}
	return e, next
}

// What docker exec leaves behind is nobody's descendant: pid 1 adopts it, and the crash
// of a child does not end it. The stop does.
func TestDockerExecIsNobodysDescendant(t *testing.T) {
	image := quickImage(t)
	const again = "restart {\n    attempts = 100\n    delay = \"10ms\"\n    max_delay = \"10ms\"\n  }"
	c := runContainer(t, image, fixture("job", "sleep", again))
	c.prints("[job] ready")
	docker(t, "exec", c.id, "/bin/fixture", "daemon", "sleep") // it ends, and its daemon lives on
	daemons := c.daemons()
	if len(daemons) != 1 {
		t.Fatalf("%d daemons, want 1", len(daemons))
	}
	at := 0
	for range 3 {
		var spawned entry
		spawned, at = c.saysFrom(at, "child spawned", "child", "job")
		if err := unix.Kill(inside(t, c.id, spawned.int("pid")), unix.SIGKILL); err != nil {
			t.Fatal(err)
		}
	}
	c.saysFrom(at, "child spawned", "child", "job")
	if now := c.daemons(); !slices.Equal(now, daemons) {
		t.Errorf("the daemon was pid %s, and now there is %v", daemons[0], now)
	}
	docker(t, "stop", c.id)
	if e := c.ends(0, "graceful"); e.int("orphans") != 1 {
		t.Errorf("%v", e)
	}
}
