package acceptance

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"tp0/supervisor/fixture/needs"
)

// terminal is a pseudo-terminal with a supervisor, or with a shell that runs one.
type terminal struct {
	*supervisor
	master *os.File
}

// atTerminal prepares a program that leads a session with a new terminal.
func atTerminal(t *testing.T, args ...string) *terminal {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		needs.Skip(t, "devpts", err)
	}
	number := -1
	raw, err := master.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	_ = raw.Control(func(fd uintptr) {
		if err = unix.IoctlSetPointerInt(int(fd), unix.TIOCSPTLCK, 0); err == nil {
			number, err = unix.IoctlGetInt(int(fd), unix.TIOCGPTN)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	slave, err := os.OpenFile(fmt.Sprint("/dev/pts/", number), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	s := prepareExec(t)
	s.cmd.Path, s.cmd.Args = filepath.Join(bin, args[0]), args
	s.cmd.Stdin, s.cmd.Stdout, s.cmd.Stderr = slave, slave, slave
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	s.log.done = true
	done := make(chan struct{})
	go func() {
		s.output.read(master) // until no process has the terminal open
		close(done)
	}()
	t.Cleanup(func() { master.Close() })
	s.streamsRead = append(s.streamsRead, done)
	return &terminal{s, master}
}

func (t *terminal) types(text string) {
	t.t.Helper()
	if _, err := t.master.WriteString(text); err != nil {
		t.t.Fatal(err)
	}
}

const (
	ctrlC = "\x03"
	ctrlZ = "\x1a"
)

// TestExecHasTheTerminal checks exec without a shell, as in a container: the command has the
// terminal, Ctrl-Z does not stop it, as nobody could continue it, and Ctrl-C reaches it.
func TestExecHasTheTerminal(t *testing.T) {
	s := atTerminal(t, "supervisor", "exec", "--", "fixture", "terminal")
	s.launch()
	s.awaitLine("foreground true")
	s.types("hello\n")
	s.awaitLine(`read "hello"`)
	s.types(ctrlZ + "again\n")
	s.awaitLine(`read "again"`)
	s.types(ctrlC)
	s.expectExit(130)
}

// TestExecJobControl checks exec below a shell: the supervisor stops when the command does,
// continues it, and returns the terminal.
func TestExecJobControl(t *testing.T) {
	for _, flags := range [][]string{nil, {"--strict"}} {
		t.Run(strings.Join(flags, " "), func(t *testing.T) {
			args := append([]string{"fixture", "shell", filepath.Join(bin, "supervisor"), "exec"},
				flags...)
			s := atTerminal(t, append(args, "fixture", "terminal")...)
			s.launch()
			s.awaitLine("foreground true")
			for i := range 3 {
				s.types(ctrlZ)
				at := 0
				for range i + 1 {
					var err error
					if _, at, err = s.output.find(at,
						func(line string) bool {
							return strings.Contains(line, "shell: stopped")
						}); err != nil {
						t.Fatal(err)
					}
				}
				s.types("fg\n")
				s.types(fmt.Sprintf("back%d\n", i))
				s.awaitLine(fmt.Sprintf(`read "back%d"`, i))
			}
			s.types("end\n")
			s.awaitLine("shell: ended 5, the terminal is the job's")
			s.expectExit(0)
		})
	}
}

// TestExecRawTerminal checks that a terminal stays in raw mode and that the command gets every
// byte.
func TestExecRawTerminal(t *testing.T) {
	s := atTerminal(t, "supervisor", "exec", "--", "fixture", "terminal")
	slave := int(s.cmd.Stdin.(*os.File).Fd())
	mode, err := unix.IoctlGetTermios(slave, unix.TCGETS)
	if err != nil {
		t.Fatal(err)
	}
	mode.Iflag, mode.Lflag = 0, 0
	if err := unix.IoctlSetTermios(slave, unix.TCSETS, mode); err != nil {
		t.Fatal(err)
	}
	copied, err := unix.FcntlInt(uintptr(slave), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	s.launch()
	s.awaitLine("foreground true")
	s.types(ctrlC + ctrlZ + "x\n")
	s.awaitLine(`read "\x03\x1ax"`)
	after, err := unix.IoctlGetTermios(copied, unix.TCGETS)
	unix.Close(copied)
	if err != nil || *after != *mode {
		t.Errorf("got the mode %+v, %v, want %+v", after, err, mode)
	}
	s.types("end\n")
	s.expectExit(5)
}

// TestExecSessionAtTerminal checks that a new session gets the terminal only if the
// supervisor's own session had it.
func TestExecSessionAtTerminal(t *testing.T) {
	s := atTerminal(t, "supervisor", "exec", "--setsid", "--", "fixture", "terminal")
	s.launch()
	s.awaitLine("foreground true")
	s.types(ctrlC)
	s.expectExit(130)

	s = atTerminal(t, "fixture", "shell", filepath.Join(bin, "supervisor"), "exec", "--setsid",
		"fixture", "signals", "cmd")
	s.launch()
	s.awaitPID("cmd")
	s.types(ctrlC) // to us, the foreground group of the shell's session
	s.awaitLine("cmd got 2")
	_ = unix.Kill(s.awaitPID("cmd"), unix.SIGTERM)
	s.expectExit(0)
}

// TestRunAtTheTerminal checks run at a terminal: SIGHUP reloads while the terminal is there, Ctrl-Z
// is refused, and the end of the terminal stops the children gracefully.
func TestRunAtTheTerminal(t *testing.T) {
	file := prepare(t, fixture("a", "sleep", "logs { stdout = \"none\" }")+
		fixture("b", "sleep", "logs { stdout = \"none\" }"))
	report := filepath.Join(t.TempDir(), "report.json")
	s := atTerminal(t, "supervisor", "run", "--config", file.config, "--report", report)
	s.launch()
	s.awaitLine("all children ready")
	s.signal(unix.SIGHUP)
	s.awaitLine("config reloaded")
	s.types(ctrlZ)
	s.awaitLine("SIGTSTP")
	s.master.Close()
	if code := s.exitCode(); code != 0 {
		t.Errorf("exit code %d, want 0", code)
	}
	b, err := os.ReadFile(report)
	if text := string(b); err != nil || !strings.Contains(text, `"signal": "SIGHUP"`) ||
		!strings.Contains(text, `"verdict": "graceful"`) {
		t.Errorf("the report is not that of a graceful stop by SIGHUP: %v\n%.1000s", err, text)
	}
}

// TestVerbsAtTerminal checks what a person sees at a terminal: the steps of an operation, and a
// status that replaces the one before. Control sequences of a child are escaped nevertheless.
func TestVerbsAtTerminal(t *testing.T) {
	s := start(t, fixture("web", "sleep", "count = 2"))
	s.awaitEntry("all children ready", "children", 2)
	verb := func(words ...string) *terminal {
		v := atTerminal(t, append([]string{"supervisor"}, words...)...)
		v.cmd.Args = append(v.cmd.Args, "--config", s.config)
		v.launch()
		return v
	}
	restart := verb("restart", "web")
	restart.expectExit(0)
	const step, end = "  web1 is starting\r\n", "web1, web2 restarted\r"
	if text := restart.output.text(); !strings.Contains(text, step) ||
		!strings.Contains(text, end) {
		t.Errorf("restart shows %q, want %q and %q in it", text, step, end)
	}
	watch := verb("status", "--watch")
	watch.awaitLine("\x1b[H\x1b[2JNAME")
	s.signal(unix.SIGTERM)
	s.expectStop(0, "graceful")
	watch.exitCode()
}

// TestMakeRun checks that make run ends with success if the supervisor does after Ctrl-C, and with
// a failure if the supervisor fails.
func TestMakeRun(t *testing.T) {
	makefile, err := filepath.Abs("../Makefile")
	if err != nil {
		t.Fatal(err)
	}
	program, err := exec.LookPath("make")
	if err != nil {
		needs.Skip(t, "make", err)
	}
	for code, want := range map[int]int{0: 0, 1: 2} {
		t.Run(fmt.Sprint(code), func(t *testing.T) {
			dir := t.TempDir()
			if err := os.Mkdir(filepath.Join(dir, "bin"), 0o755); err != nil {
				t.Fatal(err)
			}
			script := fmt.Sprintf("#!/bin/sh\ntrap 'exit %d' INT\necho running\n"+
				"while :; do read line; done\n", code)
			if err := os.WriteFile(filepath.Join(dir, "bin", "supervisor"), []byte(script),
				0o755); err != nil {
				t.Fatal(err)
			}
			s := atTerminal(t, "make", "-f", makefile, "-C", dir, "-o", "build", "run")
			s.cmd.Path = program
			s.launch()
			s.awaitLine("running")
			s.types(ctrlC)
			s.expectExit(want)
		})
	}
}
