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

// pidsImage is an image, and the flags that mount pids.c at /pids/pids. The image
// itself can be on FUSE, where each child needs the start helper, and that needs
// more pids than the least limit has.
func pidsImage(t *testing.T) (image string, mount []string) {
	t.Helper()
	dir := t.TempDir()
	gcc(t, filepath.Join(dir, "pids"), "../supervisor/fixture/pids.c")
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return quickImage(t), []string{"-v", dir + ":/pids:ro"}
}

// A child that takes every pid of a container ends nobody: the supervisor goes
// on, says what is short, and the stop needs no pid.
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
				c.prints("[bomb] full")
				c.says("probe not started", "resource", "processes", "probe", "alive")
				docker(t, "kill", "--signal=SIGTERM", c.id)
				code, complete := c.wait()
				if code != 0 || complete["verdict"] != "graceful" {
					t.Fatalf("exit code %d: %v", code, complete)
				}
				if n := strings.Count(c.logs.text(), "bye"); n != 8 {
					t.Fatalf("%d of 8 ended gracefully", n)
				}
				for _, harm := range []string{`"child unhealthy"`, `"child restarting"`} {
					if strings.Contains(c.logs.text(), harm) {
						t.Fatalf("there is a line %s", harm)
					}
				}
			}
		})
	}
}

func (c *container) says(message string, keys ...any) entry {
	c.t.Helper()
	var e entry
	_, _, err := c.logs.from(0, func(line string) bool {
		e = nil
		return json.Unmarshal([]byte(line), &e) == nil && e.is(message, keys...)
	})
	if err != nil {
		c.t.Fatalf("no log entry %q %v: %v", message, keys, err)
	}
	return e
}

// A child that cannot be spawned for want of a pid is spawned when there is one
// again, by way of the start helper too, which needs several. No attempt is
// counted: there is none to be had.
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
			c.says("spawn delayed", "child", "late", "resource", "processes")
			bomb := c.says("child spawned", "child", "bomb").int("pid")
			// From outside, where there are pids: its own are ended as in a stop.
			pid := inside(t, c.id, bomb)
			if err := unix.Kill(-pid, unix.SIGTERM); err != nil {
				t.Fatal(err)
			}
			c.prints("[late] up")
			docker(t, "kill", "--signal=SIGTERM", c.id)
			if code, e := c.wait(); code != 0 || e.int("spawned") != 2 {
				t.Errorf("exit code %d: %v", code, e)
			}
		})
	}
}

// inside is our number of a process that has another one in a container.
func inside(t *testing.T, container string, pid int) int {
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
	t.Fatalf("pid %d of the container is not there", pid)
	return 0
}

// Below the least limit nothing starts, and the reason names the limit and one
// that would do. That one does.
func TestPidsLimitTooLow(t *testing.T) {
	image, mount := pidsImage(t)
	const config = "child \"c\" {\n  command = \"/pids/pids\"\n  args = [\"ok\"]\n}\n"
	for name, command := range map[string][]string{"run": nil, "exec": {"exec", "--", "/pids/pids", "ok"}} {
		t.Run(name, func(t *testing.T) {
			start := func(limit int) (code int, c *container) {
				argv := strings.Join(append([]string{image}, command...), " ")
				c = runContainer(t, argv, config,
					append(mount, "--pids-limit", fmt.Sprint(limit))...)
				fmt.Sscan(docker(t, "wait", c.id), &code)
				return code, c
			}
			code, c := start(12)
			line, _, err := c.logs.from(0, func(line string) bool {
				return strings.Contains(line, "limit of processes is too low")
			})
			if err != nil || code != 1 || strings.Contains(c.logs.text(), "child spawned") {
				t.Fatalf("exit code %d: %v", code, err)
			}
			where := regexp.MustCompile(`/sys/fs/cgroup\S*/pids.max is 12\b`)
			number := regexp.MustCompile(`raise the limit to (\d+)`).FindStringSubmatch(line)
			if !where.MatchString(line) || number == nil {
				t.Fatalf("it says %q", line)
			}
			n, _ := strconv.Atoi(number[1])
			if code, _ := start(n); code != 0 {
				t.Errorf("with a limit of %d, as told, the exit code is %d", n, code)
			}
			if code, _ := start(n - 1); code != 1 {
				t.Errorf("with a limit of %d, below what is told, the exit code is %d", n-1, code)
			}
		})
	}
}
