package acceptance

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"tp0/supervisor/fixture/needs"
)

// pidsImage returns an image and the flags that mount pids.c at /pids/pids. The image itself
// can be on FUSE, where each spawn needs the start helper and more pids than the lowest limit
// has.
func pidsImage(t *testing.T) (image string, mount []string) {
	t.Helper()
	dir := t.TempDir()
	gcc(t, filepath.Join(dir, "pids"), "../supervisor/fixture/pids.c")
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return quickImage(t), []string{"-v", dir + ":/pids:ro"}
}

// TestOutOfPids runs a child that takes every pid of the container. The supervisor continues,
// logs the shortage, and its stop needs no pid.
func TestOutOfPids(t *testing.T) {
	image, mount := pidsImage(t)
	const config = `shutdown { deadline = "5s" }
child "good" {
  count   = 8
  command = "/pids/pids"
  check "alive" {
    exec     = ["/pids/pids", "ok"]
    grace    = "10ms"
    interval = "50ms"
    timeout  = "10s"
    limit    = 2
  }
}
child "bomb" {
  command    = "/pids/pids"
  args       = ["bomb"]
  depends_on = ["good"]
}
`
	for _, limit := range []int{64, 40, 24} {
		t.Run(fmt.Sprint(limit), func(t *testing.T) {
			for range 3 {
				c := runContainer(t, image, config,
					append(mount, "--pids-limit", fmt.Sprint(limit))...)
				c.awaitLine("[bomb] full")
				c.awaitEntry("probe not started", "resource", "processes", "probe", "alive")
				docker(t, "kill", "--signal=SIGTERM", c.id)
				code, complete := c.awaitExit()
				if code != 0 || complete["verdict"] != "graceful" {
					t.Fatalf("exit code %d: %v", code, complete)
				}
				if n := strings.Count(c.logs.text(), "bye"); n != 8 {
					t.Fatalf("%d children ended gracefully, want 8", n)
				}
				for _, harm := range []string{`"child unhealthy"`, `"child restarting"`} {
					if strings.Contains(c.logs.text(), harm) {
						t.Fatalf("got an entry %s, want none", harm)
					}
				}
			}
		})
	}
}

func (c *container) awaitEntry(message string, keys ...any) entry {
	c.t.Helper()
	var e entry
	_, _, err := c.logs.find(0, func(line string) bool {
		e = nil
		return json.Unmarshal([]byte(line), &e) == nil && e.matches(message, keys...)
	})
	if err != nil {
		c.t.Fatalf("no log entry %q %v: %v", message, keys, err)
	}
	return e
}

// TestSpawnWaitsForPids checks that a spawn without a free pid is repeated when there is one,
// with the start helper too, which needs several. No restart attempt is counted.
func TestSpawnWaitsForPids(t *testing.T) {
	needs.Check(t, "root") // to signal a process of a container
	image, mount := pidsImage(t)
	for name, attribute := range map[string]string{"itself": "", "start helper": `umask = "0027"`} {
		t.Run(name, func(t *testing.T) {
			c := runContainer(t, image, `child "bomb" {
  command    = "/pids/pids"
  args       = ["bomb"]
  on_failure = "ignore"
  restart {
    on = "never"
  }
  ready {
    log = "full"
  }
}
child "late" {
  command    = "/pids/pids"
  depends_on = ["bomb"]
  restart {
    on = "never"
  }
  `+attribute+`
}
`, append(mount, "--pids-limit", "40", "--user", "0:0")...)
			c.awaitEntry("spawn delayed", "child", "late", "resource", "processes")
			bomb := c.awaitEntry("child spawned", "child", "bomb").int("pid")
			// The signal comes from outside of the container, where pids are free.
			pid := hostPID(t, c.id, bomb)
			if err := unix.Kill(-pid, unix.SIGTERM); err != nil {
				t.Fatal(err)
			}
			c.awaitLine("[late] up")
			docker(t, "kill", "--signal=SIGTERM", c.id)
			if code, e := c.awaitExit(); code != 0 || e.int("spawned") != 2 {
				t.Errorf("exit code %d: %v", code, e)
			}
		})
	}
}

// hostPID returns the pid, on this machine, of a process that has the given pid in a
// container.
func hostPID(t *testing.T, container string, pid int) int {
	t.Helper()
	fields := strings.Split(docker(t, "top", container, "-eo", "pid,args"), "\n")
	for _, line := range fields {
		number, err := strconv.Atoi(strings.Fields(line)[0])
		if err != nil {
			continue
		}
		status, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", number))
		for line := range strings.Lines(string(status)) {
			if f := strings.Fields(line); f[0] == "NSpid:" && f[len(f)-1] == fmt.Sprint(pid) {
				return number
			}
		}
	}
	t.Fatalf("the container has no pid %d", pid)
	return 0
}

// TestPidsLimitTooLow checks that nothing starts below the lowest limit of pids, that the
// error names a limit that suffices, and that this limit does.
func TestPidsLimitTooLow(t *testing.T) {
	image, mount := pidsImage(t)
	const config = "child \"c\" {\n  command = \"/pids/pids\"\n  args = [\"ok\"]\n}\n"
	for name, command := range map[string][]string{"run": nil,
		"exec": {"exec", "--", "/pids/pids", "ok"}} {
		t.Run(name, func(t *testing.T) {
			start := func(limit int) (code int, c *container) {
				argv := strings.Join(append([]string{image}, command...), " ")
				c = runContainer(t, argv, config,
					append(mount, "--pids-limit", fmt.Sprint(limit))...)
				fmt.Sscan(docker(t, "wait", c.id), &code)
				return code, c
			}
			code, c := start(12)
			line, _, err := c.logs.find(0, func(line string) bool {
				return strings.Contains(line, "limit of processes is too low")
			})
			if err != nil || code != 1 || strings.Contains(c.logs.text(), "child spawned") {
				t.Fatalf("exit code %d: %v", code, err)
			}
			where := regexp.MustCompile(`/sys/fs/cgroup\S*/pids.max is 12\b`)
			number := regexp.MustCompile(`raise the limit to (\d+)`).FindStringSubmatch(line)
			if !where.MatchString(line) || number == nil {
				t.Fatalf("got the output %q", line)
			}
			n, _ := strconv.Atoi(number[1])
			if code, _ := start(n); code != 0 {
				t.Errorf("with the limit %d, which the error names: exit code %d, want 0", n, code)
			}
			if code, _ := start(n - 1); code != 1 {
				t.Errorf("with the limit %d, one too low: exit code %d, want 1", n-1, code)
			}
		})
	}
}
