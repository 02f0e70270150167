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

// A server is a real program with a process tree: its main process is not the one
// that serves, or not the only one.
type realServer struct {
	name string
	// block returns the child block "web" of a server on a port, with a version that
	// makes another process of it, and more attributes.
	block func(t *testing.T, dir, port, version, more string) string
	// outlived: descendants outlive the main process when that gets SIGKILL.
	outlived bool
	// background: the main process ends by itself once the server runs.
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
  access_log off; client_body_temp_path %s/b; proxy_temp_path %s/p; fastcgi_temp_path %s/f; uwsgi_temp_path %s/u; scgi_temp_path %s/s;
  server { listen 127.0.0.1:%s; location / { return 200 %q; } }
}
`, daemon, dir, dir, dir, dir, dir, dir, port, version))
}

func realServers() []realServer {
	return []realServer{
		{name: "shell wrapper", outlived: true, block: func(t *testing.T, dir, port, version, more string) string {
			script := writeFile(t, dir, "server.py", httpServer)
			return webBlock("/bin/sh", fmt.Sprintf(`"-c", "python3 %s; true"`, script), port, version, more)
		}},
		{name: "nginx", outlived: true, block: func(t *testing.T, dir, port, version, more string) string {
			file := nginxConfig(t, dir, port, version, "off")
			return webBlock("/usr/sbin/nginx", fmt.Sprintf(`"-e", "stderr", "-p", %q, "-c", %q`, dir, file), port, version, more)
		}},
		{name: "gunicorn", block: func(t *testing.T, dir, port, version, more string) string {
			writeFile(t, dir, "app.py", `
import os
def app(environ, start):
    start("200 OK", [])
    return [(os.environ["V"] + " " + str(os.getpid())).encode()]
`)
			// One worker: a second one may be booting when the first one answers, and
			// has the handlers of the master then, so that it loses a SIGTERM.
			args := fmt.Sprintf(`"-w", "1", "--chdir", %q, "-b", "127.0.0.1:%s", "app:app"`, dir, port)
			return webBlock("/usr/bin/gunicorn", args, port, version, more)
		}},
		{name: "forking daemon", outlived: true, background: true, block: func(t *testing.T, dir, port, version, more string) string {
			file := nginxConfig(t, dir, port, version, "on")
			return webBlock("/usr/sbin/nginx", fmt.Sprintf(`"-e", "stderr", "-p", %q, "-c", %q`, dir, file), port, version, more)
		}},
	}
}

// serves waits until a server answers with the given version.
func serves(t *testing.T, port, version string) {
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

// endsBeforeSpawn asserts that no descendant of a process of child web was reaped
// after the next process was spawned.
func (s *super) endsBeforeSpawn(first int) {
	s.t.Helper()
	spawned := false
	for _, e := range s.log.entries(first, s.log.count()) {
		switch {
		case e.is("child spawned", "child", "web"):
			spawned = true
		case spawned && e.is("orphan reaped", "child", "web"): // it held the port of the next one
			s.t.Errorf("the next process was spawned before %v", e)
			return
		}
	}
	if !spawned {
		s.t.Error("there is no next process")
	}
}

// The end of a process is the end of its tree, at each kind of end and with real
// servers: the next process can bind the port, and what the child needs outlives
// the last descendant.
func TestRealProcessTrees(t *testing.T) {
	needs.Check(t, "nginx", "gunicorn", "python")
	for _, server := range realServers() {
		t.Run(server.name, func(t *testing.T) {
			t.Parallel()
			if server.background {
				testBackground(t, server)
				return
			}
			dir, port := t.TempDir(), free(t)
			if err := os.Chmod(dir, 0o755); err != nil { // for the workers of nginx
				t.Fatal(err)
			}
			// A check that fails once the file is there, and takes it away.
			sick := filepath.Join(dir, "sick")
			more := fmt.Sprintf("depends_on = [\"db\"]\nrestart { delay = \"10ms\" }\ncheck \"well\" {\n"+
				"exec = [\"/bin/sh\", \"-c\", \"! rm %s 2>/dev/null\"]\ninterval = \"50ms\"\ngrace = \"1ms\"\nlimit = 1\n}\n", sick)
			db := fixture("db", "sleep", "")
			file := func(version string) string { return db + server.block(t, dir, port, version, more) }
			s := start(t, file("v1"))
			s.prints("[db] ready")
			pid := s.wait("child spawned", "child", "web").int("pid")
			serves(t, port, "v1")

			at := s.log.count()
			send(t, pid, unix.SIGKILL) // a crash, as of the OOM killer
			s.waitFrom(at, "child spawned", "child", "web")
			serves(t, port, "v1")
			s.endsBeforeSpawn(at)
			if server.outlived {
				s.waitFrom(at, "descendants outlive main process", "child", "web", "@level", "warn")
			}

			at = s.log.count()
			s.reload(file("v2"))
			s.waitFrom(at, "config reloaded", "changed", "[web]")
			serves(t, port, "v2")
			s.endsBeforeSpawn(at)

			at = s.log.count()
			writeFile(t, dir, "sick", "")
			s.waitFrom(at, "child unhealthy", "child", "web")
			s.waitFrom(at, "child spawned", "child", "web")
			serves(t, port, "v2")
			s.endsBeforeSpawn(at)

			s.reload(db)
			_, at = s.waitFrom(at, "config reloaded", "removed", "[web]")
			if r, err := http.Get("http://127.0.0.1:" + port + "/"); err == nil {
				r.Body.Close()
				t.Error("a removed server still answers")
			}

			s.reload(file("v3"))
			s.waitFrom(at, "config reloaded", "added", "[web]")
			serves(t, port, "v3")
			s.signal(unix.SIGTERM)
			s.code()
			s.dependsEndsLast("web", "db")
			e := s.wait("shutdown complete")
			if e.int("spawned") != e.int("reaped") || e.int("killed") != 0 {
				t.Errorf("%v", e)
			}
		})
	}
}

// dependsEndsLast asserts that a dependency is told to end after the last process of
// what needs it is reaped.
func (s *super) dependsEndsLast(child, dependency string) {
	s.t.Helper()
	told := false
	for _, e := range s.log.entries(0, s.log.count()) {
		switch {
		case e.is("signal sent", "child", dependency):
			told = true
		case told && (e.is("orphan reaped", "child", child) || e.is("child reaped", "child", child)):
			s.t.Errorf("%s was told to end before %v", dependency, e)
		}
	}
	if !told {
		s.t.Errorf("%s was never told to end", dependency)
	}
}

// A main process that ends by itself while its server goes into the background is
// told of with what it left, which is ended; or left, if that is what is asked for.
func testBackground(t *testing.T, server realServer) {
	dir, port := t.TempDir(), free(t)
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	db := fixture("db", "sleep", "")
	s := start(t, db+server.block(t, dir, port, "v1", ""))
	e := s.wait("descendants outlive main process", "child", "web", "code", 0, "@level", "warn")
	if !strings.Contains(fmt.Sprint(e["descendants"]), "nginx (pid ") || !strings.Contains(fmt.Sprint(e["advice"]), "descendants") {
		t.Errorf("%v", e)
	}
	s.wait("child completed", "child", "web")
	if n := s.count("orphan reaped", "child", "web"); n == 0 {
		t.Error("it is completed, and none of its descendants was reaped")
	}
	at := s.log.count()
	s.reload(db + server.block(t, dir, port, "v2", "kill_scope = \"process\"\ndescendants = \"leave\""))
	s.waitFrom(at, "child completed", "child", "web")
	serves(t, port, "v2")
	s.signal(unix.SIGTERM)
	s.code()
	s.wait("signal sent", "orphan", "nginx", "signal", "SIGTERM")
	if e := s.wait("shutdown complete"); e.int("killed") != 0 || e.int("spawned") != e.int("reaped") {
		t.Errorf("%v", e)
	}
}

// A restart that leaves a helper behind costs no descriptor: the helper holds the
// pipes of the process before, and is ended before the next one.
func TestRestartsThatLeaveHelpersLeakNothing(t *testing.T) {
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
		_, at = s.waitFrom(at, "child spawned", "child", "job")
		if n%10 == 0 {
			fds, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", s.pid))
			if err != nil {
				t.Fatal(err)
			}
			counts[n] = len(fds)
		}
	}
	if counts[40] > counts[10]+8 { // those of a spawn or a probe that is under way
		t.Errorf("descriptors after so many runs: %v", counts)
	}
	s.signal(unix.SIGTERM)
	e := s.ends(0, "graceful")
	if e.int("orphans") < 39 {
		t.Errorf("%v", e)
	}
}

// su gives its command new resource limits, a session of its own, and so no mark: its
// descendants are found all the same.
func TestTreeThroughSu(t *testing.T) {
	t.Parallel()
	needs.Check(t, "root")
	if out, err := exec.Command("su", "-s", "/bin/sh", "nobody", "-c", "true").CombinedOutput(); err != nil {
		t.Fatalf("su does not work here: %v: %s", err, out)
	}
	const script = `setsid sleep 1000 & echo ready; sleep 1000`
	s := start(t, fmt.Sprintf("child \"svc\" {\n  command = \"su\"\n  args = [\"-s\", \"/bin/sh\", \"nobody\", \"-c\", %q]\n"+
		"  restart { delay = \"10ms\" }\n}\n", script)+fixture("keep", "sleep", ""))
	s.prints("[svc] ready")
	s.prints("[keep] ready")
	// The output can be read before the log, so the first start is waited for, and what
	// follows is looked for behind it.
	first, at := s.waitFrom(0, "child spawned", "child", "svc")
	send(t, first.int("pid"), unix.SIGKILL)
	s.waitFrom(at, "child spawned", "child", "svc")
	n := 0 // the shell and both of its children
	for _, e := range s.log.entries(at, s.log.count()) {
		if e.is("orphan reaped", "child", "svc") {
			n++
		}
		if e.is("child spawned", "child", "svc") {
			break
		}
	}
	if n != 3 {
		t.Errorf("%d processes of the tree are reaped before the restart, want 3", n)
	}
	s.signal(unix.SIGTERM)
	s.code()
}
