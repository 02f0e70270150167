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

// TestRepositoryConfig runs the configuration of the repository.
func TestRepositoryConfig(t *testing.T) {
	hcl, err := os.ReadFile("../supervisor.hcl")
	if err != nil {
		t.Fatal(err)
	}
	text := strings.Replace(string(hcl), `log_format = "text"`, "", 1)
	s := prepare(t, strings.Replace(text, `log_level  = "info"`, `log_level = "debug"`, 1))
	port := freePort(t)
	s.cmd.Env = append(s.cmd.Env, "SERVER_PORT="+port, "CLI_LOOP_PERIOD=1h")
	s.launch()
	s.awaitLine("[client1]")
	s.awaitLine("action: receive_message | result: success | client_id: 1")
	if text := strings.Split(s.output.text(), "\n")[0]; !strings.HasPrefix(text, "[server] ") {
		t.Errorf("got the first line %q, want one of the server", text)
	}
	s.signal(unix.SIGTERM)
	e := s.expectStop(0, "graceful")
	if e.int("spawned") != 2 || e.int("killed") != 0 || e.int("fds_left") != 0 ||
		e.int("elapsed_ms") > 2000 {
		t.Errorf("got %v, want spawned=2, killed=0, fds_left=0, and elapsed_ms of at most 2000", e)
	}
	for _, child := range []string{"server", "client1"} {
		s.awaitEntry("child reaped", "child", child, "code", 0, "proof", "exact", "fds_left", 0)
	}
	s.awaitEntry("fd closed", "owner", "server", "kind", "socket", "target",
		"tcp [::]:"+port+" listen", "by", "child", "proof", "exact")
	// The client depends on the server, so it is reaped before the server gets its signal.
	_, i := s.awaitEntryFrom(0, "child reaped", "child", "client1")
	s.awaitEntryFrom(i, "signal sent", "child", "server", "signal", "SIGTERM", "step", 1)
	s.awaitLine("action: exit | result: success")
}

func TestChildThatIgnoresSIGTERMIsKilled(t *testing.T) {
	s := start(t, fixture("ignores", "ignore-term", `kill_timeout = "200ms"`)+fixture("good",
		"sleep", ""))
	s.awaitLine("[ignores] ready")
	s.awaitLine("[good] ready")
	s.signal(unix.SIGTERM)
	e := s.expectStop(124, "forced")
	e.expect(t, "killed", 1)
	s.awaitEntry("signal sent", "child", "ignores", "signal", "SIGKILL", "step", 2)
	r := s.awaitEntry("child reaped", "child", "ignores", "signal", "SIGKILL", "proof", "exact")
	if r.int("stop_ms") < 200 {
		t.Errorf("got %v, want stop_ms of at least 200", r)
	}
	s.awaitEntry("child reaped", "child", "good", "code", 0)
}

func TestLeakedDescriptorsAreLogged(t *testing.T) {
	for _, tt := range []struct {
		strict string
		code   int
	}{{"--findings all", 0}, {"--findings all --strict", 3}} {
		s := start(t, fixture("leaky", "leaky", ""), strings.Fields(tt.strict)...)
		s.awaitLine("[leaky] ready")
		s.signal(unix.SIGTERM)
		e := s.expectStop(tt.code, "leaky")
		e.expect(t, "fds_left", 3)
		s.awaitEntry("child reaped", "child", "leaky", "fds_closed", 2, "fds_left", 3, "proof",
			"exact")
		// The log must agree with what the fixture prints about itself.
		for line := range strings.SplitSeq(s.output.text(), "\n") {
			words := strings.SplitN(strings.TrimPrefix(line, "[leaky] "), " ", 3)
			switch words[0] {
			case "left":
				s.awaitEntry("fd closed", "owner", "leaky", "kind", words[1], "target", words[2],
					"by", "kernel", "@level", "warn")
			case "closed":
				s.awaitEntry("fd closed", "owner", "leaky", "kind", words[1], "target", words[2],
					"by", "child", "@level", "info")
			}
		}
	}
}

func TestDaemonIsStopped(t *testing.T) {
	s := start(t, fixture("d", "daemon sleep stay", ""))
	s.awaitLine("[d] daemon ")
	s.signal(unix.SIGTERM)
	e := s.expectStop(0, "graceful")
	e.expect(t, "orphans", 1)
	s.awaitEntry("signal sent", "child", "d", "process", "fixture", "signal", "SIGTERM", "step", 1)
	s.awaitEntry("orphan reaped", "command", "fixture", "code", 0)
}

func TestDaemonThatIgnoresSIGTERMIsKilled(t *testing.T) {
	s := start(t, `shutdown { deadline = "2s" }`+"\n"+fixture("d", "daemon ignore-term stay", ""))
	s.awaitLine("[d] daemon ")
	if s.expectForced(2*time.Second, 1) {
		s.awaitEntry("orphan reaped", "command", "fixture", "signal", "SIGKILL")
	}
}

// TestRunEndsWhenNothingRuns checks that the stop starts when no child runs, and ends what a
// completed child left running.
func TestRunEndsWhenNothingRuns(t *testing.T) {
	s := start(t, fixture("d", "daemon", ""))
	e := s.expectStop(0, "graceful")
	e.expect(t, "orphans", 1)
	s.awaitEntry("child completed", "child", "d")
}

func TestSecondSignalEscalates(t *testing.T) {
	s := start(t, fixture("ignores", "ignore-term", `kill_timeout = "8s"`))
	s.awaitLine("[ignores] ready")
	s.signal(unix.SIGTERM)
	s.awaitEntry("signal sent", "child", "ignores", "step", 1)
	s.signalAgain(unix.SIGTERM)
	s.awaitEntry("signal sent", "child", "ignores", "signal", "SIGKILL", "step", 2)
	if e := s.expectStop(124, "forced"); e.int("elapsed_ms") > 7000 {
		t.Errorf("got %v, want elapsed_ms of at most 7000 after the second signal", e)
	}
}

// TestThirdSignalKillsAll checks that the second signal escalates for children that have no
// signal yet too, and the third one kills all.
func TestThirdSignalKillsAll(t *testing.T) {
	s := start(t, fixture("server", "ignore-term", `kill_timeout = "4s"`)+
		fixture("client", "ignore-term", "depends_on = [\"server\"]\n  kill_timeout = \"4s\""))
	s.awaitLine("[client] ready")
	s.signal(unix.SIGTERM)
	s.awaitEntry("signal sent", "child", "client", "step", 1)
	s.signalAgain(unix.SIGTERM)
	s.awaitEntry("signal received", "meaning", "again: next step now")
	s.signalAgain(unix.SIGTERM)
	s.expectStop(124, "forced")
}

// TestDeadlineBoundsTheStop checks that the deadline bounds a chain of children that ignore
// SIGTERM.
func TestDeadlineBoundsTheStop(t *testing.T) {
	s := start(t, `shutdown { deadline = "1s" }`+"\n"+fixture("a", "ignore-term", "")+
		fixture("b", "ignore-term", `depends_on = ["a"]`)+
		fixture("c", "ignore-term", `depends_on = ["b"]`))
	s.awaitLine("[a] ready")
	s.awaitLine("[b] ready")
	s.awaitLine("[c] ready")
	s.expectForced(time.Second, 3)
}

// TestSIGTERMAtAnyTime checks that SIGTERM at any time leads to a complete stop.
func TestSIGTERMAtAnyTime(t *testing.T) {
	for _, moment := range []string{"", "child spawned", "child ready", "child restarting"} {
		for range 5 {
			s := start(t, fixture("ok", "sleep", "")+fixture("bad", "exit 1",
				"restart {\n    attempts = 1000\n    delay = \"50ms\"\n  }"))
			if moment != "" {
				s.awaitEntry(moment)
			} else {
				s.waitForHandler() // as early as a signal can be heard
			}
			s.signal(unix.SIGTERM)
			s.signal(unix.SIGHUP)
			if code := s.exitCode(); code != 0 && code != 124 {
				t.Errorf("%s: exit code %d", moment, code)
			}
			s.awaitEntry("shutdown complete")
		}
	}
}

// waitForHandler waits until the supervisor handles SIGTERM. Go's runtime catches SIGTERM before
// main and would exit. The first eventfd is that of Go's poller, for a file that a library reads
// before main; the second one is opened just after main takes the signal over.
func (s *supervisor) waitForHandler() {
	s.t.Helper()
	for begin := time.Now(); time.Since(begin) < limit; {
		dir := fmt.Sprintf("/proc/%d/fd/", s.pid)
		all, _ := os.ReadDir(dir)
		eventfds := 0
		for _, f := range all {
			if target, _ := os.Readlink(dir + f.Name()); target == "anon_inode:[eventfd]" {
				eventfds++
			}
		}
		if eventfds >= 2 {
			return
		}
	}
	s.t.Fatal("the supervisor does not handle SIGTERM in time")
}

// TestNothingStartsDuringAStop checks that no process is spawned after the stop has started.
func TestNothingStartsDuringAStop(t *testing.T) {
	s := start(t, fixture("slow", "ignore-term", `kill_timeout = "300ms"`)+fixture("bad", "exit 1",
		"restart {\n    attempts = 1000\n    delay = \"1ms\"\n    max_delay = \"1ms\"\n  }"))
	s.awaitEntry("child restarting", "attempt", 5)
	s.signal(unix.SIGTERM)
	s.expectStop(124, "forced")
	_, i := s.awaitEntryFrom(0, "signal received", "signal", "SIGTERM")
	s.awaitEntry("shutdown complete")
	for _, line := range strings.Split(s.log.text(), "\n")[i:] {
		// A restart that started before the signal may be logged after it.
		if strings.Contains(line, `"child restarting"`) {
			t.Errorf("after the signal: got %s, want no restart", line)
		}
	}
}

// TestSupervisorIsKilled checks that the children get SIGTERM if the supervisor is killed.
func TestSupervisorIsKilled(t *testing.T) {
	s := start(t, fixture("p", "print 1", ""))
	s.awaitLine("[p] line 0")
	s.expectEndWithSupervisor(s.awaitEntry("child spawned").int("pid"))
}

// expectEndWithSupervisor kills the supervisor and checks that a process of a child ends.
func (s *supervisor) expectEndWithSupervisor(pid int) {
	s.t.Helper()
	pidfd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		s.t.Fatal(err)
	}
	defer unix.Close(pidfd)
	s.signal(unix.SIGKILL)
	s.exitCode()
	ready, err := unix.Poll([]unix.PollFd{{Fd: int32(pidfd), Events: unix.POLLIN}},
		int(limit.Milliseconds()))
	if err != nil || ready != 1 {
		_ = unix.PidfdSendSignal(pidfd, unix.SIGKILL, nil, 0)
		s.t.Errorf("the child has not ended: poll returned %d, %v", ready, err)
	}
}

func TestHundredChildren(t *testing.T) {
	s := start(t, fixture("c", "sleep", "count = 100"))
	for i := range 100 {
		s.awaitLine(fmt.Sprintf("[c%d] ready", i+1))
	}
	s.signal(unix.SIGTERM)
	e := s.expectStop(0, "graceful")
	e.expect(t, "spawned", 100)
	if n := s.count("child reaped", "proof", "exact", "code", 0, "fds_left", 0); n != 100 {
		t.Errorf("%d children with an exact proof, want 100", n)
	}
}

func TestStoppedChildIsContinued(t *testing.T) {
	s := start(t, fixture("c", "stopped", ""))
	s.awaitLine("[c] ready")
	s.signal(unix.SIGTERM)
	s.expectStop(0, "graceful")
}

func TestPidFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pid")
	s := start(t, fixture("c", "sleep", ""), "--pid-file", path)
	s.awaitLine("ready")
	b, err := os.ReadFile(path)
	if err != nil || strings.TrimSpace(string(b)) != fmt.Sprint(s.pid) {
		t.Errorf("the pid file has %q, %v, want pid %d", b, err, s.pid)
	}
	// A second start that fails must not remove the file of the first, and must leave no file.
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	if code := start(t, serverChild(taken.Addr().String(), ""), "--pid-file",
		path).exitCode(); code != 1 {
		t.Errorf("exit code %d, want 1", code)
	}
	if again, err := os.ReadFile(path); err != nil || string(again) != string(b) {
		t.Errorf("the pid file has %q, %v, want %q", again, err, b)
	}
	socket := filepath.Join(t.TempDir(), "s")
	nowhere := start(t, fixture("c", "sleep", fmt.Sprintf("listen \"x\" { unix = %q }\n", socket)),
		"--pid-file", filepath.Join(path, "x"))
	if code := nowhere.exitCode(); code != 2 {
		t.Errorf("exit code %d, want 2", code)
	}
	if _, err := os.Lstat(socket); !os.IsNotExist(err) {
		t.Errorf("the socket was not removed: %v", err)
	}
	other := start(t, fixture("c", "sleep", ""), "--pid-file", path)
	if code := other.exitCode(); code != 1 {
		t.Errorf("with the pid file of a live process: exit code %d, want 1", code)
	}
	s.signal(unix.SIGINT)
	s.expectStop(0, "graceful")
	if _, err := os.Stat(path); !os.IsNotExist(err) {
		t.Errorf("the file was not removed: %v", err)
	}
}

// TestConfigFromAPipe checks that a configuration is read from standard input, also by two
// supervisors at the same time, and that a reload says why it cannot be done.
func TestConfigFromAPipe(t *testing.T) {
	var all []*supervisor
	for range 2 {
		s := prepare(t, "")
		s.cmd.Args = []string{"supervisor", "run", "--config", "-"}
		s.cmd.Stdin = strings.NewReader(withHeader(fixture("a", "sleep", "")))
		s.launch()
		s.awaitLine("[a] ready")
		all = append(all, s)
	}
	for _, s := range all {
		s.signal(unix.SIGHUP)
		e := s.awaitEntry("config rejected")
		if text := fmt.Sprint(e["diagnostics"]); !strings.Contains(text, "cannot be read again") {
			t.Errorf("got %s", text)
		}
		s.signal(unix.SIGTERM)
		s.expectStop(0, "graceful")
	}
}

// TestSecondStart checks that a second supervisor of the same file is refused if both run a child,
// and that it does nothing to the first one.
func TestSecondStart(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "s")
	hcl := fixture("a", "sleep", fmt.Sprintf("listen \"x\" { unix = %q }\n", socket)) +
		fixture("b", "sleep", "count = 2")
	s := start(t, hcl, "--only", "a,b1")
	s.awaitLine("[a] ready")
	second := func(code int, text string, args ...string) *supervisor {
		t.Helper()
		other := prepare(t, hcl)
		other.cmd.Args = append([]string{"supervisor", "run", "--config", s.config}, args...)
		other.launch()
		if code < 0 {
			return other
		}
		if got := other.exitCode(); got != code {
			t.Errorf("%v: exit code %d, want %d", args, got, code)
		}
		other.expectText(text)
		return other
	}
	pid := fmt.Sprintf("the supervisor with pid %d already runs ", s.pid)
	second(1, pid+"a, b1 of "+s.config)
	second(1, pid+"b1 of", "--only", "b")
	second(1, pid+"a of", "--only", "b2,a", "--pid-file", filepath.Join(t.TempDir(), "pid"))
	if _, err := os.Stat(socket); err != nil {
		t.Errorf("the socket of the first supervisor is gone: %v", err)
	}
	others := second(-1, "", "--only", "b2")
	others.awaitLine("[b2] ready")
	all := second(-1, "", "--allow-second", "--only", "b1")
	all.awaitLine("[b1] ready")
	for _, one := range []*supervisor{others, all, s} {
		one.signal(unix.SIGTERM)
		one.expectStop(0, "graceful")
	}
}

func TestLedgerOnRequest(t *testing.T) {
	s := start(t, fixture("c", "sleep", ""))
	s.awaitLine("ready")
	s.signal(unix.SIGUSR1)
	for _, target := range []string{"c stdout", "c stderr", "/dev/null"} {
		s.awaitEntry("fd held", "owner", "supervisor", "target", target)
	}
	s.signal(syscall.SIGQUIT)
	s.expectStop(0, "graceful")
}

// TestIgnoredSignalsAtTheStart checks that a signal that is ignored at the start stays ignored
// for children, except SIGCHLD, which the supervisor needs.
func TestIgnoredSignalsAtTheStart(t *testing.T) {
	s := prepare(t, fixture("c", "sleep", ""))
	s.cmd.Args = append([]string{"sh", "-c", `trap "" CHLD HUP; exec "$0" "$@"`, s.cmd.Path},
		s.cmd.Args[1:]...)
	s.cmd.Path = "/bin/sh"
	s.launch()
	s.awaitLine("ready")
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status",
		s.awaitEntry("child spawned").int("pid")))
	if err != nil {
		t.Fatal(err)
	}
	var ignored uint64
	_, rest, _ := strings.Cut(string(status), "SigIgn:\t")
	fmt.Sscanf(rest, "%x", &ignored)
	if ignored&(1<<(unix.SIGHUP-1)) == 0 || ignored&(1<<(unix.SIGCHLD-1)) != 0 {
		t.Errorf("the child ignores the signals %x, want SIGHUP and not SIGCHLD", ignored)
	}
	s.signal(unix.SIGHUP) // ignored
	s.signal(unix.SIGTERM)
	s.expectStop(0, "graceful")
	if n := s.count("config reloaded"); n != 0 {
		t.Error("the file was reloaded, want SIGHUP ignored")
	}
}

// TestStopDuringTheStart checks that children that are not spawned yet are not spawned in a
// stop.
func TestStopDuringTheStart(t *testing.T) {
	s := start(t, fixture("c", "sleep", "count = 500"))
	s.awaitEntry("child spawned")
	s.signal(unix.SIGTERM)
	if e := s.expectStop(0, "graceful"); e.int("spawned") == 500 {
		t.Error("all 500 children were spawned, want fewer")
	}
}

// TestStoppedOrphanIsContinued checks that a stopped orphan gets SIGCONT and does not use up
// the deadline.
func TestStoppedOrphanIsContinued(t *testing.T) {
	s := start(t, shell("c", "fixture stopped & echo orphan $!; wait", ""))
	pid := s.printedNumber("orphan")
	await(t, "it stands", func() bool { return allThreadsStopped(pid) })
	s.signal(unix.SIGTERM)
	s.expectStop(0, "graceful").expect(t, "orphans", 1)
}
