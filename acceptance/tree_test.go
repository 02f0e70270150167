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

// Tests of process trees: who holds a leaked descriptor, and what happens to processes that a
// child forked before and during its stop.

// printedNumber returns the number that a child prints after a word.
func (s *supervisor) printedNumber(word string) (n int) {
	s.t.Helper()
	line, _, err := s.output.find(0, func(line string) bool {
		return strings.Contains(line, word+" ")
	})
	if err != nil {
		s.t.Fatalf("no line with %q: %v", word, err)
	}
	_, rest, _ := strings.Cut(line, word+" ")
	if _, err := fmt.Sscanf(rest, "%d", &n); err != nil {
		s.t.Fatalf("no number after %q in %q: %v", word, line, err)
	}
	return n
}

// TestHolderOfLeakedDescriptorIsLogged checks that the log names a daemon that holds the
// listener and the lock of its grandparent.
func TestHolderOfLeakedDescriptorIsLogged(t *testing.T) {
	t.Parallel()
	const leave = `
import os, signal, socket, fcntl, tempfile
l = socket.socket()
l.bind(("127.0.0.1", 0))
l.listen(8)
f = tempfile.TemporaryFile()
fcntl.flock(f, fcntl.LOCK_EX)
signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
%s
print("ready")
rest()
`
	const daemon = `
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
r, w = os.pipe()
p = os.fork()
if p == 0:
    os.setsid()
    if os.fork() > 0: os._exit(0)
    os.close(r)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGTERM])
    os.write(w, b"%d" % os.getpid())
    os.close(w)
    rest()
os.waitpid(p, 0)
os.close(w)
print("daemon", int(os.read(r, 20)))
os.close(r)
signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGTERM])`
	s := start(t, allFindings+python(t, "shares", fmt.Sprintf(leave, daemon), "")+python(t, "alone",
		fmt.Sprintf(leave, ""), ""))
	s.awaitLine("[shares] ready")
	s.awaitLine("[alone] ready")
	pid := s.printedNumber("daemon")
	s.signal(unix.SIGTERM)
	e := s.expectStop(0, "leaky")
	holder := fmt.Sprintf("python3 (pid %d)", pid)
	s.awaitEntry("fd closed", "owner", "shares", "kind", "socket", "by", "kernel", "held_by",
		holder, "proof", "exact")
	s.awaitEntry("fd closed", "owner", "shares", "kind", "file", "by", "kernel", "held_by", holder,
		"lock", "flock write", "deleted", true)
	s.awaitEntry("fd closed", "owner", "alone", "kind", "socket", "by", "kernel", "held_by", nil)
	s.awaitEntry("fd closed", "owner", "alone", "kind", "file", "by", "kernel", "held_by", nil,
		"lock", "flock write")
	for _, child := range []string{"shares", "alone"} {
		s.awaitEntry("child reaped", "child", child, "code", 0, "fds_left", 2)
	}
	// The daemon is an orphan: its descriptors are proven, and SIGTERM ends it.
	s.awaitEntry("process ended", "pid", pid, "proof", "exact", "signal", "SIGTERM", "fds_left", 2)
	s.awaitEntry("orphan reaped", "pid", pid, "signal", "SIGTERM")
	e.expect(t, "orphans", 1)
}

// TestForkedHolderIsLogged checks that the log names a process that shares a socket with a
// child and outlives it.
func TestForkedHolderIsLogged(t *testing.T) {
	t.Parallel()
	const script = `
import os, signal, socket
a, b = socket.socketpair()
r, w = os.pipe()
p = os.fork()
if p == 0:
    os.setsid()
    os.close(r)
    os.close(w)
    rest()
os.close(w)
os.read(r, 1)
os.close(r)
signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
print("helper", p)
rest()
`
	s := start(t, allFindings+python(t, "c", script, "count = 2"))
	var helpers []int
	for i := range 2 {
		helpers = append(helpers, s.printedNumber(fmt.Sprintf("[c%d] helper", i+1)))
	}
	s.signal(unix.SIGTERM)
	s.expectStop(0, "leaky")
	for i, pid := range helpers {
		child := fmt.Sprintf("c%d", i+1)
		if n := s.count("fd closed", "owner", child, "kind", "socket", "held_by",
			fmt.Sprintf("python3 (pid %d)", pid)); n != 2 {
			t.Errorf("%s: %d sockets are logged as held by %d, want 2", child, n, pid)
		}
		// The parent has ended, so the process is logged once as a process and once as an orphan.
		s.awaitEntry("process ended", "child", child, "pid", pid, "signal", "SIGTERM", "proof",
			"exact", "in_stop", false, "fds_left", 0)
		s.awaitEntry("orphan reaped", "pid", pid, "signal", "SIGTERM")
	}
}

// TestThreeGenerations stops three generations of processes. Each waits for the next one and
// leaks a file.
func TestThreeGenerations(t *testing.T) {
	t.Parallel()
	const script = `
import os, signal, sys, tempfile
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
n = 0
top = os.getpid()
while n < 3:
    p = os.fork()
    if p: break
    n += 1
    print("generation%d %d" % (n, os.getpid()))
f = tempfile.TemporaryFile()
if n == 3: print("ready")
signal.sigwait([signal.SIGTERM])
if n < 3: os.waitpid(p, 0)
os._exit(10 + n)
`
	s := start(t, allFindings+python(t, "c", script, ""))
	s.awaitLine("ready")
	pids := []int{s.awaitEntry("child spawned").int("pid")}
	for n := 1; n <= 3; n++ {
		pids = append(pids, s.printedNumber(fmt.Sprint("generation", n)))
	}
	s.signal(unix.SIGTERM)
	s.expectStop(0, "leaky")
	for n := 1; n <= 3; n++ {
		s.awaitEntry("process ended", "child", "c", "pid", pids[n], "parent", pids[n-1], "code",
			10+n, "proof", "exact", "in_stop", false, "fds_left", 1)
		s.awaitEntry("fd closed", "owner", "c", "pid", pids[n], "kind", "file", "deleted", true,
			"by", "kernel")
	}
	s.awaitEntry("child reaped", "child", "c", "code", 10, "processes", 3, "forked", 0, "fds_left",
		1)
	if n := s.count("process ended"); n != 3 {
		t.Errorf("%d exits are logged, want 3", n)
	}
}

// TestOrphanIsProven checks that the exit of an orphan from before the stop is proven.
func TestOrphanIsProven(t *testing.T) {
	t.Parallel()
	// The process in between exits, and only then the orphan prints its pid.
	const script = `
import os, signal
signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
r, w = os.pipe()
if os.fork() == 0:
    if os.fork() > 0: os._exit(0)
    os.setsid()
    os.close(w)
    os.read(r, 1)
    os.close(r)
    f = open("left", "a")
    print("orphan", os.getpid())
    rest()
os.close(r)
os.wait()
os.close(w)
rest()
`
	dir := t.TempDir()
	s := start(t, allFindings+python(t, "c", script, fmt.Sprintf("cwd = %q", dir)))
	pid := s.printedNumber("orphan")
	s.signal(unix.SIGTERM)
	e := s.expectStop(0, "leaky")
	s.awaitEntry("process ended", "pid", pid, "parent", s.pid, "command", "python3", "code", 0,
		"proof", "exact", "in_stop", false, "fds_left", 1)
	s.awaitEntry("fd closed", "pid", pid, "kind", "file", "target", filepath.Join(dir, "left"),
		"mode", "wa", "by", "kernel", "proof", "exact")
	s.awaitEntry("orphan reaped", "pid", pid, "command", "python3", "code", 0)
	e.expect(t, "orphans", 1)
}

// TestFiftyForksDuringTheStop checks that 50 processes that a child forks during its stop are
// all logged.
func TestFiftyForksDuringTheStop(t *testing.T) {
	t.Parallel()
	const n = 50
	const script = `
import signal
def stop(*_):
    for i in range(%d): os.spawnv(os.P_WAIT, "/bin/true", ["true"])
    os._exit(4)
signal.signal(signal.SIGTERM, stop)
print("ready")
rest()
`
	s := start(t, python(t, "c", fmt.Sprintf(script, n), ""))
	s.awaitLine("[c] ready")
	s.signal(unix.SIGTERM)
	s.expectStop(0, "graceful")
	s.awaitEntry("child reaped", "child", "c", "code", 4, "forked", n, "proof", "exact")
	if logged := s.count("process ended", "child", "c", "command", "true", "in_stop", true,
		"code", 0, "proof", "exact", "fds_left", 0); logged != n {
		t.Errorf("%d exits are logged, want %d", logged, n)
	}
}

// TestVforkDuringTheStop checks that processes by vfork(2) are logged: Python and
// posix_spawn(3) use it.
func TestVforkDuringTheStop(t *testing.T) {
	t.Parallel()
	const script = `
import os, signal, subprocess
def stop(*_):
    for i in range(10):
        subprocess.run(["/bin/sh", "-c", "exit 5"])
        os.waitpid(os.posix_spawn("/bin/sh", ["sh", "-c", "exit 6"], {}), 0)
    os._exit(7)
signal.signal(signal.SIGTERM, stop)
print("ready")
rest()
`
	s := start(t, python(t, "c", script, ""))
	s.awaitLine("ready")
	s.signal(unix.SIGTERM)
	s.expectStop(0, "graceful")
	s.awaitEntry("child reaped", "child", "c", "code", 7, "forked", 20, "proof", "exact")
	for _, code := range []int{5, 6} {
		if n := s.count("process ended", "child", "c", "command", "sh", "in_stop", true, "code",
			code, "proof", "exact"); n != 10 {
			t.Errorf("%d exits with code %d are logged, want 10", n, code)
		}
	}
}

func copyProgram(t *testing.T, from, to string) {
	t.Helper()
	b, err := os.ReadFile(from)
	if err == nil {
		err = os.WriteFile(to, b, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// TestSetuidProgramDuringTheStop checks that a set-user-ID program gets its privilege during a
// stop too, though a supervisor without privilege traces its parent.
func TestSetuidProgramDuringTheStop(t *testing.T) {
	needs.Check(t, "root", "gcc")
	t.Parallel()
	const nobody = 65534
	dir, err := os.MkdirTemp("", "rights-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	rights, config := filepath.Join(dir, "rights"), filepath.Join(dir, "supervisor.hcl")
	path := filepath.Join(dir, "supervisor")
	program := compileC(t, `
#include <stdio.h>
#include <unistd.h>
int main(void) { return printf("effective %d real %d\n", geteuid(), getuid()) < 0; }`)
	copyProgram(t, program, rights)
	copyProgram(t, filepath.Join(bin, "supervisor"), path)
	script := `
import signal
def stop(*_):
    os.spawnv(os.P_WAIT, "` + rights + `", ["rights"])
    os._exit(3)
signal.signal(signal.SIGTERM, stop)
print("ready")
rest()
`
	hcl := withHeader(python(t, "c", script, ""))
	if err := os.WriteFile(config, []byte(hcl), 0o644); err != nil {
		t.Fatal(err)
	}
	for path, mode := range map[string]os.FileMode{dir: 0o755, rights: 0o755 | os.ModeSetuid} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
	}
	credential := &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	alone := exec.Command(rights)
	alone.SysProcAttr = credential
	if out, err := alone.Output(); string(out) != fmt.Sprintf("effective 0 real %d\n", nobody) {
		t.Fatalf("the set-user-ID bit has no effect, so nothing is tested: %s %v", out, err)
	}
	s := prepare(t, "")
	s.cmd.Path, s.cmd.Args = path, []string{path, "run", "--config", config}
	s.cmd.Dir, s.cmd.SysProcAttr = "/", credential
	s.launch()
	s.awaitLine("[c] ready")
	s.signal(unix.SIGTERM)
	s.expectStop(0, "graceful")
	s.awaitEntry("child reaped", "child", "c", "code", 3)
	if got := s.printedNumber("effective"); got != 0 {
		t.Errorf("the program ran with the effective uid %d, want 0", got)
	}
}
