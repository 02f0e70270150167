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

// prepareExec makes a supervisor that runs one command.
func prepareExec(t *testing.T, args ...string) *super {
	t.Helper()
	s := &super{t: t, output: newLines(), log: newLines(), exited: make(chan struct{})}
	s.cmd = exec.Command(filepath.Join(bin, "supervisor"), append([]string{"exec"}, args...)...)
	s.cmd.Env = append(os.Environ(), "PATH="+bin+":/usr/local/bin:/usr/bin:/bin", mark(t))
	return s
}

func startExec(t *testing.T, args ...string) *super {
	t.Helper()
	s := prepareExec(t, args...)
	s.launch()
	return s
}

// mark is an environment variable that all processes of a test have.
func mark(t *testing.T) string { return "SUPERVISOR_TEST_MARK=" + t.Name() + strconv.Itoa(os.Getpid()) }

// alive lists the processes of a test.
func alive(t *testing.T) (all []procfs.Stat) {
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
		if !slices.Contains(strings.Split(string(environ), "\x00"), mark(t)) {
			continue
		}
		if s, err := procfs.ReadStat(pid); err == nil && !s.Dead() {
			all = append(all, s)
		}
	}
	return all
}

// ended checks the exit code, and that nobody of the test is left.
func (s *super) ended(code int) {
	s.t.Helper()
	if got := s.code(); got != code {
		s.t.Errorf("exit code %d, want %d", got, code)
	}
	if left := alive(s.t); len(left) > 0 {
		s.t.Errorf("left: %+v", left)
	}
}

// ready returns the pid of a fixture that says that it is.
func (s *super) ready(name string) int {
	s.t.Helper()
	line, _, err := s.output.from(0, func(line string) bool { return strings.HasPrefix(line, name+" ready ") })
	if err != nil {
		s.t.Fatalf("%s is not ready: %v", name, err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(strings.TrimPrefix(line, name+" ready "))) // a terminal ends lines with \r\n
	if err != nil || pid <= 0 {
		s.t.Fatalf("%q has no pid: %v", line, err)
	}
	return pid
}

// state waits until a process is in one of the states.
func (s *super) state(pid int, states string) {
	s.t.Helper()
	var last procfs.Stat
	for late := time.Now().Add(limit); time.Now().Before(late); time.Sleep(time.Millisecond) { // the kernel tells its parent only
		last, _ = procfs.ReadStat(pid)
		if strings.ContainsRune(states, rune(last.State)) {
			return
		}
	}
	s.t.Fatalf("%d is in state %c and not in one of %s", pid, last.State, states)
}

const (
	stopped = "T"
	runs    = "RSD"
)

// Every code comes through.
func TestExecCodes(t *testing.T) {
	codes := make(chan int)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for code := range codes {
				c := exec.Command(filepath.Join(bin, "supervisor"), "exec", "--", "/bin/sh", "-c", fmt.Sprint("exit ", code))
				out, _ := c.CombinedOutput()
				if got := c.ProcessState.ExitCode(); got != code {
					t.Errorf("exit code %d, want %d", got, code)
				}
				if len(out) > 0 {
					t.Errorf("code %d: it says %q", code, out)
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

// A signal that ends the command is 128 and its number.
func TestExecCodesOfSignals(t *testing.T) {
	for sig := syscall.Signal(1); sig <= 64; sig++ {
		switch sig {
		case unix.SIGCHLD, unix.SIGURG, unix.SIGWINCH, unix.SIGCONT, unix.SIGSTOP, unix.SIGTSTP, unix.SIGTTIN, unix.SIGTTOU, 32, 33:
			continue // those end nobody; two are the C library's
		}
		s := prepareExec(t, "--", "/bin/sh", "-c", fmt.Sprintf("ulimit -c 0; kill -%d $$", sig))
		if out, _ := s.cmd.CombinedOutput(); s.cmd.ProcessState.ExitCode() != 128+int(sig) {
			t.Errorf("signal %d: exit code %d, %s", sig, s.cmd.ProcessState.ExitCode(), out)
		}
	}
}

func TestExecWithoutACommand(t *testing.T) {
	dir := t.TempDir()
	for name, mode := range map[string]os.FileMode{"plain": 0o644, "nonsense": 0o755, "nointerpreter": 0o755} {
		text := map[string]string{"nonsense": "\x7fELF, not really", "nointerpreter": "#!/not/there\n"}[name]
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), mode); err != nil {
			t.Fatal(err)
		}
	}
	for _, tt := range []struct {
		args []string
		code int
		says string
	}{
		{nil, 2, "requires at least 1 arg"},
		{[]string{"--rewrite", "15", "--", "true"}, 2, "--rewrite"},
		{[]string{"--rewrite", "15:NOSUCH", "--", "true"}, 2, "not a signal"},
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
		{[]string{"--strict", "--", filepath.Join(dir, "plain")}, 126, "permission denied"}, // by the start verb
		{[]string{"--strict", "--", "/no/such/command"}, 127, "no such file"},
	} {
		s := prepareExec(t, tt.args...)
		out, _ := s.cmd.CombinedOutput()
		if got := s.cmd.ProcessState.ExitCode(); got != tt.code || !strings.Contains(string(out), tt.says) {
			t.Errorf("%q: exit code %d, want %d\n%s", tt.args, got, tt.code, out)
		}
	}
}

// What is found in PATH, and that the command's flags are its own.
func TestExecWithoutDashes(t *testing.T) {
	s := startExec(t, "sh", "-c", "echo $0 $1", "-v", "--strict")
	s.ended(0)
	if got := s.output.text(); got != "-v --strict" {
		t.Errorf("it says %q", got)
	}
}

// forwarded are all signals that exec passes on: 32 to 34 are not let through
// by Go's runtime, the others mean something to it.
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
	for _, flags := range [][]string{nil, {"--setsid"}, {"--kill-scope", "process"}, {"--kill-scope", "tree"}, {"--strict"}} {
		t.Run(strings.Join(flags, " "), func(t *testing.T) {
			s := startExec(t, append(flags, "--", "fixture", "signals", "cmd")...)
			s.ready("cmd")
			for _, sig := range forwarded() {
				s.signal(sig)
				s.prints(fmt.Sprintf("cmd got %d", sig))
			}
			s.ended(0)
		})
	}
}

func TestExecRewrites(t *testing.T) {
	s := startExec(t, "--rewrite", "10:12", "--rewrite", "HUP:sigquit", "--rewrite", "SIGINT:0", "--rewrite", "RTMIN+3:15", "--", "fixture", "signals", "cmd")
	s.ready("cmd")
	s.signal(unix.SIGUSR1)
	s.prints("cmd got 12")
	s.signal(unix.SIGINT)
	s.signal(unix.SIGHUP)
	s.prints("cmd got 3")
	s.signal(37)
	s.prints("cmd got 15")
	s.ended(0)
	if text := s.output.text(); strings.Contains(text, "got 10") || strings.Contains(text, "got 2\n") || strings.Contains(text, "got 1\n") {
		t.Errorf("something came as it was:\n%s", text)
	}
}

// A rewritten SIGTERM starts the deadline too; a swallowed one means nothing.
func TestExecRewritesTerm(t *testing.T) {
	s := startExec(t, "--rewrite", "15:3", "--deadline", "300ms", "--", "fixture", "signals", "cmd")
	s.ready("cmd")
	s.signal(unix.SIGTERM)
	s.prints("cmd got 3")
	s.ended(124)

	s = startExec(t, "--rewrite", "15:0", "--rewrite", "10:15", "--deadline", "1ns", "--", "fixture", "signals", "cmd")
	s.ready("cmd")
	s.signal(unix.SIGTERM)
	s.signal(unix.SIGHUP)
	s.prints("cmd got 1")
	s.signal(unix.SIGUSR1)
	s.ended(0)
}

// Without a SIGTERM there is no deadline, with one there is.
func TestExecDeadline(t *testing.T) {
	s := startExec(t, "--deadline", "200ms", "--", "fixture", "deaf")
	s.prints("ready")
	began := time.Now()
	s.signal(unix.SIGTERM)
	s.ended(124)
	if took := time.Since(began); took < 150*time.Millisecond {
		t.Errorf("it was killed after %v", took)
	}

	s = startExec(t, "--deadline", "100ms", "--", "sh", "-c", "sleep 0.4; exit 9")
	s.ended(9)
}

func TestExecSecondTerm(t *testing.T) {
	s := startExec(t, "--deadline", "10m", "--verbose", "--", "fixture", "deaf")
	s.prints("ready")
	s.signal(unix.SIGTERM)
	s.logs("signal sent: child=fixture")
	s.another(unix.SIGTERM)
	s.ended(124)
}

// logs waits for a line of a log that is text.
func (s *super) logs(text string) string {
	s.t.Helper()
	line, _, err := s.log.from(0, func(line string) bool { return strings.Contains(line, text) })
	if err != nil {
		s.t.Fatalf("no line with %q in the log: %v", text, err)
	}
	return line
}

// What the command leaves behind is ended, within a deadline.
func TestExecEndsWhatIsLeft(t *testing.T) {
	s := startExec(t, "--verbose", "--", "sh", "-c", "sleep 1000 | sleep 1000 & sleep 1000 | sleep 1000 & exit 3")
	s.ended(3)
	if n := strings.Count(s.log.text(), "orphan reaped: "); n < 4 {
		t.Errorf("%d orphans", n)
	}
	s = startExec(t, "sh", "-c", "sleep 1000 & exit 0")
	s.ended(0)
	s.logs(`left behind: what=process`)
	s = startExec(t, "--deadline", "300ms", "--", "fixture", "daemon", "deaf")
	s.ended(124)
	s.logs("signal sent: orphan=fixture")
}

// Pipelines of background jobs are gone after a SIGTERM, wherever they went.
func TestExecEndsPipelines(t *testing.T) {
	for _, flags := range [][]string{nil, {"--setsid"}, {"--kill-scope", "process"}, {"--kill-scope", "tree"}} {
		t.Run(strings.Join(flags, " "), func(t *testing.T) {
			s := startExec(t, append(flags, "--", "sh", "-c", "sleep 1000 | sleep 1000 & setsid sleep 1000 | sleep 1000 & echo started; wait")...)
			s.prints("started")
			s.signal(unix.SIGTERM)
			s.ended(143)
		})
	}
}

func TestExecKillScope(t *testing.T) {
	for scope, reached := range map[string]string{"process": "parent", "group": "near parent", "tree": "far near parent"} {
		t.Run(scope, func(t *testing.T) {
			s := startExec(t, "--kill-scope", scope, "--", "fixture", "family")
			for _, name := range []string{"near", "far", "parent"} {
				s.ready(name)
			}
			s.signal(unix.SIGUSR1)
			for name := range strings.FieldsSeq(reached) {
				s.prints(name + " got 10")
			}
			s.signal(unix.SIGTERM)
			s.ended(0)
			var got []string
			for _, m := range regexp.MustCompile(`(?m)^(\w+) got 10$`).FindAllStringSubmatch(s.output.text(), -1) {
				got = append(got, m[1])
			}
			slices.Sort(got)
			if strings.Join(got, " ") != reached {
				t.Errorf("it reached %q, want %q", got, reached)
			}
			for _, name := range []string{"near", "far", "parent"} { // by the signal or by the sweep
				if n := strings.Count(s.output.text(), name+" got 15"); n != 1 {
					t.Errorf("%s got SIGTERM %d times", name, n)
				}
			}
		})
	}
}

// Job control, as dumb-init has it: the signal is passed on, and we stop too.
func TestExecSuspends(t *testing.T) {
	for _, sig := range []syscall.Signal{unix.SIGTSTP, unix.SIGTTIN, unix.SIGTTOU} {
		t.Run(fmt.Sprint(int(sig), " in a group"), func(t *testing.T) {
			s := startExec(t, "--", "fixture", "signals", "cmd")
			s.ready("cmd")
			s.signal(sig)
			s.prints(fmt.Sprintf("cmd got %d", sig))
			s.state(s.pid, stopped)
			s.signal(unix.SIGCONT)
			s.prints("cmd got 18")
			s.state(s.pid, runs)
			s.signal(unix.SIGTERM)
			s.ended(0)
		})
		t.Run(fmt.Sprint(int(sig), " in a session"), func(t *testing.T) {
			s := startExec(t, "--setsid", "--", "fixture", "signals", "cmd")
			pid := s.ready("cmd")
			s.signal(sig)
			s.state(pid, stopped)
			s.state(s.pid, stopped)
			s.signal(unix.SIGCONT)
			s.prints("cmd got 18")
			s.state(s.pid, runs)
			s.signal(unix.SIGTERM)
			s.ended(0)
			if strings.Contains(s.output.text(), fmt.Sprintf("cmd got %d", sig)) {
				t.Errorf("signal %d came as it was", sig)
			}
		})
	}
}

func TestExecSession(t *testing.T) {
	for _, flags := range [][]string{nil, {"--setsid"}} {
		s := startExec(t, append(flags, "--", "sh", "-c", "cat /proc/self/stat")...)
		s.ended(0)
		f := strings.Fields(s.output.text())
		own, err := unix.Getsid(0)
		if err != nil || len(f) < 6 {
			t.Fatal(err, f)
		}
		if session, _ := strconv.Atoi(f[5]); (session == own) != (flags == nil) {
			t.Errorf("%v: its session is %d, ours %d", flags, session, own)
		}
	}
}

func TestExecReapsZombies(t *testing.T) {
	s := startExec(t, "--verbose", "--", "fixture", "zombies", "100")
	s.ended(0)
	if n := strings.Count(s.log.text(), "orphan reaped: "); n != 100 {
		t.Errorf("%d of 100 were reaped", n)
	}
}

// Masks and dispositions are handed on as they were.
func TestExecHandsOnSignals(t *testing.T) {
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
		{set(unix.SIGPIPE, unix.SIGUSR1, unix.SIGUSR2, unix.SIGALRM, unix.SIGQUIT, unix.SIGTERM, unix.SIGSEGV, unix.SIGCHLD, 34, 40, 64), 0},
		{0, set(unix.SIGTTIN, unix.SIGILL, unix.SIGTERM, 34, 64)},
		{set(unix.SIGPIPE, unix.SIGTTOU), set(unix.SIGPIPE, unix.SIGINT)},
		{all, all},
	} {
		for _, flags := range [][]string{nil, {"--strict"}, {"--setsid"}} {
			s := prepareExec(t)
			s.cmd.Path, s.cmd.Args = filepath.Join(bin, "fixture"), append([]string{
				"fixture", "dispose", strconv.FormatUint(tt.ignored, 16), strconv.FormatUint(tt.blocked, 16), filepath.Join(bin, "supervisor"), "exec",
			}, append(flags, "--", "cat", "/proc/self/status")...) // it handles none itself
			s.launch()
			s.ended(0)
			if want := fmt.Sprintf("SigBlk:\t%016x\nSigIgn:\t%016x\n", tt.blocked, tt.ignored); !strings.Contains(s.output.text(), want) {
				t.Errorf("%v: not\n%s", flags, want)
			}
		}
	}
}

// A child of run gets what was ignored as well, but for what stops it.
func TestRunHandsOnSignals(t *testing.T) {
	s := prepare(t, `child "status" {
  command = "/bin/cat"
  args    = ["/proc/self/status"]
}`)
	args := s.cmd.Args[1:]
	s.cmd.Path = filepath.Join(bin, "fixture")
	s.cmd.Args = append([]string{"fixture", "dispose", "100000000000d207", "0", filepath.Join(bin, "supervisor")}, args...)
	s.launch()
	s.prints("SigBlk:\t0000000000000000")
	s.prints("SigIgn:\t1000000000009201") // HUP, USR1, PIPE, STKFLT and 61; not INT, QUIT and TERM
	s.ends(0, "graceful")
}

// What we were given beyond the standard streams the command has too, and it is
// not taken for its own.
func TestExecHandsOnDescriptors(t *testing.T) {
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
		s.prints("given")
		s.ended(4)
	}
}

func TestExecSuccessCode(t *testing.T) {
	for _, tt := range []struct {
		end  string
		code int
	}{{"exit 7", 0}, {"kill $$", 0}, {"exit 8", 8}, {"exit 0", 0}} {
		s := startExec(t, "--success-code", "7", "-e", "143", "--", "sh", "-c", tt.end)
		s.ended(tt.code)
	}
	s := startExec(t, "-e", "124", "--deadline", "100ms", "--", "fixture", "deaf")
	s.prints("ready")
	s.signal(unix.SIGTERM)
	s.ended(124) // ours, not the command's
}

// With --wait main what is left is left alone.
func TestExecWaitMain(t *testing.T) {
	s := startExec(t, "--wait", "main", "--", "sh", "-c", "sleep 1000 >/dev/null 2>&1 & exit 3")
	if code := s.code(); code != 3 {
		t.Errorf("exit code %d", code)
	}
	left := alive(t)
	if len(left) != 1 || left[0].Comm != "sleep" {
		t.Errorf("left: %+v", left)
	}
	for _, p := range left {
		_ = unix.Kill(p.Pid, unix.SIGKILL)
	}
}

func TestExecParentDeath(t *testing.T) {
	s := prepareExec(t)
	s.cmd.Path, s.cmd.Args = "/bin/sh", []string{"sh", "-c", "supervisor exec -p USR1 -- fixture signals cmd & wait"}
	s.launch()
	s.ready("cmd")
	if err := s.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	s.prints("cmd got 10")
	for _, p := range alive(t) {
		if p.Comm == "supervisor" {
			_ = unix.Kill(p.Pid, unix.SIGTERM)
		}
	}
	s.prints("cmd got 15")
	s.code()
}

// If we die unexpectedly the command gets SIGTERM.
func TestExecDies(t *testing.T) {
	for _, flags := range [][]string{nil, {"--strict"}, {"--setsid"}} {
		s := startExec(t, append(flags, "--", "fixture", "signals", "cmd")...)
		s.ready("cmd")
		s.signal(unix.SIGKILL)
		s.prints("cmd got 15")
		s.code()
	}
}

func TestExecTermAfter(t *testing.T) {
	s := startExec(t, "--term-after", "100ms", "--", "fixture", "signals", "cmd")
	s.prints("cmd got 15")
	s.ended(0)

	s = startExec(t, "--term-after", "1h", "--", "sh", "-c", "exit 6")
	s.ended(6)

	port := free(t)
	s = prepareExec(t, "--term-after", "ready:tcp:127.0.0.1:"+port, "--", "server")
	s.cmd.Env = append(s.cmd.Env, "SERVER_PORT="+port)
	s.launch()
	s.ended(0)
	s.prints("action: listen")

	s = startExec(t, "--term-after", "ready:tcp:"+free(t), "--ready-timeout", "200ms", "--", "fixture", "signals", "cmd")
	s.prints("cmd got 15")
	s.ended(1)
	s.logs("not ready in time")
}

// A command that ends by itself is judged too, from its first instruction on.
func TestExecStrict(t *testing.T) {
	file := filepath.Join(t.TempDir(), "left\x1b[31m")
	for _, tt := range []struct {
		command string
		code    int
		says    []string
	}{
		{"exit 4", 4, []string{"supervisor: verdict graceful, 0 left, exit code 4"}},
		{"exec 7>'" + file + "'; exit 4", 3, []string{
			"PROCESS  ", "FD  KIND  TARGET", `  7   file  `, `left\x1b[31m`, "supervisor: verdict leaky, 1 left, exit code 3",
		}},
		{"exec 7>'" + file + "'; kill $$", 3, []string{"supervisor: verdict leaky, 1 left, exit code 3"}},
		{"exec 7>'" + file + "'; kill $PPID; while :; do :; done", 3, []string{"supervisor: verdict leaky, 1 left, exit code 3"}},
		{"exec 7>'" + file + "' 7>&-; exit 4", 4, []string{"supervisor: verdict graceful, 0 left, exit code 4"}},
	} {
		s := startExec(t, "--strict", "--", "sh", "-c", tt.command)
		s.ended(tt.code)
		for _, want := range tt.says {
			if !strings.Contains(s.log.text(), want) {
				t.Errorf("%s: no %q in\n%s", tt.command, want, s.log.text())
			}
		}
		if strings.Contains(s.log.text(), "\x1b") || strings.HasPrefix(tt.command, "exit") && strings.Count(s.log.text(), "\n") > 0 {
			t.Errorf("%s: it says\n%s", tt.command, s.log.text())
		}
	}
}

// A fast end is not missed, ever.
func TestExecStrictIsQuickEnough(t *testing.T) {
	for range 50 {
		s := startExec(t, "--strict", "--", "sh", "-c", "exec 7</dev/null")
		s.ended(3)
	}
}

// Signals that come before the command runs are its own too.
func TestExecEarlySignals(t *testing.T) {
	for range 20 {
		s := startExec(t, "--strict", "--", "fixture", "signals", "cmd")
		s.signal(unix.SIGWINCH) // caught by now or not yet: it ends nobody
		s.ready("cmd")
		s.signal(unix.SIGTERM)
		s.ended(0)
	}
}
