package acceptance

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// The configuration of the repository, as a newcomer runs it.
func TestMainJob(t *testing.T) {
	hcl, err := os.ReadFile("../supervisor.hcl")
	if err != nil {
		t.Fatal(err)
	}
	s := prepare(t, strings.ReplaceAll(string(hcl), `log_format = "text"`, ""))
	port := free(t)
	s.cmd.Env = append(s.cmd.Env, "SERVER_PORT="+port, "CLI_LOOP_PERIOD=1h")
	s.launch()
	s.prints("[client1]")
	s.prints("action: receive_message | result: success | client_id: 1")
	if text := strings.Split(s.output.text(), "\n")[0]; !strings.HasPrefix(text, "[server] ") {
		t.Errorf("the client was first: %s", text)
	}
	s.signal(unix.SIGTERM)
	e := s.ends(0, "graceful")
	if e.int("spawned") != 2 || e.int("killed") != 0 || e.int("fds_left") != 0 || e.int("elapsed_ms") > 2000 {
		t.Errorf("%v", e)
	}
	for _, child := range []string{"server", "client1"} {
		s.wait("child reaped", "child", child, "code", 0, "proof", "exact", "fds_left", 0)
	}
	s.wait("fd closed", "owner", "server", "kind", "socket", "target", "tcp [::]:"+port+" listen", "by", "child", "proof", "exact")
	// The client, which depends on the server, is gone before the server is told.
	_, i := s.waitFrom(0, "child reaped", "child", "client1")
	s.waitFrom(i, "signal sent", "child", "server", "signal", "SIGTERM", "step", 1)
	s.prints("action: exit | result: success")
}

func TestDeafChildIsKilledAndNamed(t *testing.T) {
	s := start(t, fixture("deaf", "deaf", `kill_timeout = "200ms"`)+fixture("good", "sleep", ""))
	s.prints("[deaf] ready")
	s.prints("[good] ready")
	s.signal(unix.SIGTERM)
	e := s.ends(124, "forced")
	if e.int("killed") != 1 {
		t.Errorf("%v", e)
	}
	s.wait("signal sent", "child", "deaf", "signal", "SIGKILL", "step", 2)
	r := s.wait("child reaped", "child", "deaf", "signal", "SIGKILL", "proof", "exact")
	if r.int("stop_ms") < 200 {
		t.Errorf("killed before its time: %v", r)
	}
	s.wait("child reaped", "child", "good", "code", 0)
}

func TestLeakyChildIsNamed(t *testing.T) {
	for _, tt := range []struct {
		strict string
		code   int
	}{{"", 0}, {"--strict", 3}} {
		s := start(t, fixture("leaky", "leaky", ""), strings.Fields(tt.strict)...)
		s.prints("[leaky] ready")
		s.signal(unix.SIGTERM)
		e := s.ends(tt.code, "leaky")
		if e.int("fds_left") != 3 {
			t.Errorf("%v", e)
		}
		s.wait("child reaped", "child", "leaky", "fds_closed", 2, "fds_left", 3, "proof", "exact")
		// What the fixture says of itself is what the supervisor says of it.
		for line := range strings.SplitSeq(s.output.text(), "\n") {
			words := strings.SplitN(strings.TrimPrefix(line, "[leaky] "), " ", 3)
			switch words[0] {
			case "left":
				s.wait("fd closed", "owner", "leaky", "kind", words[1], "target", words[2], "by", "kernel", "@level", "warn")
			case "closed":
				s.wait("fd closed", "owner", "leaky", "kind", words[1], "target", words[2], "by", "child", "@level", "info")
			}
		}
	}
}

func TestDaemonIsFoundAndEnded(t *testing.T) {
	s := start(t, fixture("d", "daemon sleep stay", ""))
	s.prints("[d] daemon ")
	s.signal(unix.SIGTERM)
	e := s.ends(0, "graceful")
	if e.int("orphans") != 1 {
		t.Errorf("%v", e)
	}
	s.wait("signal sent", "child", "d", "process", "fixture", "signal", "SIGTERM", "step", 1)
	s.wait("orphan reaped", "command", "fixture", "code", 0)
}

func TestDeafDaemonIsKilled(t *testing.T) {
	s := start(t, `shutdown { deadline = "2s" }`+"\n"+fixture("d", "daemon deaf stay", ""))
	s.prints("[d] daemon ")
	s.signal(unix.SIGTERM)
	e := s.ends(124, "forced")
	if e.int("killed") != 1 || e.int("elapsed_ms") > 2500 {
		t.Errorf("%v", e)
	}
	s.wait("orphan reaped", "command", "fixture", "signal", "SIGKILL")
}

// What a child that ended by itself left running does not outlive the stop,
// which begins when nothing else runs.
func TestRunEndsWhenNothingRuns(t *testing.T) {
	s := start(t, fixture("d", "daemon", ""))
	e := s.ends(0, "graceful")
	if e.int("orphans") != 1 {
		t.Errorf("%v", e)
	}
	s.wait("child completed", "child", "d")
}

func TestHasten(t *testing.T) {
	s := start(t, fixture("deaf", "deaf", `kill_timeout = "8s"`))
	s.prints("[deaf] ready")
	s.signal(unix.SIGTERM)
	s.wait("signal sent", "child", "deaf", "step", 1)
	s.another(unix.SIGTERM)
	s.wait("signal sent", "child", "deaf", "signal", "SIGKILL", "step", 2)
	if e := s.ends(124, "forced"); e.int("elapsed_ms") > 7000 {
		t.Errorf("a second signal hastened nothing: %v", e)
	}
}

// The third signal kills whoever is there, the second one even those that were
// not told yet.
func TestHastenReachesWhoWaits(t *testing.T) {
	s := start(t, fixture("server", "deaf", `kill_timeout = "4s"`)+fixture("client", "deaf", `depends_on = ["server"]
  kill_timeout = "4s"`))
	s.prints("[client] ready")
	s.signal(unix.SIGTERM)
	s.wait("signal sent", "child", "client", "step", 1)
	s.another(unix.SIGTERM)
	s.wait("signal received", "meaning", "again: next step now")
	s.another(unix.SIGTERM)
	s.ends(124, "forced")
}

// promise is by when a stop with a deadline of one second is over: 250 ms after it. A machine that
// runs us late takes some of that.
const promise = 1250

func TestDeadlineBoundsAll(t *testing.T) {
	s := start(t, `shutdown { deadline = "1s" }`+"\n"+fixture("a", "deaf", "")+fixture("b", "deaf", `depends_on = ["a"]`)+fixture("c", "deaf", `depends_on = ["b"]`))
	s.prints("[c] ready")
	s.signal(unix.SIGTERM)
	e := s.ends(124, "forced")
	if e.int("killed") != 3 || e.int("elapsed_ms") > promise || e.int("deadline_ms") != 1000 {
		t.Errorf("%v", e)
	}
}

// A SIGTERM at any moment ends in a complete stop.
func TestTermAtAnyMoment(t *testing.T) {
	for _, moment := range []string{"", "child spawned", "child ready", "child restarting"} {
		for range 5 {
			s := start(t, fixture("ok", "sleep", "")+fixture("bad", "exit 1", "restart {\n    attempts = 1000\n    delay = \"50ms\"\n  }"))
			if moment != "" {
				s.wait(moment)
			} else {
				s.waitForHandler() // as early as a signal can be heard
			}
			s.signal(unix.SIGTERM)
			s.signal(unix.SIGHUP)
			if code := s.code(); code != 0 && code != 124 {
				t.Errorf("%s: exit code %d", moment, code)
			}
			s.wait("shutdown complete")
		}
	}
}

// waitForHandler waits until the supervisor hears SIGTERM. The Go runtime
// catches it before main, and would die of it; the relay's eventfd is opened a
// moment after main has taken it over.
func (s *super) waitForHandler() {
	s.t.Helper()
	for begin := time.Now(); time.Since(begin) < limit; {
		dir := fmt.Sprintf("/proc/%d/fd/", s.pid)
		all, _ := os.ReadDir(dir)
		for _, f := range all {
			if target, _ := os.Readlink(dir + f.Name()); target == "anon_inode:[eventfd]" {
				return
			}
		}
	}
	s.t.Fatal("it does not come up")
}

// Nobody is spawned once a stop began.
func TestNothingStartsInAStop(t *testing.T) {
	s := start(t, fixture("slow", "deaf", `kill_timeout = "300ms"`)+fixture("bad", "exit 1", "restart {\n    attempts = 1000\n    delay = \"1ms\"\n    max_delay = \"1ms\"\n  }"))
	s.wait("child restarting", "attempt", 5)
	s.signal(unix.SIGTERM)
	s.ends(124, "forced")
	_, i := s.waitFrom(0, "signal received", "signal", "SIGTERM")
	s.wait("shutdown complete")
	for _, line := range strings.Split(s.log.text(), "\n")[i:] {
		// One that was under way when the signal came may still be told of.
		if strings.Contains(line, `"child restarting"`) {
			t.Errorf("after the signal: %s", line)
		}
	}
}

// If the supervisor dies, its children get SIGTERM.
func TestDeathOfTheSupervisor(t *testing.T) {
	s := start(t, fixture("p", "print 1", ""))
	s.prints("[p] line 0")
	pid := s.wait("child spawned").int("pid")
	pidfd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(pidfd)
	s.signal(unix.SIGKILL)
	s.code()
	ready, err := unix.Poll([]unix.PollFd{{Fd: int32(pidfd), Events: unix.POLLIN}}, int(limit.Milliseconds()))
	if err != nil || ready != 1 {
		t.Errorf("the child lives on: %d %v", ready, err)
	}
}

func TestHundredChildren(t *testing.T) {
	s := start(t, fixture("c", "sleep", "count = 100"))
	for i := range 100 {
		s.prints(fmt.Sprintf("[c%d] ready", i+1))
	}
	s.signal(unix.SIGTERM)
	e := s.ends(0, "graceful")
	if e.int("spawned") != 100 {
		t.Errorf("%v", e)
	}
	if n := s.count("child reaped", "proof", "exact", "code", 0, "fds_left", 0); n != 100 {
		t.Errorf("%d of 100 have an exact proof", n)
	}
}

func TestStoppedChildIsContinued(t *testing.T) {
	s := start(t, fixture("c", "stopped", ""))
	s.prints("[c] ready")
	s.signal(unix.SIGTERM)
	s.ends(0, "graceful")
}

func TestPidFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pid")
	s := start(t, fixture("c", "sleep", ""), "--pid-file", path)
	s.prints("ready")
	b, err := os.ReadFile(path)
	if err != nil || strings.TrimSpace(string(b)) != fmt.Sprint(s.pid) {
		t.Errorf("%q, %v", b, err)
	}
	// A second start that fails takes nothing from the first, and leaves nothing.
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	if code := start(t, server(taken.Addr().String(), ""), "--pid-file", path).code(); code != 1 {
		t.Errorf("exit code %d", code)
	}
	if again, err := os.ReadFile(path); err != nil || string(again) != string(b) {
		t.Errorf("%q, %v", again, err)
	}
	socket := filepath.Join(t.TempDir(), "s")
	nowhere := start(t, fixture("c", "sleep", fmt.Sprintf("listen \"x\" { unix = %q }\n", socket)), "--pid-file", filepath.Join(path, "x"))
	if code := nowhere.code(); code != 2 {
		t.Errorf("exit code %d", code)
	}
	if _, err := os.Lstat(socket); !os.IsNotExist(err) {
		t.Errorf("the socket is left: %v", err)
	}
	s.signal(unix.SIGINT)
	s.ends(0, "graceful")
	if _, err := os.Stat(path); !os.IsNotExist(err) {
		t.Errorf("it is still there: %v", err)
	}
}

func TestLedgerOnRequest(t *testing.T) {
	s := start(t, fixture("c", "sleep", ""))
	s.prints("ready")
	s.signal(unix.SIGUSR1)
	for _, target := range []string{"c stdout", "c stderr", "/dev/null"} {
		s.wait("fd held", "owner", "supervisor", "target", target)
	}
	s.signal(syscall.SIGQUIT)
	s.ends(0, "graceful")
}

// A signal that is ignored when we start stays ignored for our children, and
// SIGCHLD, which we need, is taken back.
func TestIgnoredSignalsAtTheStart(t *testing.T) {
	s := prepare(t, fixture("c", "sleep", ""))
	s.cmd.Args = append([]string{"sh", "-c", `trap "" CHLD HUP; exec "$0" "$@"`, s.cmd.Path}, s.cmd.Args[1:]...)
	s.cmd.Path = "/bin/sh"
	s.launch()
	s.prints("ready")
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.wait("child spawned").int("pid")))
	if err != nil {
		t.Fatal(err)
	}
	var ignored uint64
	_, rest, _ := strings.Cut(string(status), "SigIgn:\t")
	fmt.Sscanf(rest, "%x", &ignored)
	if ignored&(1<<(unix.SIGHUP-1)) == 0 || ignored&(1<<(unix.SIGCHLD-1)) != 0 {
		t.Errorf("the child ignores %x", ignored)
	}
	s.signal(unix.SIGHUP) // ignored
	s.signal(unix.SIGTERM)
	s.ends(0, "graceful")
	if n := s.count("config reloaded"); n != 0 {
		t.Error("SIGHUP was not ignored")
	}
}

// A stop in the middle of a start: what still waits to be forked is not.
func TestStopInTheStart(t *testing.T) {
	s := start(t, fixture("c", "sleep", "count = 500"))
	s.wait("child spawned")
	s.signal(unix.SIGTERM)
	if e := s.ends(0, "graceful"); e.int("spawned") == 500 {
		t.Error("all were started all the same")
	}
}

// A stopped process that its parent leaves behind costs nobody the deadline.
func TestStoppedOrphanIsContinued(t *testing.T) {
	s := start(t, shell("c", "fixture stopped & echo orphan $!; wait", ""))
	pid := s.said("orphan")
	await(t, "it stands", func() bool { return standing(pid) })
	s.signal(unix.SIGTERM)
	if e := s.ends(0, "graceful"); e.int("orphans") != 1 {
		t.Errorf("%v", e)
	}
}
