package acceptance

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// replicas returns a server with four instances that are replaced with an overlap. Another
// edition changes the processes, more does not.
func replicas(address string, edition int, more string) string {
	return fmt.Sprintf(`
child "server" {
  count   = 4
  command = "server"
  env     = { EDITION = "%d" }
  listen "echo" { tcp = %q }
  ready { log = "inherited: true" }
  restart {
    strategy  = "overlap"
    min_ready = "50ms"
  }
  %s
}
`, edition, address, more)
}

// repetitions returns the number in an environment variable, or usual if it is not set.
func repetitions(t *testing.T, variable string, usual int) int {
	t.Helper()
	text := os.Getenv(variable)
	if text == "" {
		return usual
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatalf("%s: %v", variable, err)
	}
	return n
}

// TestRollingUnderLoad replaces four replicas one after the other, 20 times, under full load. Five
// of the updates are bad. Other reloads change attributes that replace nothing. No request may be
// lost, and the fd ledger must balance.
func TestRollingUnderLoad(t *testing.T) {
	requests := repetitions(t, "SUPERVISOR_REQUESTS", 4000)
	const rounds, every = 20, 4 // a reload of another sort comes after every fourth
	address := "127.0.0.1:" + freePort(t)
	s := start(t, replicas(address, 0, ""))
	for i := range 4 {
		s.awaitEntry("child ready", "child", fmt.Sprint("server", i+1))
	}
	asked, stop := load(t, address)
	defer stop()
	bad, reloads := badUpdates(t), 0
	for round := 1; round <= rounds; round++ {
		for asked() < requests*round/rounds && !t.Failed() {
			if err := ask("tcp", address, "and me"); err != nil {
				t.Errorf("a request is lost: %v", err)
			}
		}
		if round%every == 2 {
			s.attempt(bad[round/every], address)
			continue
		}
		s.updateAll(replicas(address, round, ""))
		if round%every == 0 {
			next := s.log.count()
			s.reload(replicas(address, round, fmt.Sprintf("kill_timeout = \"%ds\"", 1+round/every)))
			e, _ := s.awaitEntryFrom(next, "config reloaded")
			if fmt.Sprint(e["changed"]) != "[server1 server2 server3 server4]" {
				t.Fatalf("got %v, want changed=[server1 server2 server3 server4]", e)
			}
			reloads++
		}
	}
	stop()
	t.Logf("%d requests, %d rolling updates, %d of them bad, %d reloads", asked(), rounds, len(bad),
		reloads)
	s.signal(unix.SIGTERM)
	e, spawned := s.expectStop(0, "graceful"), s.count("child spawned")
	if e.int("spawned") != spawned || e.int("reaped") != spawned ||
		e.int("fds_opened") != e.int("fds_closed") || e.int("fds_left") != 0 {
		t.Errorf("got %[2]v, want %[1]d spawned and reaped, and a balanced fd ledger", spawned, e)
	}
	if n := s.count("fd closed", "owner", "supervisor", "target",
		"tcp "+address+" listen"); n != 1 {
		t.Errorf("the socket was closed %d times, want 1", n)
	}
}

// updateAll replaces four replicas by those of a good configuration.
func (s *supervisor) updateAll(config string) {
	s.t.Helper()
	from := s.log.count()
	s.reload(config)
	e, at := s.awaitEntryFrom(from, "config reloaded")
	if fmt.Sprint(e["changed"]) != "[server1 server2 server3 server4]" {
		s.t.Fatalf("got %v, want changed=[server1 server2 server3 server4]", e)
	}
	s.expectOneAtATime(from, at)
}

// expectOneAtATime checks the log of an update: each new process is ready before the old one
// gets its stop signal and before the next one is spawned.
func (s *supervisor) expectOneAtATime(from, to int) {
	s.t.Helper()
	phase := map[string]string{}
	for _, e := range s.log.entries(from, to) {
		name, _ := e["child"].(string)
		switch e["@message"] {
		case "child spawned":
			for other, p := range phase {
				if p == "spawned" {
					s.t.Errorf("%s was spawned before %s was ready", name, other)
				}
			}
			phase[name] = "spawned"
		case "child ready":
			phase[name] = "ready"
		case "signal sent":
			if phase[name] != "ready" {
				s.t.Errorf("%s got its stop signal before its new process was ready", name)
			}
		}
	}
	if len(phase) != 4 {
		s.t.Errorf("got %v, want 4 replaced instances", phase)
	}
}

// TestRollbackOfAReload checks that a reload whose new processes do not become ready is rolled
// back: instances that were not replaced are untouched, the others get their old
// configuration.
func TestRollbackOfAReload(t *testing.T) {
	t.Parallel()
	file := func(more, added string) string {
		return "reload { rollback = true }\n" + fixture("keep", "sleep", "") + python(t, "c", `
import os, signal, sys
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
print("serves" if os.environ.get("GOOD", "1") == "1" else "is lost")
rest()
`, "count = 2\nready {\n  log = \"serves\"\n  timeout = \"300ms\"\n}\n"+more) + added
	}
	s := start(t, file("", ""))
	for _, name := range []string{"keep", "c1", "c2"} {
		s.awaitEntry("child ready", "child", name)
	}
	for _, c := range []struct{ more, added, back string }{
		{"env = { GOOD = \"0\" }", fixture("new", "sleep", ""), "not ready within 300ms"},
		{"env = { GOOD = \"0\" }\nrestart { strategy = \"overlap\" }", "",
			"not ready within 300ms"},
		{"", python(t, "bad", "import sys\nsys.exit(7)", "ready { log = \"never\" }"),
			"exited with code 7 before it was ready"},
	} {
		from := s.log.count()
		s.reload(file(c.more, c.added))
		s.awaitEntryFrom(from, "config rolling back", "reason", c.back)
		_, to := s.awaitEntryFrom(from, "config rejected")
		if got := fmt.Sprint(s.runningInstances()); got != "[c1 c2 keep]" {
			t.Errorf("got the running instances %s", got)
		}
		for _, e := range s.log.entries(from, to) {
			if name := e["child"]; e["@message"] == "signal sent" &&
				(name == "keep" || name == "c2") {
				t.Errorf("got %v, want no signal to keep and c2", e)
			}
		}
		if out, err := exec.Command(filepath.Join(bin, "supervisor"), "health", "--ready",
			"--config", s.config).CombinedOutput(); err != nil {
			t.Errorf("health --ready: got %v, %s, want exit code 0", err, out)
		}
	}
	s.signal(unix.SIGTERM)
	s.expectStop(0, "graceful")
}

// TestHaltedUpdate checks that a version that does not serve halts its update: old instances
// continue, restart with their old configuration, and the next reload replaces them.
func TestHaltedUpdate(t *testing.T) {
	t.Parallel()
	file := func(end string) string {
		return fixture("keep", "sleep", "") + python(t, "c",
			"import signal\nsignal.signal(signal.SIGTERM, lambda *_: os._exit(0))\n"+end+"\n"+
				"print('serves')\nrest()",
			"count = 2\non_failure = \"ignore\"\nready { log = \"serves\" }\nrestart {\n"+
				"  strategy = \"overlap\"\n  attempts = 1\n  delay = \"1ms\"\n}")
	}
	s := start(t, file(""))
	for _, name := range []string{"keep", "c1", "c2"} {
		s.awaitEntry("child ready", "child", name)
	}
	for _, end := range []string{"os._exit(7)", "os._exit(0)"} {
		from := s.log.count()
		s.reload(file(end))
		s.awaitEntryFrom(from, "reload halted", "child", "c")
		out, err := exec.Command(filepath.Join(bin, "supervisor"), "health", "--ready", "--config",
			s.config).CombinedOutput()
		if err != nil || !strings.Contains(string(out), "is halted") { // the old ones serve
			t.Errorf("health --ready: got %v, %s, want a halted reload", err, out)
		}
		old, _ := s.awaitEntryFrom(0, "child ready", "child", "c2")
		if end == "os._exit(7)" {
			if err := unix.Kill(old.int("pid"), unix.SIGKILL); err != nil {
				t.Fatal(err)
			}
			s.awaitEntryFrom(from, "child ready", "child", "c2")
		}
		if got := fmt.Sprint(s.runningInstances()); got != "[c1 c2 keep]" {
			t.Errorf("got the running instances %s", got)
		}
	}
	from := s.log.count()
	s.reload(file("print('anew')"))
	s.awaitEntryFrom(from, "config reloaded")
	s.signal(unix.SIGTERM)
	s.expectStop(0, "graceful")
}
