package acceptance

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// drainingServer listens on a port. On SIGTERM it keeps the port for a moment, as a server does
// that answers its last requests.
const drainingServer = `
import os, signal, socket, sys, time
s = socket.socket()
s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
s.bind(("127.0.0.1", int(sys.argv[1])))
s.listen()
def term(*_):
    time.sleep(0.3)
    os._exit(0)
signal.signal(signal.SIGTERM, term)
print("listens", flush=True)
while True:
    time.sleep(1000)
`

// drains returns a child that listens on a port, an HCL expression, and drains.
func drains(t *testing.T, name, port, more string) string {
	t.Helper()
	return fmt.Sprintf("child %q {\n  command = %q\n  args = [\"-ISEc\", %q, %s]\n%s\n}\n", name,
		needPython(t), drainingServer, port, more)
}

// readyOn returns a ready block with a port, an HCL expression.
func readyOn(port string) string {
	return fmt.Sprintf("ready {\n  tcp = \"127.0.0.1:${%s}\"\n}", port)
}

// TestHandOver has reloads after which a process needs the port of another one, which drains.
func TestHandOver(t *testing.T) {
	p := func() string { return `"` + freePort(t) + `"` }
	a, b, c := p(), p(), p()
	of := func(name, port string) string { return drains(t, name, port, readyOn(port)) }
	silent := func(name, port string) string { return drains(t, name, port, "") }
	ports := "[" + a + ", " + b + ", " + c + "][index - 1]"
	wrapped := func(name string) string {
		return shell(name, fmt.Sprintf("%s -ISEc '%s' %s & wait", needPython(t), drainingServer,
			strings.Trim(a, `"`)), readyOn(a))
	}
	for _, tt := range []struct {
		name, before, after string
		waits               string // "NEW OLD": NEW starts after OLD has ended
	}{
		{"a rename", of("api", a), of("web", a), "web api"},
		{"a rename without an address", silent("api", a), silent("web", a), "web api"},
		{"a wrapper", wrapped("api"), of("web", a), "web api"},
		{"a port that moves", of("a", a) + of("b", b), of("b", a) + of("c", b), "c b, b a, b b"},
		{"ports that are swapped", of("a", a) + of("b", b), of("a", b) + of("b", a), "a b, b a"},
		{"swapped without an address", silent("a", a) + silent("b", b),
			silent("a", b) + silent("b", a), "a b, b a"},
		{"a chain", of("a", a) + of("b", b) + of("c", c), of("a", b) + of("b", c), "a b, b c"},
		{"from one to many", of("api", a),
			drains(t, "api", ports, "count = 3\n"+readyOn(ports)), "api1 api"},
		{"an address that nothing declares", silent("api", a),
			drains(t, "web", a, "env = { EDITION = 2 }\n"+readyOn(a)), "web api"},
		{"a listen block", of("api", a), fixture("web", "sleep",
			"listen \"x\" {\n  tcp = \"127.0.0.1:${"+a+"}\"\n}"), "web api"},
		{"an overlap", of("a", a) + of("b", b),
			drains(t, "a", b, "restart { strategy = \"overlap\" }\n"+readyOn(b)), "a b"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			other := fixture("other", "sleep", "")
			s := start(t, other+tt.before)
			s.awaitEntry("all children ready")
			s.reload(other + tt.after)
			_, end := s.awaitEntryFrom(0, "config reloaded")
			s.expectHandOver(tt.waits, end)
			if n := s.count("child spawned", "child", "other"); n != 1 {
				t.Errorf("the child that did not change was spawned %d times", n)
			}
			s.signal(unix.SIGTERM)
			s.expectStop(0, "graceful")
		})
	}
}

// expectHandOver checks that each process which needs a port started after the end of the one that
// had it, and that none failed.
func (s *supervisor) expectHandOver(waits string, end int) {
	s.t.Helper()
	_, from := s.awaitEntryFrom(0, "signal received", "signal", "SIGHUP")
	for pair := range strings.SplitSeq(waits, ", ") {
		next, old, _ := strings.Cut(pair, " ")
		_, spawned := s.awaitEntryFrom(from, "child spawned", "child", next)
		_, reaped := s.awaitEntryFrom(from, "child reaped", "child", old)
		if spawned < reaped {
			s.t.Errorf("%s was spawned before %s was reaped", next, old)
		}
		for _, e := range s.log.entries(spawned, end) {
			if e["@message"] == "orphan reaped" && e["child"] == old {
				s.t.Errorf("%s was spawned before a descendant of %s was reaped", next, old)
			}
		}
	}
	if n := s.count("start waits for end"); n == 0 {
		s.t.Error("no line says who waits for whom")
	}
	for _, message := range []string{
		"child ended unexpectedly", "child restarting", "spawn failed",
	} {
		if n := s.count(message); n > 0 {
			s.t.Errorf("%q was logged %d times", message, n)
		}
	}
}

// TestHandOverRollback renames a child whose new process does not become ready: the old one is
// restored once the new one has ended.
func TestHandOverRollback(t *testing.T) {
	port := `"` + freePort(t) + `"`
	file := func(child string) string {
		return "reload { rollback = true }\n" + fixture("other", "sleep", "") + child
	}
	s := start(t, file(drains(t, "api", port, readyOn(port))))
	s.awaitEntry("all children ready")
	s.reload(file(drains(t, "web", port, "ready {\n  log = \"never\"\n  timeout = \"500ms\"\n}\n"+
		"check \"port\" {\n  tcp = \"127.0.0.1:${"+port+"}\"\n}")))
	_, at := s.awaitEntryFrom(0, "start waits for end", "child", "web", "for", "api")
	_, at = s.awaitEntryFrom(at, "child reaped", "child", "api")
	_, at = s.awaitEntryFrom(at, "child spawned", "child", "web")
	_, at = s.awaitEntryFrom(at, "config rolling back", "child", "web")
	_, at = s.awaitEntryFrom(at, "start waits for end", "child", "api", "for", "web")
	_, at = s.awaitEntryFrom(at, "child reaped", "child", "web")
	_, at = s.awaitEntryFrom(at, "child ready", "child", "api")
	s.awaitEntryFrom(at, "config rejected")
	if s.count("child spawned", "child", "other") != 1 || s.count("child ended unexpectedly") > 0 {
		t.Error("a child was restarted, or ended unexpectedly")
	}
	s.signal(unix.SIGTERM)
	s.expectStop(0, "graceful")
}

// TestHandOverStopped stops the supervisor in the middle of a hand-over: nothing starts any more.
func TestHandOverStopped(t *testing.T) {
	port := `"` + freePort(t) + `"`
	s := start(t, drains(t, "api", port, readyOn(port)))
	s.awaitEntry("all children ready")
	s.reload(drains(t, "web", port, readyOn(port)))
	s.awaitEntry("start waits for end")
	s.signal(unix.SIGTERM)
	if e := s.expectStop(0, "graceful"); e.int("spawned") != 1 {
		t.Errorf("got %v, want spawned=1", e)
	}
}

// TestPlanOfHandOvers checks what plan says of addresses that are handed over, and of one that a
// process keeps.
func TestPlanOfHandOvers(t *testing.T) {
	dir := t.TempDir()
	of := func(name, port, more string) string {
		return fmt.Sprintf("child %q {\n  command = \"server\"\n  args = [%q]\n  ready {\n"+
			"    tcp = \"127.0.0.1:%[2]s\"\n  }\n  %s\n}\n", name, port, more)
	}
	const overlap = `restart { strategy = "overlap" }`
	keep := of("keep", "7504", "")
	old := writeFile(t, dir, "old.hcl", keep+of("a", "7501", overlap)+of("b", "7502", "")+
		of("c", "7503", ""))
	next := writeFile(t, dir, "next.hcl", keep+of("a", "7502", overlap)+of("b", "7501", "")+
		of("d", "7503", "")+of("e", "7504", ""))
	c := exec.Command(filepath.Join(bin, "supervisor"), "plan", "--config", next, "--from", old)
	c.Dir, c.Env = dir, append(c.Environ(), "PATH="+bin)
	out, err := c.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	golden(t, filepath.Join("testdata", "plan_handover.txt"), string(out))
}
