package acceptance

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"tp0/supervisor/procfs"
)

// prepareExec returns a supervisor that runs one command.
func prepareExec(t *testing.T, args ...string) *supervisor {
	t.Helper()
	s := &supervisor{t: t, output: newLines(), log: newLines(), exited: make(chan struct{})}
	s.cmd = exec.Command(filepath.Join(bin, "supervisor"), append([]string{"exec"}, args...)...)
	s.cmd.Env = append(os.Environ(), "PATH="+bin+":/usr/local/bin:/usr/bin:/bin", testMark(t))
	return s
}

func startExec(t *testing.T, args ...string) *supervisor {
	t.Helper()
	s := prepareExec(t, args...)
	s.launch()
	return s
}

// testMark returns an environment variable that all processes of a test have.
func testMark(t *testing.T) string {
	return "SUPERVISOR_TEST_MARK=" + t.Name() + strconv.Itoa(os.Getpid())
}

// liveProcesses returns the processes of a test.
func liveProcesses(t *testing.T) (all []procfs.Stat) {
	t.Helper()
	entries, err := os.ReadDir("/proc")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		environ, _ := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid))
		if !slices.Contains(strings.Split(string(environ), "\x00"), testMark(t)) {
			continue
		}
		if s, err := procfs.ReadStat(pid); err == nil && !s.Dead() {
			all = append(all, s)
		}
	}
	return all
}

// expectExit checks the exit code, and that no process of the test is left.
func (s *supervisor) expectExit(code int) {
	s.t.Helper()
	if got := s.exitCode(); got != code {
		s.t.Errorf("exit code %d, want %d", got, code)
	}
	if left := liveProcesses(s.t); len(left) > 0 {
		s.t.Errorf("processes left: %+v, want none", left)
	}
}

// awaitPID returns the pid that the fixture prints when it is ready.
func (s *supervisor) awaitPID(name string) int {
	s.t.Helper()
	line, _, err := s.output.find(0, func(line string) bool {
		return strings.HasPrefix(line, name+" ready ")
	})
	if err != nil {
		s.t.Fatalf("%s is not ready: %v", name, err)
	}
	// a terminal ends lines with \r\n
	pid, err := strconv.Atoi(strings.TrimSpace(strings.TrimPrefix(line, name+" ready ")))
	if err != nil || pid <= 0 {
		s.t.Fatalf("%q has no pid: %v", line, err)
	}
	return pid
}

// awaitState waits until a process is in one of the states.
func (s *supervisor) awaitState(pid int, states string) {
	s.t.Helper()
	var last procfs.Stat
	// the kernel tells its parent only
	for late := time.Now().Add(limit); time.Now().Before(late); time.Sleep(time.Millisecond) {
		last, _ = procfs.ReadStat(pid)
		if strings.ContainsRune(states, rune(last.State)) {
			return
		}
	}
	s.t.Fatalf("pid %d is in state %c, want one of %s", pid, last.State, states)
}

const (
	stopped = "T"
	running = "RSD"
)

// TestExecCodes checks that each exit code of the command is the exit code of exec.
func TestExecCodes(t *testing.T) {
	codes := make(chan int)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for code := range codes {
				c := exec.Command(filepath.Join(bin, "supervisor"), "exec", "--", "/bin/sh", "-c",
					fmt.Sprint("exit ", code))
				out, _ := c.CombinedOutput()
				if got := c.ProcessState.ExitCode(); got != code {
					t.Errorf("exit code %d, want %d", got, code)
				}
				if len(out) > 0 {
					t.Errorf("exit code %d: got the output %q, want none", code, out)
				}
			}
		})
	}
	for code := range 256 {
		codes <- code
	}
	close(codes)
	wg.Wait()
}

// TestExecCodesOfSignals checks that the exit code is 128 plus the signal that ended the
// command.
func TestExecCodesOfSignals(t *testing.T) {
	for sig := syscall.Signal(1); sig <= 64; sig++ {
		switch sig {
		case unix.SIGCHLD, unix.SIGURG, unix.SIGWINCH, unix.SIGCONT, unix.SIGSTOP, unix.SIGTSTP,
			unix.SIGTTIN, unix.SIGTTOU, 32, 33:
			continue // those end no process; two are the C library's
		}
		s := prepareExec(t, "--", "/bin/sh", "-c", fmt.Sprintf("ulimit -c 0; kill -%d $$", sig))
		if out, _ := s.cmd.CombinedOutput(); s.cmd.ProcessState.ExitCode() != 128+int(sig) {
			t.Errorf("signal %d: exit code %d, %s", sig, s.cmd.ProcessState.ExitCode(), out)
		}
	}
}

func TestExecWithoutACommand(t *testing.T) {
	dir := t.TempDir()
	for name, mode := range map[string]os.FileMode{"plain": 0o644, "nonsense": 0o755,
		"nointerpreter": 0o755} {
		text := map[string]string{"nonsense": "\x7fELF, not really",
			"nointerpreter": "#!/not/there\n"}[name]
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), mode); err != nil {
			t.Fatal(err)
		}
	}
	for _, tt := range []struct {
		args   []string
		code   int
		output string
	}{
		{nil, 2, "exec needs a command"},
		{[]string{"--rewrite", "15", "--", "true"}, 2, "--rewrite"},
		{[]string{"--rewrite", "15:NOSUCH", "--", "true"}, 2, "not a signal"},
		{[]string{"--rewrite", "99:15", "--", "true"}, 2, "two signals"},
		{[]string{"--rewrite", "KILL:15", "--", "true"}, 2, "never forwarded"},
		{[]string{"--rewrite", "CHLD:15", "--", "true"}, 2, "never forwarded"},
		{[]string{"--rewrite", "15:TERM", "--", "true"}, 2, "changes nothing"},
		{[]string{"--rewrite", "15:2", "-r", "TERM:3", "--", "true"}, 2, "already"},
		{[]string{"--wait", "some", "--", "true"}, 2, "--wait"},
		{[]string{"--kill-scope", "world", "--", "true"}, 2, "--kill-scope"},
		{[]string{"--success-code", "256", "--", "true"}, 2, "--success-code"},
		{[]string{"--term-after", "ready:udp:1", "--", "true"}, 2, "--term-after"},
		{[]string{"--deadline", "0s", "--", "true"}, 2, "--deadline"},
		{[]string{"--", "no-such-command"}, 127, "no-such-command"},
		{[]string{"--", "/no/such/command"}, 127, "no such file"},
		{[]string{"--", ""}, 127, "no such file"},
		{[]string{"--", filepath.Join(dir, "nointerpreter")}, 127, "no such file"},
		{[]string{"--", dir}, 126, "permission denied"},
		{[]string{"--", filepath.Join(dir, "plain")}, 126, "permission denied"},
		{[]string{"--", filepath.Join(dir, "plain", "x")}, 127, "not a directory"},
		{[]string{"--", filepath.Join(dir, "nonsense")}, 126, "exec format error"},
		// by the start verb
		{[]string{"--strict", "--", filepath.Join(dir, "plain")}, 126, "permission denied"},
		{[]string{"--strict", "--", "/no/such/command"}, 127, "no such file"},
	} {
		s := prepareExec(t, tt.args...)
		out, _ := s.cmd.CombinedOutput()
		if got := s.cmd.ProcessState.ExitCode(); got != tt.code ||
			!strings.Contains(string(out), tt.output) {
			t.Errorf("%q: exit code %d, want %d\n%s", tt.args, got, tt.code, out)
		}
	}
}

// TestExecWithoutDashes checks that exec finds the command in PATH and passes its flags on.
// TestExecEnvironment checks that the command gets the environment without the variables that are
// for a supervisor.
func TestExecEnvironment(t *testing.T) {
	c := exec.Command(filepath.Join(bin, "supervisor"), "exec", "--", "/usr/bin/env")
	c.Env = []string{"A=1", "SUPERVISOR_VAR_password=hunter2", "SUPERVISOR_SOCKET=/run/s",
		"SUPERVISOR_VARIABLE=x"}
	out, err := c.CombinedOutput()
	if want := "A=1\nSUPERVISOR_VARIABLE=x\n"; err != nil || string(out) != want {
		t.Errorf("got %q, %v, want %q", out, err, want)
	}
}

func TestExecWithoutDashes(t *testing.T) {
	s := startExec(t, "sh", "-c", "echo $0 $1", "-v", "--strict")
	s.expectExit(0)
	if got := s.output.text(); got != "-v --strict" {
		t.Errorf("got the output %q", got)
	}
}

// forwarded returns all signals that exec forwards. Go's runtime handles 32 to 34 itself; the
// signals of job control have their own tests.
func forwarded() (all []syscall.Signal) {
	for sig := syscall.Signal(1); sig <= 64; sig++ {
		switch sig {
		case unix.SIGKILL, unix.SIGSTOP, unix.SIGCHLD, unix.SIGURG, unix.SIGPROF, 32, 33, 34:
		case unix.SIGTSTP, unix.SIGTTIN, unix.SIGTTOU, unix.SIGTERM: // have tests of their own
		default:
			all = append(all, sig)
		}
	}
	return append(all, unix.SIGTERM)
}

func TestExecForwards(t *testing.T) {
	for _, flags := range [][]string{nil, {"--setsid"}, {"--kill-scope", "process"},
		{"--kill-scope", "tree"}, {"--strict"}} {
		t.Run(strings.Join(flags, " "), func(t *testing.T) {
			s := startExec(t, append(flags, "--", "fixture", "signals", "cmd")...)
			s.awaitPID("cmd")
			for _, sig := range forwarded() {
				s.signal(sig)
				s.awaitLine(fmt.Sprintf("cmd got %d", sig))
			}
			s.expectExit(0)
		})
	}
}

func TestExecRewrites(t *testing.T) {
	s := startExec(t, "--rewrite", "10:12", "--rewrite", "HUP:sigquit", "--rewrite", "SIGINT:0",
		"--rewrite", "RTMIN+3:15", "--", "fixture", "signals", "cmd")
	s.awaitPID("cmd")
	s.signal(unix.SIGUSR1)
	s.awaitLine("cmd got 12")
	s.signal(unix.SIGINT)
	s.signal(unix.SIGHUP)
	s.awaitLine("cmd got 3")
	s.signal(37)
	s.awaitLine("cmd got 15")
	s.expectExit(0)
	if text := s.output.text(); strings.Contains(text, "got 10") ||
		strings.Contains(text, "got 2\n") || strings.Contains(text, "got 1\n") {
		t.Errorf("a signal was not rewritten:\n%s", text)
	}
}

// TestExecRewritesTerm checks that a rewritten SIGTERM starts the deadline too, and that a
// discarded one does not.
func TestExecRewritesTerm(t *testing.T) {
	s := startExec(t, "--rewrite", "15:3", "--deadline", "300ms", "--", "fixture", "signals", "cmd")
	s.awaitPID("cmd")
	s.signal(unix.SIGTERM)
	s.awaitLine("cmd got 3")
	s.expectExit(124)

	s = startExec(t, "--rewrite", "15:0", "--rewrite", "10:15", "--deadline", "1ns", "--",
		"fixture", "signals", "cmd")
	s.awaitPID("cmd")
	s.signal(unix.SIGTERM)
	s.signal(unix.SIGHUP)
	s.awaitLine("cmd got 1")
	s.signal(unix.SIGUSR1)
	s.expectExit(0)
}

// TestExecDeadline checks that only SIGTERM starts the deadline.
func TestExecDeadline(t *testing.T) {
	s := startExec(t, "--deadline", "200ms", "--", "fixture", "ignore-term")
	s.awaitLine("ready")
	began := time.Now()
	s.signal(unix.SIGTERM)
	s.expectExit(124)
	if took := time.Since(began); took < 150*time.Millisecond {
		t.Errorf("killed after %v, want at least 150ms", took)
	}

	s = startExec(t, "--deadline", "100ms", "--", "sh", "-c", "sleep 0.4; exit 9")
	s.expectExit(9)
}

func TestExecSecondTerm(t *testing.T) {
	s := startExec(t, "--deadline", "10m", "--verbose", "--", "fixture", "ignore-term")
	s.awaitLine("ready")
	s.signal(unix.SIGTERM)
	s.awaitLogLine("signal sent: child=fixture")
	s.signalAgain(unix.SIGTERM)
	s.expectExit(124)
}

// awaitLogLine waits for a line with the text in a log of format text.
func (s *supervisor) awaitLogLine(text string) string {
	s.t.Helper()
	line, _, err := s.log.find(0, func(line string) bool { return strings.Contains(line, text) })
	if err != nil {
		s.t.Fatalf("no line with %q in the log: %v", text, err)
	}
	return line
}

// TestExecStopsOrphans checks that processes that the command leaves behind are stopped within
// the deadline.
func TestExecStopsOrphans(t *testing.T) {
	s := startExec(t, "--verbose", "--", "sh", "-c",
		"sleep 1000 | sleep 1000 & sleep 1000 | sleep 1000 & exit 3")
	s.expectExit(3)
	if n := strings.Count(s.log.text(), "orphan reaped: "); n < 4 {
		t.Errorf("%d orphans were reaped, want at least 4", n)
	}
	s = startExec(t, "sh", "-c", "sleep 1000 & exit 0")
	s.expectExit(0)
	s.awaitLogLine(`left behind: what=process`)
	s = startExec(t, "--deadline", "300ms", "--", "fixture", "daemon", "ignore-term")
	s.expectExit(124)
	s.awaitLogLine("signal sent: orphan=fixture")
}

// TestExecStopsPipelines checks that SIGTERM stops pipelines of background jobs in every group
// and session.
func TestExecStopsPipelines(t *testing.T) {
	for _, flags := range [][]string{nil, {"--setsid"}, {"--kill-scope", "process"},
		{"--kill-scope", "tree"}} {
		t.Run(strings.Join(flags, " "), func(t *testing.T) {
			s := startExec(t, append(flags, "--", "sh", "-c",
				"sleep 1000 | sleep 1000 & setsid sleep 1000 | sleep 1000 & echo started; wait")...)
			s.awaitLine("started")
			s.signal(unix.SIGTERM)
			s.expectExit(143)
		})
	}
}

func TestExecKillScope(t *testing.T) {
	for scope, reached := range map[string]string{"process": "parent", "group": "near parent",
		"tree": "far near parent"} {
		t.Run(scope, func(t *testing.T) {
			s := startExec(t, "--kill-scope", scope, "--", "fixture", "family")
			for _, name := range []string{"near", "far", "parent"} {
				s.awaitPID(name)
			}
			s.signal(unix.SIGUSR1)
			for name := range strings.FieldsSeq(reached) {
				s.awaitLine(name + " got 10")
			}
			s.signal(unix.SIGTERM)
			s.expectExit(0)
			var got []string
			got10 := regexp.MustCompile(`(?m)^(\w+) got 10$`)
			for _, m := range got10.FindAllStringSubmatch(s.output.text(), -1) {
				got = append(got, m[1])
			}
			slices.Sort(got)
			if strings.Join(got, " ") != reached {
				t.Errorf("the signal reached %q, want %q", got, reached)
			}
			// by the signal or by the sweep
			for _, name := range []string{"near", "far", "parent"} {
				if n := strings.Count(s.output.text(), name+" got 15"); n != 1 {
					t.Errorf("%s got SIGTERM %d times, want 1", name, n)
				}
			}
		})
	}
}

// TestExecSuspends checks job control: exec forwards the signal and stops itself, as dumb-init
// does.
func TestExecSuspends(t *testing.T) {
	for _, sig := range []syscall.Signal{unix.SIGTSTP, unix.SIGTTIN, unix.SIGTTOU} {
		t.Run(fmt.Sprint(int(sig), " in a group"), func(t *testing.T) {
			s := startExec(t, "--", "fixture", "signals", "cmd")
			s.awaitPID("cmd")
			s.signal(sig)
			s.awaitLine(fmt.Sprintf("cmd got %d", sig))
			s.awaitState(s.pid, stopped)
			s.signal(unix.SIGCONT)
			s.awaitLine("cmd got 18")
			s.awaitState(s.pid, running)
			s.signal(unix.SIGTERM)
			s.expectExit(0)
		})
		t.Run(fmt.Sprint(int(sig), " in a session"), func(t *testing.T) {
			s := startExec(t, "--setsid", "--", "fixture", "signals", "cmd")
			pid := s.awaitPID("cmd")
			s.signal(sig)
			s.awaitState(pid, stopped)
			s.awaitState(s.pid, stopped)
			s.signal(unix.SIGCONT)
			s.awaitLine("cmd got 18")
			s.awaitState(s.pid, running)
			s.signal(unix.SIGTERM)
			s.expectExit(0)
			if strings.Contains(s.output.text(), fmt.Sprintf("cmd got %d", sig)) {
				t.Errorf("the command got signal %d, want SIGSTOP", sig)
			}
		})
	}
}

func TestExecSession(t *testing.T) {
	for _, flags := range [][]string{nil, {"--setsid"}} {
		s := startExec(t, append(flags, "--", "sh", "-c", "cat /proc/self/stat")...)
		s.expectExit(0)
		f := strings.Fields(s.output.text())
		own, err := unix.Getsid(0)
		if err != nil || len(f) < 6 {
			t.Fatal(err, f)
		}
		if session, _ := strconv.Atoi(f[5]); (session == own) != (flags == nil) {
			t.Errorf("%v: the session of the command is %d, that of the test %d", flags, session,
				own)
		}
	}
}

func TestExecReapsZombies(t *testing.T) {
	s := startExec(t, "--verbose", "--", "fixture", "zombies", "100")
	s.expectExit(0)
	if n := strings.Count(s.log.text(), "orphan reaped: "); n != 100 {
		t.Errorf("%d orphans were reaped, want 100", n)
	}
}

// TestExecPassesSignalState checks that the command inherits the signal mask and the ignored
// signals.
func TestExecPassesSignalState(t *testing.T) {
	set := func(sigs ...syscall.Signal) (s uint64) {
		for _, sig := range sigs {
			s |= 1 << (sig - 1)
		}
		return s
	}
	all := ^uint64(0) &^ set(unix.SIGKILL, unix.SIGSTOP)
	for _, tt := range []struct{ ignored, blocked uint64 }{
		{0, 0},
		{set(unix.SIGHUP, unix.SIGINT), 0},
		{set(unix.SIGHUP, unix.SIGINT, unix.SIGQUIT, unix.SIGPIPE), 0}, // without a start verb
		{set(unix.SIGPIPE, unix.SIGUSR1, unix.SIGUSR2, unix.SIGALRM, unix.SIGQUIT, unix.SIGTERM,
			unix.SIGSEGV, unix.SIGCHLD, 34, 40, 64), 0},
		{0, set(unix.SIGTTIN, unix.SIGILL, unix.SIGTERM, 34, 64)},
		{set(unix.SIGPIPE, unix.SIGTTOU), set(unix.SIGPIPE, unix.SIGINT)},
		{all, all},
	} {
		for _, flags := range [][]string{nil, {"--strict"}, {"--setsid"}} {
			s := prepareExec(t)
			s.cmd.Path, s.cmd.Args = filepath.Join(bin, "fixture"), append([]string{
				"fixture", "dispositions", strconv.FormatUint(tt.ignored, 16),
				strconv.FormatUint(tt.blocked, 16), filepath.Join(bin, "supervisor"), "exec",
			}, append(flags, "--", "cat", "/proc/self/status")...) // it handles none itself
			s.launch()
			s.expectExit(0)
			if want := fmt.Sprintf("SigBlk:\t%016x\nSigIgn:\t%016x\n", tt.blocked,
				tt.ignored); !strings.Contains(s.output.text(), want) {
				t.Errorf("%v: got %s, want\n%s", flags, s.output.text(), want)
			}
		}
	}
}

// TestRunPassesSignalState checks that a child of run inherits the ignored signals, except the
// stop signals: of HUP, USR1, PIPE, STKFLT, 61, INT, QUIT and TERM, and of two that need no start
// verb.
func TestRunPassesSignalState(t *testing.T) {
	for ignored, want := range map[string]string{
		"100000000000d207": "1000000000009201", "1003": "0000000000001001",
	} {
		s := prepare(t, `child "status" {
  command = "/bin/cat"
  args    = ["/proc/self/status"]
}`)
		args := s.cmd.Args[1:]
		s.cmd.Path = filepath.Join(bin, "fixture")
		s.cmd.Args = append([]string{"fixture", "dispositions", ignored, "0",
			filepath.Join(bin, "supervisor")}, args...)
		s.launch()
		s.awaitLine("SigBlk:\t0000000000000000")
		s.awaitLine("SigIgn:\t" + want)
		s.expectStop(0, "graceful")
	}
}

// TestExecPassesDescriptors checks that the command inherits the descriptors beyond the
// standard streams, and that they do not count as leaked.
func TestExecPassesDescriptors(t *testing.T) {
	for _, flags := range [][]string{nil, {"--strict"}} {
		s := prepareExec(t, append(flags, "--", "sh", "-c", "cat <&3; exit 4")...)
		file := filepath.Join(t.TempDir(), "given")
		if err := os.WriteFile(file, []byte("given\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		f, err := os.Open(file)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		s.cmd.ExtraFiles = []*os.File{f}
		s.launch()
		s.awaitLine("given")
		s.expectExit(4)
	}
}

func TestExecSuccessCode(t *testing.T) {
	for _, tt := range []struct {
		end  string
		code int
	}{{"exit 7", 0}, {"kill $$", 0}, {"exit 8", 8}, {"exit 0", 0}} {
		s := startExec(t, "--success-code", "7", "-e", "143", "--", "sh", "-c", tt.end)
		s.expectExit(tt.code)
	}
	s := startExec(t, "-e", "124", "--deadline", "100ms", "--", "fixture", "ignore-term")
	s.awaitLine("ready")
	s.signal(unix.SIGTERM)
	s.expectExit(124) // ours, not the command's
}

// TestSuccessCodeDoesNotHideFindings checks that --success-code is about the command's own code:
// the 3 of --strict stays.
func TestSuccessCodeDoesNotHideFindings(t *testing.T) {
	leak := "exec 7</dev/null; exec sh -c 'exit 3'"
	for _, tt := range []struct {
		args []string
		code int
	}{
		{[]string{"-e", "3", "--"}, 0},
		{[]string{"-e", "3", "--strict", "--"}, 0},
		{[]string{"-e", "3", "--strict", "--findings", "all", "--"}, 3},
		{[]string{"-e", "3", "--strict", "--findings", "all", "--allow", "file", "--"}, 0},
	} {
		s := startExec(t, append(tt.args, "sh", "-c", leak)...)
		s.expectExit(tt.code)
	}
}

// TestExecWaitMain checks that --wait main leaves descendants running.
func TestExecWaitMain(t *testing.T) {
	s := startExec(t, "--wait", "main", "--", "sh", "-c", "sleep 1000 >/dev/null 2>&1 & exit 3")
	if code := s.exitCode(); code != 3 {
		t.Errorf("exit code %d, want 3", code)
	}
	left := liveProcesses(t)
	if len(left) != 1 || left[0].Comm != "sleep" {
		t.Errorf("processes left: %+v, want none", left)
	}
	for _, p := range left {
		_ = unix.Kill(p.Pid, unix.SIGKILL)
	}
}

func TestExecParentDeath(t *testing.T) {
	s := prepareExec(t)
	s.cmd.Path, s.cmd.Args = "/bin/sh", []string{"sh", "-c",
		"supervisor exec -p USR1 -- fixture signals cmd & wait"}
	s.launch()
	s.awaitPID("cmd")
	if err := s.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	s.awaitLine("cmd got 10")
	for _, p := range liveProcesses(t) {
		if p.Comm == "supervisor" {
			_ = unix.Kill(p.Pid, unix.SIGTERM)
		}
	}
	s.awaitLine("cmd got 15")
	s.exitCode()
}

// TestExecIsKilled checks that the command gets SIGTERM if the supervisor is killed.
func TestExecIsKilled(t *testing.T) {
	for _, flags := range [][]string{nil, {"--strict"}, {"--setsid"}} {
		s := startExec(t, append(flags, "--", "fixture", "signals", "cmd")...)
		s.awaitPID("cmd")
		s.signal(unix.SIGKILL)
		s.awaitLine("cmd got 15")
		s.exitCode()
	}
}

func TestExecTermAfter(t *testing.T) {
	s := startExec(t, "--term-after", "100ms", "--", "fixture", "signals", "cmd")
	s.awaitLine("cmd got 15")
	s.expectExit(0)

	s = startExec(t, "--term-after", "1h", "--", "sh", "-c", "exit 6")
	s.expectExit(6)

	port := freePort(t)
	s = prepareExec(t, "--term-after", "ready:tcp:127.0.0.1:"+port, "--", "server")
	s.cmd.Env = append(s.cmd.Env, "SERVER_PORT="+port)
	s.launch()
	s.expectExit(0)
	s.awaitLine("action: listen")

	s = startExec(t, "--term-after", "ready:tcp:"+freePort(t), "--ready-timeout", "200ms", "--",
		"fixture", "signals", "cmd")
	s.awaitLine("cmd got 15")
	s.expectExit(1)
	s.awaitLogLine("not ready in time")
}

// TestExecStrict checks that a command that exits by itself is judged too, from its first
// instruction on.
func TestExecStrict(t *testing.T) {
	file := filepath.Join(t.TempDir(), "left\x1b[31m")
	for _, tt := range []struct {
		command string
		code    int
		says    []string
	}{
		{"exit 4", 4, []string{"supervisor: verdict graceful, 0 findings, exit code 4"}},
		{"exec 7>'" + file + "'; exit 4", 3, []string{
			"PROCESS  ", "FD  KIND  TARGET", `  7   file  `, `left\x1b[31m`,
			"supervisor: verdict leaky, 1 finding, exit code 3",
		}},
		{"exec 7>'" + file + "'; kill $$", 3,
			[]string{"supervisor: verdict leaky, 1 finding, exit code 3"}},
		{"exec 7>'" + file + "'; kill $PPID; while :; do :; done", 3,
			[]string{"supervisor: verdict leaky, 1 finding, exit code 3"}},
		{"exec 7>'" + file + "' 7>&-; exit 4", 4,
			[]string{"supervisor: verdict graceful, 0 findings, exit code 4"}},
	} {
		s := startExec(t, "--strict", "--findings", "all", "--", "sh", "-c", tt.command)
		s.expectExit(tt.code)
		for _, want := range tt.says {
			if !strings.Contains(s.log.text(), want) {
				t.Errorf("%s: want %q in the log, got\n%s", tt.command, want, s.log.text())
			}
		}
		if strings.Contains(s.log.text(), "\x1b") || strings.HasPrefix(tt.command, "exit") &&
			strings.Count(s.log.text(), "\n") > 0 {
			t.Errorf("%s: got the log\n%s", tt.command, s.log.text())
		}
	}
}

// TestExecStrictSeesFastExit checks that the descriptors of a command that exits at once are
// seen.
func TestExecStrictSeesFastExit(t *testing.T) {
	for range 50 {
		s := startExec(
			t, "--strict", "--findings", "all", "--", "sh", "-c", "exec 7</dev/null",
		)
		s.expectExit(3)
	}
}

// TestExecEarlySignals checks that signals that arrive before the command runs are forwarded.
func TestExecEarlySignals(t *testing.T) {
	for range 20 {
		s := startExec(t, "--strict", "--", "fixture", "signals", "cmd")
		s.signal(unix.SIGWINCH) // caught by now or not yet: it ends no process
		s.awaitPID("cmd")
		s.signal(unix.SIGTERM)
		s.expectExit(0)
	}
}
