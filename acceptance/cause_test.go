package acceptance

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"tp0/supervisor/fixture/needs"
)

// TestOOMKillIsNamed runs a child that takes more memory than the container may have. The
// supervisor survives, and says what killed the child.
func TestOOMKillIsNamed(t *testing.T) {
	image := quickImage(t, map[string]string{
		"bin/supervisorctl": filepath.Join(bin, "supervisorctl"),
	})
	if docker(t, "info", "--format", "{{.MemoryLimit}}") != "true" {
		needs.Skip(t, "docker", "it cannot limit the memory of a container")
	}
	const config = `child "good" {
  command = "fixture"
  args    = ["sleep"]
}
child "eater" {
  command    = "fixture"
  args       = ["eat"]
  on_failure = "ignore"
  // The memory of the first eater is still being freed when the second one starts.
  oom_score_adj = 1000
  restart {
    attempts = 1
    delay    = "1ms"
  }
}
`
	const reason = "ended by SIGKILL; killed by the OOM killer (limit of the cgroup 64 MiB)"
	c := runContainer(t, image, config, "-m", "64m", "--memory-swap", "64m")
	c.awaitEntry("child ended unexpectedly", "child", "eater", "reason", reason)
	c.awaitEntry("child restarting", "child", "eater", "reason", reason)
	c.awaitEntry("child failed", "child", "eater", "reason", reason+
		"; it was restarted 1 time within 1m0s, the limit of its restart policy")
	const answer = "The kernel killed it because memory ran out: killed by the OOM killer"
	why := docker(t, "exec", c.id, "/bin/supervisor", "why", "-o", "json", "eater")
	if !strings.Contains(why, `"situation": "out_of_memory"`) || !strings.Contains(why, answer) {
		t.Errorf("got %s, want %s", why, answer)
	}
	docker(t, "kill", "--signal=SIGTERM", c.id)
	if code, complete := c.awaitExit(); code != 1 || complete["verdict"] != "graceful" {
		t.Errorf("exit code %d: %v", code, complete)
	}
}

// TestAddressInUseIsNamed starts servers whose address another process has. The reason names that
// process, whether the server says why it ends or not.
func TestAddressInUseIsNamed(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	foreign, own := l.Addr().String(), "127.0.0.1:"+freePort(t)
	ready := func(address string) string {
		return fmt.Sprintf("  ready {\n    tcp = %q\n  }\n", address)
	}
	const never = "  on_failure = \"ignore\"\n  restart {\n    on = \"never\"\n  }\n"
	says := func(name, address string) string {
		return fmt.Sprintf("child %q {\n  command = \"/bin/sh\"\n  args = [\"-c\", "+
			"\"echo 'bind %s: Address already in use' >&2; exit 1\"]\n"+
			"  depends_on = [\"web\"]\n%s}\n", name, address, never)
	}
	s := start(t, fixture("web", "web "+own, ready(own))+
		fixture("silent", "exit 1", ready(foreign)+never)+
		says("foreign", foreign)+says("own", own))
	self := fmt.Sprintf(` is in use by \S+ \(pid %d\)$`, os.Getpid())
	for child, want := range map[string]string{
		"silent":  "^exited with code 1 before it was ready; " + foreign + self,
		"foreign": "^exited with code 1; " + foreign + self,
		"own": "^exited with code 1; " + own +
			` is in use by fixture \(pid \d+\) of child web$`,
	} {
		e := s.awaitEntry("child ended unexpectedly", "child", child)
		if reason, _ := e["reason"].(string); !regexp.MustCompile(want).MatchString(reason) {
			t.Errorf("%s: got reason %q, want %s", child, reason, want)
		}
	}
	s.awaitEntry("child failed", "child", "own")
	s.signal(unix.SIGTERM)
	s.expectStop(1, "graceful")
}
