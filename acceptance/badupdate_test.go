package acceptance

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// badUpdate is a version of four replicas that fails, and how it replaces the old one.
type badUpdate struct {
	child    string // without listen, ready and restart
	strategy string
	rollback bool
	timeout  string // of ready
	end      string // the message that ends the update
	reason   string // a part of its reason
}

// badUpdates returns five versions that fail. None of them ends while it has a connection: the
// connections that wait in the backlog belong to the socket of the supervisor.
func badUpdates(t *testing.T) []badUpdate {
	noProgram := filepath.Join(t.TempDir(), "no-program")
	if err := os.WriteFile(noProgram, []byte("\x7fELF\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	block := func(name, script string) string {
		return strings.TrimSuffix(shell(name, script, ""), "}\n")
	}
	answers := python(t, "server", `
import select, socket
print("inherited: true")
listener, answered = socket.socket(fileno=3), 0
while answered < 20:
    select.select([listener], [], [])
    try: conn, _ = listener.accept()
    except BlockingIOError: continue # another replica was faster
    answered += 1
    with conn, conn.makefile("rwb") as f:
        for line in f:
            f.write(line)
            f.flush()
os._exit(7)
`, "")
	return []badUpdate{
		{block("server", "echo inherited: true; sleep 0.5; exit 1"), "overlap", true, "5s",
			"config rejected", "after it was ready; its min_ready is 1m0s"},
		{block("server", "exec sleep 1000"), "stop-first", true, "300ms",
			"config rejected", "not ready within 300ms"},
		{fmt.Sprintf("child \"server\" {\n  command = %q\n", noProgram), "overlap", false, "5s",
			"reload halted", "it could not be spawned"},
		{block("server", "echo inherited: true; exit 1"), "stop-first", false, "5s",
			"reload halted", "exited with code 1"},
		{strings.TrimSuffix(answers, "}\n"), "overlap", false, "5s",
			"reload halted", "exited with code 7"},
	}
}

func (b badUpdate) config(address string) string {
	return fmt.Sprintf(`reload { rollback = %v }
%s
  count  = 4
  listen "echo" { tcp = %q }
  ready {
    log     = "inherited: true"
    timeout = %q
  }
  restart {
    strategy  = %q
    min_ready = "1m"
  }
}
`, b.rollback, b.child, address, b.timeout, b.strategy)
}

// attempt tries a bad update: it ends at the first instance, and the other ones are not touched.
func (s *supervisor) attempt(b badUpdate, address string) (next int) {
	s.t.Helper()
	from := s.log.count()
	s.reload(b.config(address))
	e, to := s.awaitEntryFrom(from, b.end)
	if text := fmt.Sprint(e["reason"], e["diagnostics"]); !strings.Contains(text, b.reason) {
		s.t.Errorf("got %v, want the reason %q", e, b.reason)
	}
	for _, e := range s.log.entries(from, to) {
		switch e["@message"] {
		case "child spawned", "child ready", "signal sent":
			if e["child"] != "server1" {
				s.t.Errorf("got %v, want no other instance than server1 replaced", e)
			}
		case "shutdown begun", "config reloaded":
			s.t.Errorf("got %v in a bad update", e)
		}
	}
	return to
}
