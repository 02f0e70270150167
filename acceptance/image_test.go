package acceptance

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"tp0/supervisor/fixture/needs"
)

func docker(t *testing.T, args ...string) string {
	t.Helper()
	out, err := exec.Command("docker", args...).CombinedOutput()
	if err != nil {
		t.Fatalf("docker %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out))
}

// quickImage returns an image like that of the Dockerfile, made of the programs that are
// already built and the fixtures. more maps a path in the image to a file of this machine.
func quickImage(t *testing.T, more ...map[string]string) string {
	t.Helper()
	needs.Check(t, "docker")
	name := fmt.Sprintf("supervisor-test:%d", os.Getpid())
	var layer bytes.Buffer
	w := tar.NewWriter(&layer)
	add := func(to, from string, mode int64) {
		t.Helper()
		b, err := os.ReadFile(from)
		if err != nil {
			t.Fatal(err)
		}
		if err := w.WriteHeader(&tar.Header{Name: to, Mode: mode,
			Size: int64(len(b))}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(b); err != nil {
			t.Fatal(err)
		}
	}
	for _, p := range []string{"supervisor", "server", "client", "fixture", "truth"} {
		if p == "truth" && needs.Missing("gcc") != nil {
			continue // the tests that run it are skipped
		}
		add("bin/"+p, filepath.Join(bin, p), 0o755)
	}
	add("supervisor.hcl", "../supervisor.hcl", 0o644)
	for _, files := range more {
		for to, from := range files {
			add(to, from, 0o755)
		}
	}
	if err := w.WriteHeader(&tar.Header{Name: "tmp/", Typeflag: tar.TypeDir,
		Mode: 0o1777}); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	c := exec.Command("docker", "import", "--change", "ENV PATH=/bin", "--change",
		"USER 65532:65532", "--change", "WORKDIR /",
		"--change", `ENTRYPOINT ["/bin/supervisor"]`, "--change", `CMD ["run"]`, "-", name)
	c.Stdin = &layer
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("docker import: %v\n%s", err, out)
	}
	t.Cleanup(func() { docker(t, "rmi", "-f", name) })
	return name
}

// container is a container under test, with the supervisor as PID 1.
type container struct {
	t    *testing.T
	id   string
	logs *lines // both streams
}

// runContainer starts a container. image can have a command behind the name.
func runContainer(t *testing.T, image string, hcl string, flags ...string) *container {
	t.Helper()
	args := append([]string{"run", "-d", "--label", "supervisor-test"}, flags...)
	if hcl != "" {
		dir := t.TempDir()
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "supervisor.hcl"), []byte(withHeader(hcl)),
			0o644); err != nil {
			t.Fatal(err)
		}
		args = append(args, "-v", dir+":/config:ro", "-e",
			"SUPERVISOR_CONFIG=/config/supervisor.hcl")
	}
	c := &container{t: t, id: docker(t, append(args, strings.Fields(image)...)...),
		logs: newLines()}
	r, w := io.Pipe()
	follow := exec.Command("docker", "logs", "-f", c.id)
	follow.Stdout, follow.Stderr = w, w
	if err := follow.Start(); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		_ = follow.Wait()
		w.Close()
	}()
	go func() {
		c.logs.read(r)
		close(done)
	}()
	t.Cleanup(func() {
		docker(t, "rm", "-f", c.id)
		<-done
		if t.Failed() {
			t.Logf("logs of the container:\n%.20000s", c.logs.text())
		}
	})
	return c
}

func (c *container) awaitLine(text string) {
	c.t.Helper()
	if _, _, err := c.logs.find(0, func(line string) bool {
		return strings.Contains(line, text)
	}); err != nil {
		c.t.Fatalf("no line with %q: %v", text, err)
	}
}

// awaitExit waits for the end of the container and returns the exit code and the entry
// "shutdown complete".
func (c *container) awaitExit() (code int, complete entry) {
	c.t.Helper()
	fmt.Sscan(docker(c.t, "wait", c.id), &code)
	_, _, err := c.logs.find(0, func(line string) bool {
		complete = nil
		return json.Unmarshal([]byte(line), &complete) == nil &&
			complete.matches("shutdown complete")
	})
	if err != nil {
		c.t.Fatalf("no entry \"shutdown complete\": %v", err)
	}
	return code, complete
}

func (c *container) expectStop(code int, verdict string) entry {
	c.t.Helper()
	got, e := c.awaitExit()
	if got != code || e["verdict"] != verdict {
		c.t.Errorf("exit code %d and %v, want %d and %s", got, e["verdict"], code, verdict)
	}
	if e.int("spawned") != e.int("reaped") || e.int("fds_opened") != e.int("fds_closed") {
		c.t.Errorf("got %v, want spawned = reaped and fds_opened = fds_closed", e)
	}
	return e
}

// TestProofInContainers checks that the proof is exact in containers with few rights: tracing
// a child of the same uid needs none.
func TestProofInContainers(t *testing.T) {
	image := quickImage(t)
	for _, flags := range []string{
		"",
		"--read-only --tmpfs /tmp --cap-drop ALL --security-opt no-new-privileges",
		"--user 0:0",
		"--user 12345:54321 --cap-drop ALL",
		"--init",
		"--pids-limit 256 --ulimit nofile=128",
	} {
		t.Run(flags, func(t *testing.T) {
			c := runContainer(
				t, image, allFindings+fixture("leaky", "leaky", "")+fixture("good", "sleep", ""),
				strings.Fields(flags)...)
			c.awaitLine("[leaky] ready")
			c.awaitLine("[good] ready")
			began := time.Now()
			docker(t, "stop", "-t", "30", c.id)
			e := c.expectStop(0, "leaky")
			if e.int("fds_left") != 3 || time.Since(began) > 20*time.Second {
				t.Errorf("got %v, want fds_left=3 in less than 20 s", e)
			}
			if text := c.logs.text(); strings.Count(text, `"proof":"exact"`) < 2 ||
				strings.Contains(text, "proof unavailable") {
				t.Error("want an exact proof for both children")
			}
		})
	}
}

// TestProofWithoutPtrace checks that the proof is sampled where ptrace is forbidden, and that
// the log says so.
func TestProofWithoutPtrace(t *testing.T) {
	image := quickImage(t)
	profile := filepath.Join(t.TempDir(), "seccomp.json")
	rules := `{"defaultAction":"SCMP_ACT_ALLOW",
"syscalls":[{"names":["ptrace"],"action":"SCMP_ACT_ERRNO","errnoRet":1}]}`
	if err := os.WriteFile(profile, []byte(rules), 0o600); err != nil {
		t.Fatal(err)
	}
	c := runContainer(t, image, fixture("good", "sleep", ""), "--security-opt", "seccomp="+profile)
	c.awaitLine("[good] ready")
	docker(t, "stop", "-t", "30", c.id)
	if code, e := c.awaitExit(); code != 0 || e.int("spawned") != 1 {
		t.Errorf("exit code %d, %v", code, e)
	}
	c.awaitLine(`"proof":"sampled"`)
	c.awaitLine("proof unavailable")
}

func TestPID1StopsOrphans(t *testing.T) {
	image := quickImage(t)
	c := runContainer(t, image, `shutdown { deadline = "2s" }`+"\n"+fixture("d",
		"daemon sleep stay", "")+fixture("ignores", "ignore-term", `kill_timeout = "200ms"`))
	c.awaitLine("[d] daemon ")
	c.awaitLine("[ignores] ready")
	docker(t, "kill", "--signal=SIGTERM", c.id)
	c.expectStop(124, "forced").expect(t, "orphans", 1, "killed", 1)
}

// TestImage builds the image of the Dockerfile and runs its default command.
func TestImage(t *testing.T) {
	needs.Check(t, "docker")
	name := fmt.Sprintf("supervisor-test-build:%d", os.Getpid())
	build := exec.Command("docker", "build", "-t", name, "--build-arg", "VERSION=test", "..")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("docker build: %v\n%s", err, out)
	}
	t.Cleanup(func() { docker(t, "rmi", "-f", name) })
	var size int
	fmt.Sscan(docker(t, "image", "inspect", "-f", "{{.Size}}", name), &size)
	if size > 37_000_000 { // two programs, and those of the exercise
		t.Errorf("the image has %d bytes, want at most 37,000,000", size)
	}
	if v := docker(t, "run", "--rm", name, "version"); !strings.HasPrefix(v, "supervisor test ") {
		t.Errorf("got the version %q, want the prefix \"supervisor test \"", v)
	}
	c := runContainer(t, name, "", "--read-only", "--cap-drop", "ALL", "--security-opt",
		"no-new-privileges", "-e", "CLI_LOOP_PERIOD=1h")
	c.awaitLine("action: receive_message | result: success | client_id: 1")
	docker(t, "exec", c.id, "/bin/supervisor", "health")
	docker(t, "stop", c.id)
	if code := docker(t, "wait", c.id); code != "0" {
		t.Errorf("exit code %s, want 0", code)
	}
	c.awaitLine("supervisor: shutdown complete: spawned=2 reaped=2 orphans=0 killed=0")
	_, last, _ := cutLast(c.logs.text(), " supervisor: ")
	if !strings.Contains(last, "verdict=graceful") || !strings.Contains(last, "fds_left=0") {
		t.Errorf("got the last line %s", last)
	}
}
