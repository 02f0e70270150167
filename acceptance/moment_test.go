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

// Stops that find a process, or the supervisor itself, in an awkward moment; and
// what is told of a descriptor beside its name.

// await looks until something holds.
func await(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for began := time.Now(); !holds(); {
		if time.Since(began) > limit {
			t.Fatalf("never: %s", what)
		}
		time.Sleep(time.Millisecond)
	}
}

// standing reports whether each thread of a process is stopped, by job control
// or in the eyes of its tracer.
func standing(pid int) bool {
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

func send(t *testing.T, pid int, sig unix.Signal) {
	t.Helper()
	if err := unix.Kill(pid, sig); err != nil {
		t.Fatal(err)
	}
}

func TestDetailsAreOfTheExit(t *testing.T) {
	t.Parallel()
	const script = `
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
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM]) # Python's handlers run in the main thread alone
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
	dir := t.TempDir()
	s := start(t, python(t, "c", script, fmt.Sprintf("cwd = %q", dir)))
	s.prints("ready")
	pid := s.wait("child spawned").int("pid")
	s.signal(unix.SIGTERM)
	s.ends(0, "leaky")
	var accepted, full, conn, queue int
	line, _, _ := s.output.from(0, func(line string) bool { return strings.Contains(line, "fds ") })
	if _, err := fmt.Sscanf(line, "[c] fds %d %d %d %d", &accepted, &full, &conn, &queue); err != nil {
		t.Fatal(err)
	}
	left := func(keys ...any) entry {
		t.Helper()
		return s.wait("fd closed", append([]any{"owner", "c", "pid", pid, "by", "kernel"}, keys...)...)
	}
	left("fd", accepted, "unread", 1500, "state", "established")
	left("fd", conn, "unread", nil, "state", "established")
	if e := left("fd", full); e.int("unsent") < 1 {
		t.Errorf("%v", e)
	}
	left("fd", queue, "state", "listen, 1 not accepted")
	left("target", filepath.Join(dir, "read"), "mode", "r", "lock", nil, "deleted", nil)
	left("target", filepath.Join(dir, "wrote"), "mode", "wa", "lock", "posix write")
	left("kind", "file", "mode", "rw", "deleted", true)
	e := s.wait("child reaped", "child", "c", "threads", 4, "processes", 1, "forked", 1)
	if n := e.int("threads_at_end"); n < 1 || n > 4 {
		t.Errorf("%v", e)
	}
}

// A child of many threads that is stopped by job control before its stop, and
// one that is stopped in it, twice: the supervisor continues it once.
func TestManyThreadsAreStopped(t *testing.T) {
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
		s.prints("ready")
		pid := s.wait("child spawned").int("pid")
		send(t, pid, unix.SIGSTOP)
		await(t, "all threads stand", func() bool { return standing(pid) })
		s.signal(unix.SIGTERM)
		s.ends(0, "graceful")
		s.wait("signal sent", "child", "c", "signal", "SIGCONT")
		s.wait("child reaped", "child", "c", "code", 9, "proof", "exact", "threads", 4)
	})
	t.Run("in it", func(t *testing.T) {
		s := start(t, python(t, "c", fmt.Sprintf(threads, `print("stopping")`), ""))
		s.prints("ready")
		pid := s.wait("child spawned").int("pid")
		s.signal(unix.SIGTERM)
		s.prints("stopping")
		send(t, pid, unix.SIGSTOP)
		s.wait("signal sent", "child", "c", "signal", "SIGCONT")
		await(t, "it goes on", func() bool { return !standing(pid) })
		send(t, pid, unix.SIGSTOP)
		await(t, "all threads stand again", func() bool { return standing(pid) })
		send(t, pid, unix.SIGUSR1)
		if !standing(pid) {
			t.Error("it ran though it is stopped")
		}
		send(t, pid, unix.SIGCONT)
		s.ends(0, "graceful")
		s.wait("child reaped", "child", "c", "code", 9, "proof", "exact", "threads", 4)
		if n := s.count("signal sent", "signal", "SIGCONT"); n != 1 {
			t.Errorf("it was continued %d times", n)
		}
	})
}

// A child that waits for a worker which job control stopped before the stop: both
// are continued, or the whole time would pass for nothing.
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
	pid := s.said("worker")
	send(t, pid, unix.SIGSTOP)
	await(t, "the worker stands", func() bool { return standing(pid) })
	s.signal(unix.SIGTERM)
	s.ends(0, "graceful")
	s.wait("signal sent", "child", "c", "signal", "SIGCONT")
	s.wait("child reaped", "child", "c", "code", 5, "processes", 1)
}

// A child in the middle of vfork(2) hears nothing until its own child is gone.
func TestStopInVfork(t *testing.T) {
	t.Parallel()
	program := compiled(t, `
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
	s.prints("ready")
	s.signal(unix.SIGTERM)
	s.ends(0, "graceful")
	s.wait("process ended", "child", "c", "signal", "SIGTERM", "in_stop", false, "proof", "exact")
	s.wait("child reaped", "child", "c", "code", 11, "processes", 1, "proof", "exact")
}

// What a child leaves behind that does not end by SIGTERM is killed, and told.
func TestDeafDescendantIsSwept(t *testing.T) {
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
	pid := s.said("helper")
	s.prints("ready")
	s.signal(unix.SIGTERM)
	if e := s.ends(124, "forced"); e.int("killed") != 1 || e.int("orphans") != 1 {
		t.Errorf("%v", e)
	}
	s.wait("child reaped", "child", "c", "code", 0, "processes", 1)
	s.wait("signal sent", "child", "c", "process", "python3", "pid", pid, "signal", "SIGKILL", "step", 2, "@level", "warn")
	s.wait("process ended", "child", "c", "pid", pid, "signal", "SIGKILL", "proof", "exact", "in_stop", false)
	s.wait("orphan reaped", "pid", pid, "signal", "SIGKILL")
}

// The supervisor itself stands still until its deadline has long passed: all are
// reaped, and the books balance.
func TestSupervisorStandsStill(t *testing.T) {
	t.Parallel()
	const deadline = time.Second
	for _, moment := range []string{"signal received", "signal sent"} {
		t.Run(moment, func(t *testing.T) {
			s := start(t, "shutdown { deadline = \"1s\" }\n"+fixture("deaf", "deaf", "")+fixture("good", "sleep", "count = 3")+fixture("daemon", "daemon deaf stay", ""))
			s.prints("[deaf] ready")
			for i := range 3 {
				s.prints(fmt.Sprintf("[good%d] ready", i+1))
			}
			s.prints("[daemon] daemon ")
			s.signal(unix.SIGTERM)
			s.wait(moment)
			s.signal(unix.SIGSTOP)
			await(t, "it stands", func() bool { return standing(s.pid) })
			time.Sleep(deadline + 200*time.Millisecond) // that it passes is the point
			s.signal(unix.SIGCONT)
			e := s.ends(124, "forced")
			if e.int("spawned") != 5 || e.int("orphans") != 1 || s.count("left behind") > 0 {
				t.Errorf("%v", e)
			}
		})
	}
}

// switches counts how often threads of a process gave the processor up.
func switches(t *testing.T, pid int) (n int) {
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
		t.Fatal("nothing is counted")
	}
	return n
}

// What a removed child may leave running is traced on, and costs nothing: it works,
// the supervisor sleeps, and at the end it is told and looked at.
func TestLeftByAReload(t *testing.T) {
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
	keep := fixture("keep", "sleep", "")
	s := start(t, keep+python(t, "d", script, fmt.Sprintf("cwd = %q\nkill_scope = \"process\"\ndescendants = \"leave\"", dir)))
	s.prints("[keep] ready")
	pid := s.said("helper")
	s.reload(keep)
	s.wait("config reloaded", "removed", "[d]")
	s.wait("child reaped", "child", "d", "code", 0, "processes", 1)
	for n := 1; n <= 3; n++ {
		send(t, pid, unix.SIGUSR1)
		s.prints(fmt.Sprint("works ", n))
	}
	least := 1000
	for range 2 { // a look at keep, a second after its start, falls into one of them
		before := switches(t, s.pid)
		time.Sleep(time.Second) // that nothing happens in it is the point
		least = min(least, switches(t, s.pid)-before)
	}
	if least > 8 { // the slowest of our timers ticks ten times
		t.Errorf("woken %d times in a second with nothing to do", least)
	}
	send(t, pid, unix.SIGUSR1)
	s.prints("works 4")
	s.signal(unix.SIGTERM)
	e := s.ends(0, "leaky")
	if e.int("orphans") != 1 {
		t.Errorf("%v", e)
	}
	s.wait("signal sent", "orphan", "python3", "pid", pid, "signal", "SIGTERM")
	s.wait("process ended", "pid", pid, "code", 0, "proof", "exact", "in_stop", false)
	s.wait("fd closed", "pid", pid, "target", filepath.Join(dir, "left"), "by", "kernel")
	s.wait("orphan reaped", "pid", pid, "code", 0)
}
