package acceptance

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// Tests of stops that find a process or the supervisor in an unusual state, and of the details
// that are logged for a descriptor.

// await polls until condition returns true. what describes the condition.
func await(t *testing.T, what string, condition func() bool) {
	t.Helper()
	for start := time.Now(); !condition(); {
		if time.Since(start) > limit {
			t.Fatalf("not within %v: %s", limit, what)
		}
		time.Sleep(time.Millisecond)
	}
}

// allThreadsStopped reports whether each thread of a process is stopped, by job control or by
// its tracer.
func allThreadsStopped(pid int) bool {
	threads, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", pid))
	for _, path := range threads {
		b, _ := os.ReadFile(path)
		_, stat, _ := strings.Cut(string(b), ") ")
		if !strings.HasPrefix(stat, "T") && !strings.HasPrefix(stat, "t") {
			return false
		}
	}
	return len(threads) > 0
}

func signalPID(t *testing.T, pid int, sig unix.Signal) {
	t.Helper()
	if err := unix.Kill(pid, sig); err != nil {
		t.Fatal(err)
	}
}

// detailsScript opens sockets and files in many states.
const detailsScript = `
import fcntl, os, signal, socket, threading, time
def pair(small=False):
    l = socket.socket()
    if small: l.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    l.bind(("127.0.0.1", 0))
    l.listen(8)
    c = socket.socket()
    if small: c.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    c.connect(l.getsockname())
    return l, c
l, c = pair()
a, _ = l.accept()
c.send(b"x" * 1000)
queue = pair()
fl, fc = pair(True)
fa, _ = fl.accept()
fc.setblocking(False)
try:
    while True: fc.send(b"x" * 4096)
except BlockingIOError: pass
r, w, gone = open("read", "w"), open("wrote", "a"), open("gone", "w+")
r.close()
r = open("read")
fcntl.lockf(w, fcntl.LOCK_EX)
os.remove("gone")
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM]) # handlers run in the main thread
for _ in range(3): threading.Thread(target=time.sleep, args=(1000,), daemon=True).start()
signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGTERM])
if os.fork() == 0: signal.pause()
def stop(*_):
    c.send(b"x" * 500)
    if os.fork() == 0: os._exit(0)
    os.wait()
    print("fds", a.fileno(), fc.fileno(), c.fileno(), queue[0].fileno())
    os._exit(0)
signal.signal(signal.SIGTERM, stop)
print("ready")
rest()
`

// TestDescriptorDetailsAtExit checks the details that are logged for a leaked descriptor. They
// are those at the exit, not those at the start of the stop.
func TestDescriptorDetailsAtExit(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := start(t, allFindings+python(t, "c", detailsScript, fmt.Sprintf("cwd = %q", dir)))
	s.awaitLine("ready")
	pid := s.awaitEntry("child spawned").int("pid")
	s.signal(unix.SIGTERM)
	s.expectStop(0, "leaky")
	var accepted, full, conn, queue int
	line, _, _ := s.output.find(0, func(line string) bool { return strings.Contains(line, "fds ") })
	if _, err := fmt.Sscanf(line, "[c] fds %d %d %d %d", &accepted, &full, &conn,
		&queue); err != nil {
		t.Fatal(err)
	}
	left := func(keys ...any) entry {
		t.Helper()
		return s.awaitEntry("fd closed", append([]any{"owner", "c", "pid", pid, "by", "kernel"},
			keys...)...)
	}
	left("fd", accepted, "unread", 1500, "state", "established")
	left("fd", conn, "unread", nil, "state", "established")
	if e := left("fd", full); e.int("unsent") < 1 {
		t.Errorf("got %v, want unsent bytes", e)
	}
	left("fd", queue, "state", "listen, 1 not accepted")
	left("target", filepath.Join(dir, "read"), "mode", "r", "lock", nil, "deleted", nil)
	left("target", filepath.Join(dir, "wrote"), "mode", "wa", "lock", "posix write")
	left("kind", "file", "mode", "rw", "deleted", true)
	e := s.awaitEntry("child reaped", "child", "c", "threads", 4, "processes", 1, "forked", 1)
	if n := e.int("threads_at_end"); n < 1 || n > 4 {
		t.Errorf("got %v, want 1 to 4 threads_at_end", e)
	}
}

// TestThreadsStoppedByJobControl stops a child of many threads before its stop, and twice
// during the stop. The supervisor sends SIGCONT once.
func TestThreadsStoppedByJobControl(t *testing.T) {
	t.Parallel()
	const threads = `
import os, signal, threading, time
both = [signal.SIGTERM, signal.SIGUSR1] # for the main thread: Python's handlers run in no other
signal.pthread_sigmask(signal.SIG_BLOCK, both)
for _ in range(3): threading.Thread(target=time.sleep, args=(1000,), daemon=True).start()
signal.signal(signal.SIGUSR1, lambda *_: os._exit(9))
signal.signal(signal.SIGTERM, lambda *_: %s)
signal.pthread_sigmask(signal.SIG_UNBLOCK, both)
print("ready")
rest()
`
	t.Run("before", func(t *testing.T) {
		s := start(t, python(t, "c", fmt.Sprintf(threads, "os._exit(9)"), ""))
		s.awaitLine("ready")
		pid := s.awaitEntry("child spawned").int("pid")
		signalPID(t, pid, unix.SIGSTOP)
		await(t, "all threads stand", func() bool { return allThreadsStopped(pid) })
		s.signal(unix.SIGTERM)
		s.expectStop(0, "graceful")
		s.awaitEntry("signal sent", "child", "c", "signal", "SIGCONT")
		s.awaitEntry("child reaped", "child", "c", "code", 9, "proof", "exact", "threads", 4)
	})
	t.Run("in it", func(t *testing.T) {
		s := start(t, python(t, "c", fmt.Sprintf(threads, `print("stopping")`), ""))
		s.awaitLine("ready")
		pid := s.awaitEntry("child spawned").int("pid")
		s.signal(unix.SIGTERM)
		s.awaitLine("stopping")
		signalPID(t, pid, unix.SIGSTOP)
		s.awaitEntry("signal sent", "child", "c", "signal", "SIGCONT")
		await(t, "it continues", func() bool { return !allThreadsStopped(pid) })
		signalPID(t, pid, unix.SIGSTOP)
		await(t, "all threads stand again", func() bool { return allThreadsStopped(pid) })
		signalPID(t, pid, unix.SIGUSR1)
		if !allThreadsStopped(pid) {
			t.Error("the child runs, want it stopped")
		}
		signalPID(t, pid, unix.SIGCONT)
		s.expectStop(0, "graceful")
		s.awaitEntry("child reaped", "child", "c", "code", 9, "proof", "exact", "threads", 4)
		if n := s.count("signal sent", "signal", "SIGCONT"); n != 1 {
			t.Errorf("SIGCONT was sent %d times, want 1", n)
		}
	})
}

// TestStoppedWorkerIsContinued checks that SIGCONT reaches a stopped worker too, which its
// parent waits for.
func TestStoppedWorkerIsContinued(t *testing.T) {
	t.Parallel()
	const script = `
import os, signal
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
p = os.fork()
if p == 0:
    print("worker", os.getpid())
    signal.sigwait([signal.SIGTERM])
    os._exit(5)
signal.sigwait([signal.SIGTERM])
_, status = os.waitpid(p, 0)
os._exit(os.waitstatus_to_exitcode(status))
`
	s := start(t, python(t, "c", script, ""))
	pid := s.printedNumber("worker")
	signalPID(t, pid, unix.SIGSTOP)
	await(t, "the worker stands", func() bool { return allThreadsStopped(pid) })
	s.signal(unix.SIGTERM)
	s.expectStop(0, "graceful")
	s.awaitEntry("signal sent", "child", "c", "signal", "SIGCONT")
	s.awaitEntry("child reaped", "child", "c", "code", 5, "processes", 1)
}

// TestStopDuringVfork stops a child that is in vfork(2), and so gets no signal until its own
// child has ended.
func TestStopDuringVfork(t *testing.T) {
	t.Parallel()
	program := compileC(t, `
#define _DEFAULT_SOURCE
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>
static void stop(int sig) { (void)sig; _exit(11); }
int main(void) {
	signal(SIGTERM, stop);
	if (vfork() == 0) {
		signal(SIGTERM, SIG_DFL);
		if (write(1, "ready\n", 6) != 6)
			_exit(1);
		for (;;)
			pause();
	}
	for (;;)
		pause();
}`)
	s := start(t, fmt.Sprintf("child \"c\" {\n  command = %q\n}\n", program))
	s.awaitLine("ready")
	s.signal(unix.SIGTERM)
	s.expectStop(0, "graceful")
	s.awaitEntry("process ended", "child", "c", "signal", "SIGTERM", "in_stop", false, "proof",
		"exact")
	s.awaitEntry("child reaped", "child", "c", "code", 11, "processes", 1, "proof", "exact")
}

// TestDescendantThatIgnoresSIGTERMIsKilled checks that a descendant that ignores SIGTERM is
// killed and logged.
func TestDescendantThatIgnoresSIGTERMIsKilled(t *testing.T) {
	t.Parallel()
	const script = `
import os, signal
p = os.fork()
signal.signal(signal.SIGTERM, signal.SIG_IGN if p == 0 else lambda *_: os._exit(0))
if p == 0: print("helper", os.getpid())
else: print("ready") # its handler may not be there when the helper speaks
rest()
`
	s := start(t, "shutdown { deadline = \"1s\" }\n"+python(t, "c", script, ""))
	pid := s.printedNumber("helper")
	s.awaitLine("ready")
	s.signal(unix.SIGTERM)
	s.expectStop(124, "forced").expect(t, "killed", 1, "orphans", 1)
	s.awaitEntry("child reaped", "child", "c", "code", 0, "processes", 1)
	s.awaitEntry("signal sent", "child", "c", "process", "python3", "pid", pid, "signal", "SIGKILL",
		"step", 2, "@level", "warn")
	s.awaitEntry("process ended", "child", "c", "pid", pid, "signal", "SIGKILL", "proof", "exact",
		"in_stop", false)
	s.awaitEntry("orphan reaped", "pid", pid, "signal", "SIGKILL")
}

// TestSupervisorIsStoppedPastItsDeadline stops the supervisor itself until its deadline has
// passed. All children must be reaped, and the fd ledger must balance.
func TestSupervisorIsStoppedPastItsDeadline(t *testing.T) {
	t.Parallel()
	const deadline = time.Second
	for _, moment := range []string{"signal received", "signal sent"} {
		t.Run(moment, func(t *testing.T) {
			s := start(t, "shutdown { deadline = \"1s\" }\n"+fixture("ignores", "ignore-term",
				"")+fixture("good", "sleep", "count = 3")+fixture("daemon",
				"daemon ignore-term stay", ""))
			s.awaitLine("[ignores] ready")
			for i := range 3 {
				s.awaitLine(fmt.Sprintf("[good%d] ready", i+1))
			}
			s.awaitLine("[daemon] daemon ")
			s.signal(unix.SIGTERM)
			s.awaitEntry(moment)
			s.signal(unix.SIGSTOP)
			await(t, "it stands", func() bool { return allThreadsStopped(s.pid) })
			time.Sleep(deadline + 200*time.Millisecond) // that it passes is the point
			s.signal(unix.SIGCONT)
			e := s.expectStop(124, "forced")
			if e.int("spawned") != 5 || e.int("orphans") != 1 || s.count("left behind") > 0 {
				t.Errorf("got %v, want spawned=5, orphans=1 and no \"left behind\"", e)
			}
		})
	}
}

// contextSwitches counts the voluntary context switches of all threads of a process.
func contextSwitches(t *testing.T, pid int) (n int) {
	t.Helper()
	all, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", pid))
	for _, path := range all {
		b, err := os.ReadFile(path)
		if err != nil {
			continue
		}
		_, rest, _ := strings.Cut(string(b), "\nvoluntary_ctxt_switches:\t")
		var of int
		fmt.Sscanf(rest, "%d", &of)
		n += of
	}
	if n == 0 {
		t.Fatal("got no context switch, want some")
	}
	return n
}

// TestDescendantLeftByAReload checks a descendant that a removed child may leave running: it
// works, costs no wake-up, and is stopped and proven at the end.
func TestDescendantLeftByAReload(t *testing.T) {
	t.Parallel()
	const script = `
import os, signal
signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
if os.fork() == 0:
    os.setsid()
    f = open("left", "w")
    n = 0
    def work(*_):
        global n
        n += 1
        print("works", n)
    signal.signal(signal.SIGUSR1, work)
    print("helper", os.getpid())
rest()
`
	dir := t.TempDir()
	keep := allFindings + fixture("keep", "sleep", "")
	s := start(t, keep+python(t, "d", script,
		fmt.Sprintf("cwd = %q\nkill_scope = \"process\"\ndescendants = \"leave\"", dir)))
	s.awaitLine("[keep] ready")
	pid := s.printedNumber("helper")
	s.reload(keep)
	s.awaitEntry("config reloaded", "removed", "[d]")
	s.awaitEntry("child reaped", "child", "d", "code", 0, "processes", 1)
	for n := 1; n <= 3; n++ {
		signalPID(t, pid, unix.SIGUSR1)
		s.awaitLine(fmt.Sprint("works ", n))
	}
	least := 1000
	// Until 2 s after the reload there are a scan of keep, quiet pipes and the release of memory.
	for tries := 0; tries < 5 && least > 8; tries++ {
		before := contextSwitches(t, s.pid)
		time.Sleep(time.Second) // that nothing happens in it is the point
		least = min(least, contextSwitches(t, s.pid)-before)
	}
	if least > 8 { // the slowest of our timers ticks ten times
		t.Errorf("%d wake-ups in an idle second, want at most 8", least)
	}
	signalPID(t, pid, unix.SIGUSR1)
	s.awaitLine("works 4")
	s.signal(unix.SIGTERM)
	e := s.expectStop(0, "leaky")
	e.expect(t, "orphans", 1)
	s.awaitEntry("signal sent", "orphan", "python3", "pid", pid, "signal", "SIGTERM")
	s.awaitEntry("process ended", "pid", pid, "code", 0, "proof", "exact", "in_stop", false)
	s.awaitEntry("fd closed", "pid", pid, "target", filepath.Join(dir, "left"), "by", "kernel")
	s.awaitEntry("orphan reaped", "pid", pid, "code", 0)
}
