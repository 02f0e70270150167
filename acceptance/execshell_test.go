package acceptance

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"tp0/supervisor/fixture/needs"
)

// prepareShell returns a supervisor that a shell script executes as "$@".
func prepareShell(t *testing.T, script string, args ...string) *supervisor {
	t.Helper()
	s := prepareExec(t)
	s.cmd.Path = "/bin/sh"
	s.cmd.Args = append(
		[]string{"sh", "-c", script, "sh", filepath.Join(bin, "supervisor"), "exec"}, args...)
	return s
}

// TestExecPassesPidVariables checks that the command gets its own pid in the variables of a service
// manager, if they have the pid of the supervisor.
func TestExecPassesPidVariables(t *testing.T) {
	const show = `test "$LISTEN_PID" = $$ && test "$WATCHDOG_PID" = $$ && echo own
echo "$LISTEN_FDS $LISTEN_FDNAMES $LISTEN_PIDFDID"; sed 's/^/fd /' <&3`
	const set = `export LISTEN_FDS=1 LISTEN_FDNAMES=web LISTEN_PIDFDID=7 `
	for script, want := range map[string]string{
		set + `LISTEN_PID=$$ WATCHDOG_PID=$$`: "own\n1 web \nfd hello",
		set + `LISTEN_PID=1 WATCHDOG_PID=1`:   "1 web 7\nfd hello",
	} {
		script := "exec 3<<X\nhello\nX\n" + script + "\n" + `exec "$@"`
		s := prepareShell(t, script, "--", "sh", "-c", show)
		s.launch()
		s.expectExit(0)
		if got := s.output.text(); got != want {
			t.Errorf("%s: got %q, want %q", script, got, want)
		}
	}
}

// TestExecForwardsIgnoredSIGPIPE checks that SIGPIPE is forwarded also if it was ignored when the
// supervisor started. The command gets another signal, because the runtime of a Go program drops a
// SIGPIPE that was ignored at its start.
func TestExecForwardsIgnoredSIGPIPE(t *testing.T) {
	s := prepareShell(t, `trap "" PIPE; exec "$@"`, "--rewrite", "PIPE:USR1", "--",
		"fixture", "signals", "cmd")
	s.launch()
	s.awaitPID("cmd")
	s.signal(unix.SIGPIPE)
	s.awaitLine(fmt.Sprintf("cmd got %d", unix.SIGUSR1))
	s.signal(unix.SIGTERM)
	s.expectExit(0)
}

// TestExecKeepsNoDirectory checks that the supervisor leaves its directory, that the command does
// not, and that a relative path of the report is that of the start.
func TestExecKeepsNoDirectory(t *testing.T) {
	dir := t.TempDir()
	s := prepareExec(t, "--report", "r.json", "--", "sh", "-c",
		"pwd; while test $(readlink /proc/$PPID/cwd) != /; do :; done")
	s.cmd.Dir = dir
	s.launch()
	s.expectExit(0)
	if got := strings.TrimSpace(s.output.text()); got != dir {
		t.Errorf("the command runs in %q, want %q", got, dir)
	}
	if _, err := os.Stat(filepath.Join(dir, "r.json")); err != nil {
		t.Error(err)
	}
}

// TestExecWaitSignal checks that --wait signal sends SIGTERM to the descendants.
func TestExecWaitSignal(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	s := prepareExec(t, "--wait", "signal", "--", "sh", "-c",
		"fixture signals left >&3 & read line <&4; exit 3")
	lineR, lineW, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer lineW.Close()
	s.cmd.ExtraFiles = []*os.File{w, lineR}
	s.launch()
	w.Close()
	lineR.Close()
	lines := bufio.NewReader(r)
	if line, err := lines.ReadString('\n'); !strings.Contains(line, "left ready") {
		t.Fatalf("got %q, %v", line, err)
	}
	fmt.Fprintln(lineW)
	if code := s.exitCode(); code != 3 {
		t.Errorf("exit code %d, want 3", code)
	}
	rest, err := io.ReadAll(lines) // until the descendant has ended
	if err != nil || !strings.Contains(string(rest), "left got 15") {
		t.Errorf("got %q, %v", rest, err)
	}
}

// TestExecAtForeignTerminal checks a command that reads from a terminal in a pid namespace whose
// first process was started from outside: the group of the supervisor has no number there.
func TestExecAtForeignTerminal(t *testing.T) {
	needs.Check(t, "admin")
	text := typeAtTerminal(t, []string{"unshare", "-pf", "--kill-child"}, "cat", "hello\n\x04", 0)
	if strings.Count(text, "hello") != 2 { // the echo of the terminal, and cat
		t.Errorf("got %q, want hello twice", text)
	}
}

// TestExecWithForeignProc runs a command in a pid namespace with the /proc of the outer one: as its
// first process, and below another one. The orphan ends by SIGTERM, else the exit code is 124.
func TestExecWithForeignProc(t *testing.T) {
	needs.Check(t, "admin")
	for _, script := range []string{`exec "$@"`, `"$@"; exit $?`} {
		s := prepareShell(t, script, "--", "sh", "-c", "(setsid sleep 1000 &); exit 6")
		path, err := exec.LookPath("unshare")
		if err != nil {
			t.Fatal(err)
		}
		s.cmd.Path = path
		s.cmd.Args = append([]string{path, "-pf", "--kill-child"}, s.cmd.Args...)
		s.launch()
		s.expectExit(6)
		log := s.log.text()
		if !strings.Contains(log, "processes not visible") || strings.Contains(log, ", state ") {
			t.Errorf("%s: got %q, want a warning and no process that is left", script, log)
		}
	}
}

// TestExecInteractiveShell checks that the prompt of a shell that ignores SIGTERM has no warning.
func TestExecInteractiveShell(t *testing.T) {
	needs.Check(t, "bash")
	const wait = "sleep 2\n" // longer than an inspection of the process
	text := typeAtTerminal(t, nil, "bash --norc", wait+"exit 7\n", 7)
	if strings.Contains(text, "WARN") {
		t.Errorf("got %q, want no warning", text)
	}
}

// typeAtTerminal runs a command under exec in a new session with a terminal, types text, and
// returns what the terminal shows.
func typeAtTerminal(t *testing.T, outer []string, command, typed string, code int) string {
	t.Helper()
	control, terminal := openTerminal(t)
	defer control.Close()
	args := append(outer, filepath.Join(bin, "supervisor"), "exec", "--")
	args = append(args, strings.Fields(command)...)
	c := exec.Command(args[0], args[1:]...)
	c.Stdin, c.Stdout, c.Stderr = terminal, terminal, terminal
	c.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	terminal.Close()
	kill := time.AfterFunc(limit, func() { _ = c.Process.Kill() })
	defer kill.Stop()
	if _, err := io.WriteString(control, typed); err != nil {
		t.Fatal(err)
	}
	text, _ := io.ReadAll(control) // EIO at the end
	_ = c.Wait()
	if got := c.ProcessState.ExitCode(); got != code {
		t.Errorf("exit code %d, want %d", got, code)
	}
	return string(text)
}
