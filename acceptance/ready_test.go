package acceptance

import (
	"fmt"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestReadyByHTTP(t *testing.T) {
	port := freePort(t)
	s := start(t, fixture("web", "web 127.0.0.1:"+port,
		fmt.Sprintf("ready {\n    http = \"http://localhost:%s/healthz\"\n"+
			"    timeout = \"50s\"\n  }", port))+
		fixture("after", "sleep", `depends_on = ["web"]`))
	s.awaitLine("[web] listens")
	if n := s.count("child ready"); n > 0 {
		t.Error("the child is ready while it answers 503")
	}
	if err := unix.Kill(s.awaitEntry("child spawned", "child", "web").int("pid"),
		unix.SIGUSR1); err != nil {
		t.Fatal(err)
	}
	s.awaitEntry("child ready", "child", "web")
	s.awaitLine("[after] ready")
	s.signal(unix.SIGTERM)
	s.expectStop(0, "graceful")
}

func TestReadyByLine(t *testing.T) {
	s := start(t, fixture("c", "print 2000", "ready {\n    log = \"^line 1[0-9]{3}$\"\n"+
		"    timeout = \"50s\"\n  }")+
		fixture("never", "print 10", "ready {\n    log = \"^line 1[0-9]{3}$\"\n"+
			"    timeout = \"300ms\"\n  }\n  restart { on = \"never\" }\n"+
			"  on_failure = \"ignore\""))
	s.awaitEntry("child ready", "child", "c")
	s.awaitEntry("not ready in time", "child", "never", "reason",
		"no line matched ^line 1[0-9]{3}$")
	s.awaitEntry("child failed", "child", "never")
	s.signal(unix.SIGTERM)
	s.expectStop(1, "graceful")
}

func TestReadyByCommand(t *testing.T) {
	dir := t.TempDir()
	s := start(t, fixture("c", "sleep", fmt.Sprintf("env = { FLAG = %q }\n  ready {\n"+
		"    exec = [\"/bin/sh\", \"-c\", "+
		"\"test -e $FLAG || { touch $FLAG; echo not yet; exit 1; }\"]\n"+
		"    timeout = \"50s\"\n  }", dir+"/flag")))
	s.awaitEntry("child ready", "child", "c")
	s.signal(unix.SIGTERM)
	s.expectStop(0, "graceful").expect(t, "spawned", 1, "orphans", 0)
}

// TestStopKillsHangingReadyCommand checks that a stop kills a ready command that hangs, and
// its descendants.
func TestStopKillsHangingReadyCommand(t *testing.T) {
	s := start(t, fixture("c", "sleep", "ready {\n"+
		"    exec = [\"/bin/sh\", \"-c\", \"sleep 1000 & kill -USR1 $PPID; wait\"]\n"+
		"    timeout = \"50s\"\n  }"))
	s.awaitEntry("signal received", "signal", "SIGUSR1")
	s.signal(unix.SIGTERM)
	e := s.expectStop(0, "graceful")
	if e.int("elapsed_ms") > 5000 || e.int("spawned") != 1 {
		t.Errorf("got %v, want spawned=1 within 5000 ms", e)
	}
}

// TestCheckRestarts checks that a failed check restarts its child, and that a check that hangs
// fails by its timeout.
func TestCheckRestarts(t *testing.T) {
	for mode, want := range map[string]string{"": "the answer is 503 Service Unavailable",
		" hang": "no answer in time"} {
		t.Run("mode"+mode, func(t *testing.T) {
			port := freePort(t)
			s := start(t, fixture("web", "web 127.0.0.1:"+port+mode, fmt.Sprintf(`ready {
    tcp = "127.0.0.1:%s"
    timeout = "50s"
  }
  check "alive" {
    http = "http://127.0.0.1:%s/"
    interval = "20ms"
    timeout = "200ms"
    grace = "0s"
    limit = 2
  }
  restart {
    delay = "1ms"
    attempts = 1000
  }`, port, port)))
			first := s.awaitEntry("check failed", "child", "web", "check", "alive")
			if reason, _ := first["reason"].(string); !strings.Contains(reason, want) {
				t.Errorf("got the reason %q, want %q", reason, want)
			}
			if e := s.awaitEntry("child unhealthy", "pid",
				first.int("pid")); !strings.HasPrefix(e["reason"].(string),
				`check "alive" failed 2 times: `) {
				t.Errorf("got %v, want the failed check as the reason", e)
			}
			if e := s.awaitEntry("child restarting"); !strings.HasPrefix(e["reason"].(string),
				`check "alive" failed 2 times: `) {
				t.Errorf("got %v, want the failed check as the reason", e)
			}
			_, i := s.awaitEntryFrom(0, "child restarting")
			s.awaitEntryFrom(i, "child ready", "child", "web")
			s.signal(unix.SIGTERM)
			s.expectStop(0, "graceful").expect(t, "killed", 0)
		})
	}
}

// TestStopKillsHangingCheck checks that a command of a check that hangs does not delay the
// stop.
func TestStopKillsHangingCheck(t *testing.T) {
	s := start(t, fixture("c", "sleep", `check "alive" {
    exec = ["/bin/sh", "-c", "sleep 1000 & kill -USR1 $PPID; wait"]
    grace = "0s"
    timeout = "50s"
  }`))
	s.awaitLine("[c] ready")
	s.awaitEntry("signal received", "signal", "SIGUSR1")
	s.signal(unix.SIGTERM)
	if e := s.expectStop(0, "graceful"); e.int("elapsed_ms") > 5000 || e.int("spawned") != 1 {
		t.Errorf("got %v, want spawned=1 within 5000 ms", e)
	}
}

// notifyingChild returns a child that sends its notification when it gets SIGUSR1.
func notifyingChild(name, mode, more string) string {
	return fixture(name, strings.TrimSpace("notify "+mode),
		"ready {\n    notify = true\n    timeout = \"50s\"\n  "+more+"}\n"+
			"  kill_timeout = \"500ms\"\n  restart {\n    delay = \"1ms\"\n  }")
}

func TestNotify(t *testing.T) {
	s := start(t, notifyingChild("c", "", "")+fixture("after", "sleep", `depends_on = ["c"]`))
	s.awaitLine("[c] socket ")
	if n := s.count("child ready"); n > 0 {
		t.Error("the child is ready before it sent anything")
	}
	if err := unix.Kill(s.awaitEntry("child spawned", "child", "c").int("pid"),
		unix.SIGUSR1); err != nil {
		t.Fatal(err)
	}
	s.awaitEntry("child ready", "child", "c")
	s.awaitEntry("child notified", "child", "c", "what", "status", "detail", "serves  [31mwell")
	s.awaitEntry("child notified", "child", "c", "what", "main process")
	s.awaitLine("[after] ready")
	s.signal(unix.SIGTERM)
	s.expectStop(0, "graceful")
}

func TestNotifyByADescendant(t *testing.T) {
	s := start(t, notifyingChild("c", "child", ""))
	s.awaitLine("[c] socket ")
	if err := unix.Kill(s.awaitEntry("child spawned").int("pid"), unix.SIGUSR1); err != nil {
		t.Fatal(err)
	}
	s.awaitEntry("child ready", "child", "c")
	s.signal(unix.SIGTERM)
	s.expectStop(0, "graceful")
}

// TestNotifyExtendsTheStop checks that EXTEND_TIMEOUT_USEC extends kill_timeout.
func TestNotifyExtendsTheStop(t *testing.T) {
	s := start(t, notifyingChild("c", "slow", ""))
	s.awaitLine("[c] socket ")
	if err := unix.Kill(s.awaitEntry("child spawned").int("pid"), unix.SIGUSR1); err != nil {
		t.Fatal(err)
	}
	s.awaitEntry("child ready", "child", "c")
	s.signal(unix.SIGTERM)
	if e := s.expectStop(0, "graceful"); e.int("killed") != 0 || e.int("elapsed_ms") < 700 {
		t.Errorf("got %v, want killed=0 and elapsed_ms of at least 700", e)
	}
}

func TestWatchdog(t *testing.T) {
	s := start(t, notifyingChild("c", "watchdog", "  watchdog = \"300ms\"\n  "))
	s.awaitLine("[c] socket ")
	if err := unix.Kill(s.awaitEntry("child spawned").int("pid"), unix.SIGUSR1); err != nil {
		t.Fatal(err)
	}
	s.awaitEntry("child unhealthy", "child", "c", "reason", "no WATCHDOG=1 came within 300ms")
	_, i := s.awaitEntryFrom(0, "child restarting", "reason", "no WATCHDOG=1 came within 300ms")
	s.awaitEntryFrom(i, "child spawned", "child", "c")
	s.signal(unix.SIGTERM)
	s.expectStop(0, "graceful")
}
