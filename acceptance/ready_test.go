package acceptance

import (
	"fmt"
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
