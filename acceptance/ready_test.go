package acceptance

import (
	"fmt"
	"net"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestReadyByHTTP(t *testing.T) {
	port := free(t)
	s := start(t, fixture("web", "web 127.0.0.1:"+port, fmt.Sprintf("ready {\n    http = \"http://localhost:%s/healthz\"\n    timeout = \"50s\"\n  }", port))+
		fixture("after", "sleep", `depends_on = ["web"]`))
	s.prints("[web] listens")
	if n := s.count("child ready"); n > 0 {
		t.Error("it is ready while it answers 503")
	}
	if err := unix.Kill(s.wait("child spawned", "child", "web").int("pid"), unix.SIGUSR1); err != nil {
		t.Fatal(err)
	}
	s.wait("child ready", "child", "web")
	s.prints("[after] ready")
	s.signal(unix.SIGTERM)
	s.ends(0, "graceful")
}

func TestReadyByLine(t *testing.T) {
	s := start(t, fixture("c", "print 2000", "ready {\n    log = \"^line 1[0-9]{3}$\"\n    timeout = \"50s\"\n  }")+
		fixture("never", "print 10", "ready {\n    log = \"^line 1[0-9]{3}$\"\n    timeout = \"300ms\"\n  }\n  restart { on = \"never\" }\n  on_failure = \"ignore\""))
	s.wait("child ready", "child", "c")
	s.wait("not ready in time", "child", "never", "reason", "no line matched ^line 1[0-9]{3}$")
	s.wait("child failed", "child", "never")
	s.signal(unix.SIGTERM)
	s.ends(1, "graceful")
}

func TestReadyByCommand(t *testing.T) {
	dir := t.TempDir()
	s := start(t, fixture("c", "sleep", fmt.Sprintf("env = { FLAG = %q }\n  ready {\n    exec = [\"/bin/sh\", \"-c\", \"test -e $FLAG || { touch $FLAG; echo not yet; exit 1; }\"]\n    timeout = \"50s\"\n  }", dir+"/flag")))
	s.wait("child ready", "child", "c")
	s.signal(unix.SIGTERM)
	if e := s.ends(0, "graceful"); e.int("spawned") != 1 || e.int("orphans") != 0 {
		t.Errorf("%v", e)
	}
}

// A command that hangs, and what it started, are killed as a stop begins.
func TestStopKillsACommandThatHangs(t *testing.T) {
	s := start(t, fixture("c", "sleep", "ready {\n    exec = [\"/bin/sh\", \"-c\", \"sleep 1000 & kill -USR1 $PPID; wait\"]\n    timeout = \"50s\"\n  }"))
	s.wait("signal received", "signal", "SIGUSR1")
	s.signal(unix.SIGTERM)
	e := s.ends(0, "graceful")
	if e.int("elapsed_ms") > 5000 || e.int("spawned") != 1 {
		t.Errorf("%v", e)
	}
}

// A check that fails has its child restarted; one that hangs fails by its
// timeout.
func TestCheckRestarts(t *testing.T) {
	for mode, want := range map[string]string{"": "the answer is 503 Service Unavailable", " hang": "no answer in time"} {
		t.Run("mode"+mode, func(t *testing.T) {
			port := free(t)
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
			first := s.wait("check failed", "child", "web", "check", "alive")
			if reason, _ := first["reason"].(string); !strings.Contains(reason, want) {
				t.Errorf("%v", first)
			}
			if e := s.wait("child unhealthy", "pid", first.int("pid")); !strings.HasPrefix(e["reason"].(string), `check "alive" failed 2 times: `) {
				t.Errorf("%v", e)
			}
			if e := s.wait("child restarting"); !strings.HasPrefix(e["reason"].(string), `check "alive" failed 2 times: `) {
				t.Errorf("%v", e)
			}
			_, i := s.waitFrom(0, "child restarting")
			s.waitFrom(i, "child ready", "child", "web")
			s.signal(unix.SIGTERM)
			if e := s.ends(0, "graceful"); e.int("killed") > 0 {
				t.Errorf("%v", e)
			}
		})
	}
}

// A command that hangs as a stop begins does not keep the stop waiting.
func TestStopKillsACheckThatHangs(t *testing.T) {
	s := start(t, fixture("c", "sleep", `check "alive" {
    exec = ["/bin/sh", "-c", "sleep 1000 & kill -USR1 $PPID; wait"]
    grace = "0s"
    timeout = "50s"
  }`))
	s.prints("[c] ready")
	s.wait("signal received", "signal", "SIGUSR1")
	s.signal(unix.SIGTERM)
	if e := s.ends(0, "graceful"); e.int("elapsed_ms") > 5000 || e.int("spawned") != 1 {
		t.Errorf("%v", e)
	}
}

// notifying is a child that notifies once it is sent SIGUSR1.
func notifying(name, mode, more string) string {
	return fixture(name, strings.TrimSpace("notify "+mode), "ready {\n    notify = true\n    timeout = \"50s\"\n  "+more+"}\n  kill_timeout = \"500ms\"\n  restart {\n    delay = \"1ms\"\n  }")
}

func TestNotify(t *testing.T) {
	s := start(t, notifying("c", "", "")+fixture("after", "sleep", `depends_on = ["c"]`))
	s.prints("[c] socket @supervisor/notify/")
	said, _, _ := s.output.from(0, func(line string) bool { return strings.Contains(line, "socket @") })
	stranger, err := net.Dial("unixgram", strings.TrimPrefix(said, "[c] socket "))
	if err != nil {
		t.Fatal(err)
	}
	defer stranger.Close()
	if _, err := stranger.Write([]byte("READY=1")); err != nil {
		t.Fatal(err)
	}
	s.wait("notification rejected", "reason", fmt.Sprintf("pid %d belongs to no child that notifies", os.Getpid()))
	if n := s.count("child ready"); n > 0 {
		t.Error("a stranger made it ready")
	}
	if err := unix.Kill(s.wait("child spawned", "child", "c").int("pid"), unix.SIGUSR1); err != nil {
		t.Fatal(err)
	}
	s.wait("child ready", "child", "c")
	s.wait("child notified", "child", "c", "what", "status", "detail", "serves  [31mwell")
	s.wait("child notified", "child", "c", "what", "main process")
	s.prints("[after] ready")
	s.signal(unix.SIGTERM)
	s.ends(0, "graceful")
}

func TestNotifyByADescendant(t *testing.T) {
	s := start(t, notifying("c", "child", ""))
	s.prints("[c] socket @")
	if err := unix.Kill(s.wait("child spawned").int("pid"), unix.SIGUSR1); err != nil {
		t.Fatal(err)
	}
	s.wait("child ready", "child", "c")
	s.signal(unix.SIGTERM)
	s.ends(0, "graceful")
}

// It takes longer to end than kill_timeout, and said that it would.
func TestNotifyExtendsTheStop(t *testing.T) {
	s := start(t, notifying("c", "slow", ""))
	s.prints("[c] socket @")
	if err := unix.Kill(s.wait("child spawned").int("pid"), unix.SIGUSR1); err != nil {
		t.Fatal(err)
	}
	s.wait("child ready", "child", "c")
	s.signal(unix.SIGTERM)
	if e := s.ends(0, "graceful"); e.int("killed") != 0 || e.int("elapsed_ms") < 700 {
		t.Errorf("%v", e)
	}
}

func TestWatchdog(t *testing.T) {
	s := start(t, notifying("c", "watchdog", "  watchdog = \"300ms\"\n  "))
	s.prints("[c] socket @")
	if err := unix.Kill(s.wait("child spawned").int("pid"), unix.SIGUSR1); err != nil {
		t.Fatal(err)
	}
	s.wait("child unhealthy", "child", "c", "reason", "no WATCHDOG=1 came within 300ms")
	_, i := s.waitFrom(0, "child restarting", "reason", "no WATCHDOG=1 came within 300ms")
	s.waitFrom(i, "child spawned", "child", "c")
	s.signal(unix.SIGTERM)
	s.ends(0, "graceful")
}
