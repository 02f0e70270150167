package acceptance

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"tp0/supervisor/fixture/needs"
)

// realServer is a program whose main process is not the only process that serves.
type realServer struct {
	name string
	// block returns the child block "web" of a server on a port. Another version changes the
	// process. more is appended to the block.
	block func(t *testing.T, dir, port, version, more string) string
	// leavesDescendants: descendants outlive the main process after SIGKILL.
	leavesDescendants bool
	// background: the main process exits once the server runs.
	background bool
}

const httpServer = `
import http.server, os, signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = (os.environ["V"] + " " + str(os.getpid())).encode()
        self.send_response(200 if self.path == "/" else 404)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *_): pass
http.server.HTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
`

func writeFile(t *testing.T, dir, name, text string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func webBlock(command, args, port, version, more string) string {
	return fmt.Sprintf(`child "web" {
  command = %q
  args    = [%s]
  env     = { V = %q, PORT = %q }
  %s
}
`, command, args, version, port, more)
}

func nginxConfig(t *testing.T, dir, port, version, daemon string) string {
	t.Helper()
	return writeFile(t, dir, "nginx-"+version+".conf", fmt.Sprintf(`
daemon %s; worker_processes 2; pid %s/nginx.pid; error_log stderr;
events { worker_connections 64; }
http {
  access_log off; client_body_temp_path %s/b; proxy_temp_path %s/p; fastcgi_temp_path %s/f;
  uwsgi_temp_path %s/u; scgi_temp_path %s/s;
  server { listen 127.0.0.1:%s; location / { return 200 %q; } }
}
`, daemon, dir, dir, dir, dir, dir, dir, port, version))
}

func realServers() []realServer {
	return []realServer{
		{name: "shell wrapper", leavesDescendants: true,
			block: func(t *testing.T, dir, port, version, more string) string {
				script := writeFile(t, dir, "server.py", httpServer)
				return webBlock("/bin/sh", fmt.Sprintf(`"-c", "python3 %s; true"`, script), port,
					version, more)
			}},
		{name: "nginx", leavesDescendants: true, block: func(t *testing.T, dir, port, version,
			more string) string {
			file := nginxConfig(t, dir, port, version, "off")
			return webBlock("/usr/sbin/nginx", fmt.Sprintf(`"-e", "stderr", "-p", %q, "-c", %q`,
				dir, file), port, version, more)
		}},
		{name: "gunicorn", block: func(t *testing.T, dir, port, version, more string) string {
			writeFile(t, dir, "app.py", `
import os
def app(environ, start):
    start("200 OK", [])
    return [(os.environ["V"] + " " + str(os.getpid())).encode()]
`)
			// With more workers one can still be booting when another answers. It has the handlers
			// of the master then and loses a SIGTERM.
			args := fmt.Sprintf(`"-w", "1", "--chdir", %q, "-b", "127.0.0.1:%s", "app:app"`, dir,
				port)
			return webBlock("/usr/bin/gunicorn", args, port, version, more)
		}},
		{name: "forking daemon", leavesDescendants: true, background: true,
			block: func(t *testing.T, dir, port, version, more string) string {
				file := nginxConfig(t, dir, port, version, "on")
				return webBlock("/usr/sbin/nginx", fmt.Sprintf(`"-e", "stderr", "-p", %q, "-c", %q`,
					dir, file), port, version, more)
			}},
	}
}

// awaitServer waits until the server on the port answers with the version.
func awaitServer(t *testing.T, port, version string) {
	t.Helper()
	client := http.Client{Timeout: time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	var last string
	for late := time.Now().Add(limit); time.Now().Before(late); time.Sleep(10 * time.Millisecond) {
		r, err := client.Get("http://127.0.0.1:" + port + "/")
		if err != nil {
			last = err.Error()
			continue
		}
		b, _ := io.ReadAll(r.Body)
		r.Body.Close()
		if last = string(b); strings.HasPrefix(last, version) {
			return
		}
	}
	t.Fatalf("port %s does not answer with %q: %s", port, version, last)
}

// expectReapedBeforeSpawn checks, from the log line first on, that every descendant of child
// web was reaped before its next process was spawned.
func (s *supervisor) expectReapedBeforeSpawn(first int) {
	s.t.Helper()
	spawned := false
	for _, e := range s.log.entries(first, s.log.count()) {
		switch {
		case e.matches("child spawned", "child", "web"):
			spawned = true
		// it held the port of the next one
		case spawned && e.matches("orphan reaped", "child", "web"):
			s.t.Errorf("the next process was spawned before %v", e)
			return
		}
	}
	if !spawned {
		s.t.Error("no next process was spawned")
	}
}

// TestRealProcessTrees checks with real servers that a process counts as ended when its whole
// tree has ended: the next process can bind the port, and the dependency outlives the last
// descendant. It covers a crash, a reload, a failed check, a removal and the final stop.
func TestRealProcessTrees(t *testing.T) {
	needs.Check(t, "nginx", "gunicorn", "python")
	for _, server := range realServers() {
		t.Run(server.name, func(t *testing.T) {
			t.Parallel()
			if server.background {
				checkBackground(t, server)
				return
			}
			dir, port := t.TempDir(), freePort(t)
			if err := os.Chmod(dir, 0o755); err != nil { // for the workers of nginx
				t.Fatal(err)
			}
			// The check fails once the file exists, and removes it.
			sick := filepath.Join(dir, "sick")
			more := fmt.Sprintf("depends_on = [\"db\"]\nrestart { delay = \"10ms\" }\n"+
				"check \"well\" {\n"+
				"exec = [\"/bin/sh\", \"-c\", \"! rm %s 2>/dev/null\"]\ninterval = \"50ms\"\n"+
				"grace = \"1ms\"\nlimit = 1\n}\n", sick)
			db := fixture("db", "sleep", "")
			file := func(version string) string {
				return db + server.block(t, dir, port, version, more)
			}
			s := start(t, file("v1"))
			s.awaitLine("[db] ready")
			awaitServer(t, port, "v1")
			at := s.crashWeb(port, "v1", server.leavesDescendants)

			s.reload(file("v2"))
			_, next := s.awaitEntryFrom(at, "config reloaded", "changed", "[web]")
			awaitServer(t, port, "v2")
			s.expectReapedBeforeSpawn(at)

			at = next
			writeFile(t, dir, "sick", "")
			s.awaitEntryFrom(at, "child unhealthy", "child", "web")
			s.awaitEntryFrom(at, "child spawned", "child", "web")
			awaitServer(t, port, "v2")
			s.expectReapedBeforeSpawn(at)

			s.reload(db)
			_, at = s.awaitEntryFrom(at, "config reloaded", "removed", "[web]")
			if r, err := http.Get("http://127.0.0.1:" + port + "/"); err == nil {
				r.Body.Close()
				t.Error("the removed server still answers")
			}

			s.reload(file("v3"))
			s.awaitEntryFrom(at, "config reloaded", "added", "[web]")
			awaitServer(t, port, "v3")
			s.signal(unix.SIGTERM)
			s.exitCode()
			s.expectDependencyStoppedLast("web", "db")
		})
	}
}

// crashWeb kills the main process of child web, as the OOM killer does, and waits for the
// restart. It returns the index of the log line behind the restart.
func (s *supervisor) crashWeb(port, version string, leavesDescendants bool) (next int) {
	s.t.Helper()
	first, at := s.awaitEntryFrom(0, "child spawned", "child", "web")
	signalPID(s.t, first.int("pid"), unix.SIGKILL)
	_, next = s.awaitEntryFrom(at, "child spawned", "child", "web")
	awaitServer(s.t, port, version)
	s.expectReapedBeforeSpawn(at)
	if leavesDescendants {
		s.awaitEntryFrom(at, "descendants outlive main process", "child", "web", "@level", "warn")
	}
	return next
}

// expectDependencyStoppedLast checks that the dependency gets its stop signal after the last
// process of child was reaped, and that no process was killed.
func (s *supervisor) expectDependencyStoppedLast(child, dependency string) {
	s.t.Helper()
	e := s.awaitEntry("shutdown complete")
	e.expect(s.t, "spawned", e["reaped"], "killed", 0)
	stopSent := false
	for _, e := range s.log.entries(0, s.log.count()) {
		switch {
		case e.matches("signal sent", "child", dependency):
			stopSent = true
		case stopSent && (e.matches("orphan reaped", "child", child) ||
			e.matches("child reaped", "child", child)):
			s.t.Errorf("%s got its stop signal before %v", dependency, e)
		}
	}
	if !stopSent {
		s.t.Errorf("%s got no stop signal", dependency)
	}
}

// checkBackground checks a main process that exits while its server runs in the background: a
// warning names the descendants, and they are stopped unless descendants is "leave".
func checkBackground(t *testing.T, server realServer) {
	dir, port := t.TempDir(), freePort(t)
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	db := fixture("db", "sleep", "")
	s := start(t, db+server.block(t, dir, port, "v1", ""))
	e := s.awaitEntry("descendants outlive main process", "child", "web", "code", 0, "@level",
		"warn")
	if !strings.Contains(fmt.Sprint(e["descendants"]), "nginx (pid ") ||
		!strings.Contains(fmt.Sprint(e["advice"]), "descendants") {
		t.Errorf("got %v, want nginx in descendants, and advice to set descendants", e)
	}
	_, at := s.awaitEntryFrom(0, "child completed", "child", "web")
	if n := s.count("orphan reaped", "child", "web"); n == 0 {
		t.Error("the child is completed, and none of its descendants was reaped")
	}
	s.reload(db + server.block(t, dir, port, "v2",
		"kill_scope = \"process\"\ndescendants = \"leave\""))
	s.awaitEntryFrom(at, "child completed", "child", "web")
	awaitServer(t, port, "v2")
	s.signal(unix.SIGTERM)
	s.exitCode()
	s.awaitEntry("signal sent", "orphan", "nginx", "signal", "SIGTERM")
	e = s.awaitEntry("shutdown complete")
	e.expect(t, "spawned", e["reaped"], "killed", 0)
}

// TestRestartsWithDescendantsLeakNoDescriptor checks that restarts that leave a descendant
// behind cost no descriptor: the descendant holds the pipes of the previous process and is
// stopped before the next spawn.
func TestRestartsWithDescendantsLeakNoDescriptor(t *testing.T) {
	t.Parallel()
	const job = `child "job" {
  command = "/bin/sh"
  args    = ["-c", "sleep 1000 & exit 0"]
  restart {
    on        = "always"
    attempts  = 100000
    delay     = "1ms"
    max_delay = "1ms"
  }
}
`
	s := start(t, job)
	counts := map[int]int{}
	for at, n := 0, 1; n <= 40; n++ {
		_, at = s.awaitEntryFrom(at, "child spawned", "child", "job")
		if n%10 == 0 {
			fds, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", s.pid))
			if err != nil {
				t.Fatal(err)
			}
			counts[n] = len(fds)
		}
	}
	if counts[40] > counts[10]+8 { // those of a spawn or a probe that is under way
		t.Errorf("%v descriptors after so many spawns, want at most 8 more after 40", counts)
	}
	s.signal(unix.SIGTERM)
	e := s.expectStop(0, "graceful")
	if e.int("orphans") < 39 {
		t.Errorf("got %v, want at least 39 orphans", e)
	}
}

// TestTreeThroughSu checks that descendants are found below su(1), which sets new resource
// limits and starts a session, so that the mark in RLIMIT_LOCKS is lost.
func TestTreeThroughSu(t *testing.T) {
	t.Parallel()
	needs.Check(t, "root", "tracer")
	if out, err := exec.Command("su", "-s", "/bin/sh", "nobody", "-c",
		"true").CombinedOutput(); err != nil {
		t.Fatalf("su does not work: %v: %s", err, out)
	}
	const script = `setsid sleep 1000 & echo ready; sleep 1000`
	s := start(t, fmt.Sprintf("child \"svc\" {\n  command = \"su\"\n"+
		"  args = [\"-s\", \"/bin/sh\", \"nobody\", \"-c\", %q]\n"+
		"  restart { delay = \"10ms\" }\n}\n", script)+fixture("keep", "sleep", ""))
	s.awaitLine("[svc] ready")
	s.awaitLine("[keep] ready")
	// The output can be read before the log. So wait for the first start here, and search the
	// restart behind it.
	first, at := s.awaitEntryFrom(0, "child spawned", "child", "svc")
	await(t, "both processes execute sleep", func() bool {
		return len(sleepProcesses(first.int("pid"))) == 2
	})
	signalPID(t, first.int("pid"), unix.SIGKILL)
	s.awaitEntryFrom(at, "child spawned", "child", "svc")
	n := 0 // the shell and both of its children
	for _, e := range s.log.entries(at, s.log.count()) {
		if e.matches("orphan reaped", "child", "svc") {
			n++
		}
		if e.matches("child spawned", "child", "svc") {
			break
		}
	}
	if n != 3 {
		t.Errorf("%d processes of the tree were reaped before the restart, want 3", n)
	}
	s.signal(unix.SIGTERM)
	s.exitCode()
}
