package acceptance

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	hclconfig "tp0/supervisor/config/hcl"
	"tp0/supervisor/fixture/needs"
)

// TestGracePeriods checks that each container engine grants more time than the deadline.
func TestGracePeriods(t *testing.T) {
	cfg, err := hclconfig.Load("../supervisor.hcl",
		hclconfig.Options{Environ: []string{"PATH=" + bin}})
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile("../compose.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Services map[string]struct {
			Grace string `yaml:"stop_grace_period"`
		}
	}
	if err := yaml.Unmarshal(b, &file); err != nil {
		t.Fatal(err)
	}
	if len(file.Services) != 3 {
		t.Errorf("got the services %v, want 3", file.Services)
	}
	for name, s := range file.Services {
		grace, err := time.ParseDuration(s.Grace)
		if err != nil || grace <= cfg.Shutdown.Deadline {
			t.Errorf("%s: stop_grace_period is %q, want more than the deadline %v (%v)", name,
				s.Grace,
				cfg.Shutdown.Deadline, err)
		}
	}
	if dockerStop := 10 * time.Second; cfg.Shutdown.Deadline >= dockerStop {
		t.Errorf("the deadline is %v, want less than the %v of docker stop", cfg.Shutdown.Deadline,
			dockerStop)
	}
}

// project is a copy of the files that compose needs, with an image that is already built.
type project struct {
	t   *testing.T
	dir string
}

func newProject(t *testing.T) *project {
	t.Helper()
	needs.Check(t, "compose")
	image := quickImage(t)
	p := &project{t: t, dir: t.TempDir()}
	if err := os.Chmod(p.dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, f := range []string{"compose.yaml", "supervisor.hcl"} {
		b, err := os.ReadFile("../" + f)
		if err != nil {
			t.Fatal(err)
		}
		text := strings.Replace(string(b), "image: supervisor\n  build: .\n", "image: "+image+"\n",
			1)
		if err := os.WriteFile(filepath.Join(p.dir, f), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"supervisor", "server", "client1"} {
		if exec.Command("docker", "container", "inspect", name).Run() == nil {
			t.Fatalf("the container %s exists: remove it with make docker-compose-down", name)
		}
	}
	t.Cleanup(func() { p.compose("down", "-t", "12") })
	return p
}

func (p *project) compose(args ...string) {
	p.t.Helper()
	name := []string{"docker", "compose"}
	if exec.Command("docker", "compose", "version").Run() != nil {
		name = []string{"docker-compose"}
	}
	c := exec.Command(name[0], append(name[1:],
		append([]string{"--profile", "exercise"}, args...)...)...)
	c.Dir = p.dir
	if out, err := c.CombinedOutput(); err != nil {
		p.t.Fatalf("%v: %v\n%s", c.Args, err, out)
	}
}

// follow reads the logs of the container that has the name.
func (p *project) follow(name string) *container {
	c := &container{t: p.t, id: name, logs: newLines()}
	r, w, err := os.Pipe()
	if err != nil {
		p.t.Fatal(err)
	}
	cmd := exec.Command("docker", "logs", "-f", name)
	cmd.Stdout, cmd.Stderr = w, w
	if err := cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	w.Close()
	done := make(chan struct{})
	go func() {
		c.logs.read(r)
		_ = cmd.Wait()
		r.Close()
		close(done)
	}()
	p.t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-done
		if p.t.Failed() {
			p.t.Logf("logs of %s:\n%.10000s", name, c.logs.text())
		}
	})
	return c
}

// expectGraceful waits for the end of a container and checks the exit code 0 and the last line
// of the log.
func (c *container) expectGraceful() {
	c.t.Helper()
	if code := docker(c.t, "wait", c.id); code != "0" {
		c.t.Errorf("%s: exit code %s, want 0", c.id, code)
	}
	c.awaitLine("supervisor: shutdown complete: ")
	_, last, _ := cutLast(c.logs.text(), " supervisor: ")
	if !strings.Contains(last, "verdict=graceful") ||
		!strings.Contains(last, "spawned=1 reaped=1") {
		c.t.Errorf("the last line of %s is %s", c.id, last)
	}
}

// cutLast cuts s around the last sep. Docker reads stdout and stderr separately, so the last
// line of both is not always the last line of the log.
func cutLast(s, sep string) (before, after string, found bool) {
	i := strings.LastIndex(s, sep)
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+len(sep):], true
}

// TestExercise stops the server and the client, each in a container of its own, in both
// orders.
func TestExercise(t *testing.T) {
	p := newProject(t)
	for _, order := range [][]string{{"client1", "server"}, {"server", "client1"}} {
		p.compose("up", "-d", "server", "client1")
		server, client := p.follow("server"), p.follow("client1")
		client.awaitLine("action: receive_message | result: success | client_id: 1 | " +
			"msg: [CLIENT 1] Message N°1")
		server.awaitLine("action: receive_message | result: success | ip: ")
		for _, name := range order {
			docker(t, "kill", "--signal=SIGTERM", name)
			for _, c := range []*container{server, client} {
				if c.id == name {
					c.expectGraceful()
				}
			}
		}
		p.compose("down", "-t", "12")
	}
	p.compose("up", "-d", "server", "client1")
	server, client := p.follow("server"), p.follow("client1")
	client.awaitLine("result: success | client_id: 1 | msg: [CLIENT 1] Message N°1")
	p.compose("stop", "-t", "12")
	server.expectGraceful()
	client.expectGraceful()
	p.compose("down", "-t", "12")
}

// TestComposeReload saves a new file by rename and reloads it with SIGHUP in a container.
func TestComposeReload(t *testing.T) {
	p := newProject(t)
	p.compose("up", "-d", "supervisor")
	c := p.follow("supervisor")
	c.awaitLine("result: success | client_id: 1 | msg: [CLIENT 1] Message N°1")
	path := filepath.Join(p.dir, "supervisor.hcl")
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path+"~", []byte(strings.Replace(string(b), "count      = 1",
		"count      = 2", 1)), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+"~", path); err != nil {
		t.Fatal(err)
	}
	docker(t, "kill", "--signal=HUP", "supervisor")
	c.awaitLine(`config reloaded: added=["client2"]`)
	c.awaitLine("result: success | client_id: 2 | msg: [CLIENT 2] Message N°1")
	p.compose("stop", "-t", "12")
	if code := docker(t, "wait", "supervisor"); code != "0" {
		t.Errorf("exit code %s, want 0", code)
	}
	c.awaitLine("shutdown complete: spawned=3 reaped=3 orphans=0 killed=0")
	p.compose("down", "-t", "12")
}
