package acceptance

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// Tests of the diagnosis of children that do not stop, do not handle their stop signal, or
// crash.

// catches is the start of a script that catches SIGTERM and continues.
const catches = `
import signal, os, socket, select, fcntl, tempfile, threading, time
signal.signal(signal.SIGTERM, lambda *_: None)
def listener():
    l = socket.socket()
    l.bind(("127.0.0.1", 0))
    l.listen(8)
    return l
def ready(): print("ready")
`

// hangingChildren are children that do not stop, each with the expected report on its first
// thread, "TID".
var hangingChildren = []struct {
	name, script, disposition, thread string
}{
	{"epoll", catches + "l = listener()\ne = select.epoll()\ne.register(l, select.EPOLLIN)\n" +
		"ready()\nwhile True: e.poll()",
		"caught", `TID sleeps in epoll_p?wait on fd 4 \(epoll: 3 tcp 127\.0\.0\.1:\d+ listen\)`},
	{"accept", catches + "l = listener()\nready()\nl.accept()",
		"caught", `TID sleeps in accept4? on fd 3 \(tcp 127\.0\.0\.1:\d+ listen\)`},
	{"lock", catches + "k = threading.Lock()\nk.acquire()\nready()\nk.acquire()",
		"caught", `TID waits for a lock \(futex\)`},
	{"pipe", catches + "r, w = os.pipe()\nready()\nos.read(r, 1)",
		"caught", `TID sleeps in read on fd 3 \(pipe:\[\d+\]\)`},
	{"wait", catches + "p = os.fork()\nif p == 0:\n    os.setpgid(0, 0)\n    ready()\n" +
		"    while True: time.sleep(1000)\nos.waitpid(p, 0)",
		"caught", `TID sleeps in wait4`},
	{"flock", catches + "f = tempfile.TemporaryFile()\nfcntl.flock(f, fcntl.LOCK_EX)\n" +
		"if os.fork() == 0:\n    g = open('/proc/self/fd/%d' % f.fileno())\n    ready()\n" +
		"    fcntl.flock(g, fcntl.LOCK_EX)\nwhile True: signal.pause()",
		"caught", `TID sleeps in (pause|rt_sigsuspend)`},
	{"spin", catches + "ready()\nwhile True: pass",
		"caught", `TID runs`},
	{"ignores", "import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\nprint('ready')\n" +
		"while True: signal.pause()",
		"ignored", `TID sleeps in (pause|rt_sigsuspend)`},
	{"blocks", "import signal, time\n" +
		"signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])\nprint('ready')\n" +
		"while True: time.sleep(1000)",
		"blocked", `TID sleeps in (clock_nanosleep|pselect6)`},
	{"awaits", "import signal, time\n" +
		"signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])\nprint('ready')\n" +
		"while True: signal.sigwait([signal.SIGTERM])",
		"awaited", `TID sleeps in rt_sigtimedwait`},
}

var (
	childSleeps = regexp.MustCompile(
		`python3 \(pid \d+\): \d+ sleeps in (clock_nanosleep|pselect6)`)
	childWaitsForLock = regexp.MustCompile(
		`python3 \(pid \d+\): \d+ sleeps in flock on fd \d+ \(/`)
)

// TestSlowChildIsDiagnosed checks the report on children that do not stop: the disposition of
// the signal and what each thread does, twice before the kill.
func TestSlowChildIsDiagnosed(t *testing.T) {
	t.Parallel()
	hcl := `shutdown { deadline = "4s" }` + "\n" + fixture("quick", "sleep", "")
	for _, h := range hangingChildren {
		hcl += python(t, h.name, h.script, `kill_timeout = "1500ms"`)
	}
	s := start(t, hcl)
	for _, h := range hangingChildren {
		s.awaitLine("[" + h.name + "] ready")
	}
	s.awaitLine("[quick] ready")
	s.signal(unix.SIGTERM)
	e := s.expectStop(124, "forced")
	if e.int("killed") < len(hangingChildren) {
		t.Errorf("got %v, want one kill for each hanging child", e)
	}
	if n := s.count("child slow to stop", "child", "quick"); n > 0 {
		t.Error("a child that stopped at once was logged as slow to stop")
	}
	for _, h := range hangingChildren {
		t.Run(h.name, func(t *testing.T) {
			s.t = t
			pid := s.awaitEntry("child spawned", "child", h.name).int("pid")
			first, i := s.awaitEntryFrom(0, "child slow to stop", "child", h.name, "@level", "warn")
			second, _ := s.awaitEntryFrom(i, "child slow to stop", "child", h.name)
			for _, e := range []entry{first, second} {
				if !e.matches("child slow to stop", "pid", pid, "step", 1, "signal", "SIGTERM",
					"disposition", h.disposition) {
					t.Errorf("got %v, want step 1, SIGTERM and the disposition %s", e,
						h.disposition)
				}
				threads := fmt.Sprint(e["threads"])
				if !regexp.MustCompile(strings.ReplaceAll(h.thread, "TID",
					fmt.Sprint(pid))).MatchString(threads) {
					t.Errorf("got the threads %[2]s, want %[1]s", h.thread, threads)
				}
				if h.name == "spin" != (e.int("cpu_ms") > 50) {
					t.Errorf("cpu_ms is %d, want more than 50 for child spin only", e.int("cpu_ms"))
				}
			}
			if first.int("stop_ms") < 1000 || second.int("stop_ms") < 1480 {
				t.Errorf("logged after %v and %v ms, want at least 1000 and 1480", first["stop_ms"],
					second["stop_ms"])
			}
			threads := fmt.Sprint(first["threads"])
			switch h.name {
			case "wait": // what its child does is named too
				if !childSleeps.MatchString(threads) {
					t.Errorf("got the threads %s, want those of the descendant too", threads)
				}
			case "flock":
				if !childWaitsForLock.MatchString(threads) {
					t.Errorf("got the threads %s, want the lock of the descendant too", threads)
				}
			}
		})
	}
}

// TestDiagnoseSignal checks that a Go program that does not stop gets diagnose_signal, prints
// its stacks, and that the stop counts as forced.
func TestDiagnoseSignal(t *testing.T) {
	t.Parallel()
	s := start(t, fixture("c", "ignore-term",
		"kill_timeout = \"2s\"\ndiagnose_signal = \"SIGQUIT\"\n"+
			"logs { stderr = \"stdout\" }"))
	s.awaitLine("[c] ready")
	s.signal(unix.SIGTERM)
	e := s.expectStop(124, "forced")
	s.awaitLine("[c] goroutine 1 ")
	s.awaitEntry("signal sent", "child", "c", "signal", "SIGTERM", "step", 1)
	s.awaitEntry("signal sent", "child", "c", "signal", "SIGQUIT", "step", 2, "@level", "warn")
	if s.count("signal sent", "signal", "SIGKILL") > 0 || e.int("killed") != 0 {
		t.Errorf("got %v, want no SIGKILL", e)
	}
	s.awaitEntry("child reaped", "child", "c", "code", 2)
	s.awaitEntry("child slow to stop", "child", "c", "disposition", "ignored", "step", 1)
}

// TestDiagnoseSignalIsFollowedBySIGKILL checks that a program that ignores diagnose_signal is
// killed.
func TestDiagnoseSignalIsFollowedBySIGKILL(t *testing.T) {
	t.Parallel()
	s := start(t, shell("c", "trap '' TERM QUIT; echo ready; while :; do sleep 100; done",
		"kill_timeout = \"400ms\"\ndiagnose_signal = \"SIGQUIT\""))
	s.awaitLine("[c] ready")
	s.signal(unix.SIGTERM)
	s.expectStop(124, "forced").expect(t, "killed", 1)
	s.awaitEntry("signal sent", "child", "c", "signal", "SIGQUIT", "step", 2)
	s.awaitEntry("signal sent", "child", "c", "signal", "SIGKILL", "step", 3)
	s.awaitEntry("child reaped", "child", "c", "signal", "SIGKILL")
}

// TestUnhandledSignalIsLoggedOnce checks that "stop signal not handled" is logged one second
// after the start, not again after a restart, and again after a change of kill_signal.
func TestUnhandledSignalIsLoggedOnce(t *testing.T) {
	t.Parallel()
	sleeps := func(name, more string) string {
		return fmt.Sprintf("child %q {\n  command = \"/bin/sleep\"\n  args = [\"1000\"]\n%s\n}\n",
			name, more)
	}
	rest := fixture("hears", "sleep", "") + fixture("ignores", "ignore-term",
		"kill_timeout = \"100ms\"\nrestart {\n    on = \"always\"\n    delay = \"10ms\"\n  }")
	s := start(t, rest+sleeps("none", ""))
	s.awaitEntry("stop signal not handled", "child", "ignores", "signal", "SIGTERM", "disposition",
		"ignored", "@level", "warn")
	s.awaitEntry("stop signal not handled", "child", "none", "signal", "SIGTERM", "disposition",
		"default", "@level", "info")
	first, i := s.awaitEntryFrom(0, "child spawned", "child", "ignores")
	if err := unix.Kill(first.int("pid"), unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	s.awaitEntryFrom(i, "child ready", "child", "ignores")
	// Child clock starts after the second process of child ignores, so its log entry comes after
	// the check of that process.
	s.reload(rest + sleeps("none", "") + sleeps("clock", ""))
	s.awaitEntry("stop signal not handled", "child", "clock")
	s.reload(rest + sleeps("none", `kill_signal = "SIGINT"`) + sleeps("clock", ""))
	s.awaitEntry("config reloaded", "changed", "[none]")
	s.awaitEntry("stop signal not handled", "child", "none", "signal", "SIGINT", "disposition",
		"default")
	s.signal(unix.SIGTERM)
	s.expectStop(124, "forced")
	if n := s.count("stop signal not handled", "child", "ignores"); n != 1 {
		t.Errorf("logged %d times, want 1", n)
	}
	if n := s.count("child spawned", "child", "none"); n != 1 {
		t.Errorf("%d processes of child none, want 1: a change of policy is no restart", n)
	}
	if n := s.count("stop signal not handled", "child", "hears"); n > 0 {
		t.Errorf("logged %d times for a child that handles its signal, want 0", n)
	}
}

// TestCrashLogsLastKnownDescriptors checks that a crash, which has no proof, logs the
// descriptors that the child held one second after it was ready.
func TestCrashLogsLastKnownDescriptors(t *testing.T) {
	t.Parallel()
	script := `
import socket, signal, sys
l = socket.socket()
l.bind(("127.0.0.1", 0))
l.listen(8)
signal.signal(signal.SIGUSR1, lambda *_: sys.exit(3))
print("listens", l.getsockname()[1])
rest()
`
	s := start(t, python(t, "c", script, "restart { on = \"never\" }"))
	line, _, err := s.output.find(0, func(line string) bool {
		return strings.Contains(line, "listens ")
	})
	if err != nil {
		t.Fatal(err)
	}
	s.awaitEntry("stop signal not handled", "child", "c") // which the look at it finds out
	if err := unix.Kill(s.awaitEntry("child spawned", "child", "c").int("pid"),
		unix.SIGUSR1); err != nil {
		t.Fatal(err)
	}
	s.expectStop(1, "graceful")
	s.awaitEntry("child reaped", "child", "c", "code", 3, "proof", "none", "@level", "info")
	e := s.awaitEntry("child ended unexpectedly", "child", "c", "reason",
		"exited with code 3", "@level", "warn")
	port := line[strings.LastIndex(line, " ")+1:]
	if want := "3 tcp 127.0.0.1:" + port + " listen"; !strings.Contains(fmt.Sprint(e["last_known"]),
		want) {
		t.Errorf("no %s in %v", want, e)
	}
}
