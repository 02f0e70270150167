package acceptance

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// What is said of children that do not end, do not hear, or crash.

// catches is the head of a script that catches SIGTERM and goes on.
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

// hanging are children that do not end, and what must be said of the first
// thread, "TID", of each.
var hanging = []struct {
	name, script, disposition, thread string
}{
	{"epoll", catches + "l = listener()\ne = select.epoll()\ne.register(l, select.EPOLLIN)\nready()\nwhile True: e.poll()",
		"caught", `TID sleeps in epoll_p?wait on fd 4 \(epoll: 3 tcp 127\.0\.0\.1:\d+ listen\)`},
	{"accept", catches + "l = listener()\nready()\nl.accept()",
		"caught", `TID sleeps in accept4? on fd 3 \(tcp 127\.0\.0\.1:\d+ listen\)`},
	{"lock", catches + "k = threading.Lock()\nk.acquire()\nready()\nk.acquire()",
		"caught", `TID waits for a lock \(futex\)`},
	{"pipe", catches + "r, w = os.pipe()\nready()\nos.read(r, 1)",
		"caught", `TID sleeps in read on fd 3 \(pipe:\[\d+\]\)`},
	{"wait", catches + "p = os.fork()\nif p == 0:\n    os.setpgid(0, 0)\n    ready()\n    while True: time.sleep(1000)\nos.waitpid(p, 0)",
		"caught", `TID sleeps in wait4`},
	{"flock", catches + "f = tempfile.TemporaryFile()\nfcntl.flock(f, fcntl.LOCK_EX)\nif os.fork() == 0:\n    g = open('/proc/self/fd/%d' % f.fileno())\n    ready()\n    fcntl.flock(g, fcntl.LOCK_EX)\nwhile True: signal.pause()",
		"caught", `TID sleeps in (pause|rt_sigsuspend)`},
	{"spin", catches + "ready()\nwhile True: pass",
		"caught", `TID runs`},
	{"ignores", "import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\nprint('ready')\nwhile True: signal.pause()",
		"ignored", `TID sleeps in (pause|rt_sigsuspend)`},
	{"blocks", "import signal, time\nsignal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])\nprint('ready')\nwhile True: time.sleep(1000)",
		"blocked", `TID sleeps in (clock_nanosleep|pselect6)`},
	{"awaits", "import signal, time\nsignal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])\nprint('ready')\nwhile True: signal.sigwait([signal.SIGTERM])",
		"awaited", `TID sleeps in rt_sigtimedwait`},
}

func TestHangingChildIsDiagnosed(t *testing.T) {
	t.Parallel()
	hcl := `shutdown { deadline = "4s" }` + "\n" + fixture("quick", "sleep", "")
	for _, h := range hanging {
		hcl += python(t, h.name, h.script, `kill_timeout = "1500ms"`)
	}
	s := start(t, hcl)
	for _, h := range hanging {
		s.prints("[" + h.name + "] ready")
	}
	s.prints("[quick] ready")
	s.signal(unix.SIGTERM)
	e := s.ends(124, "forced")
	if e.int("killed") < len(hanging) {
		t.Errorf("%v", e)
	}
	if n := s.count("child slow to stop", "child", "quick"); n > 0 {
		t.Error("one that ended at once is called slow")
	}
	for _, h := range hanging {
		t.Run(h.name, func(t *testing.T) {
			s.t = t
			pid := s.wait("child spawned", "child", h.name).int("pid")
			first, i := s.waitFrom(0, "child slow to stop", "child", h.name, "@level", "warn")
			second, _ := s.waitFrom(i, "child slow to stop", "child", h.name)
			for _, e := range []entry{first, second} {
				if !e.is("child slow to stop", "pid", pid, "step", 1, "signal", "SIGTERM", "disposition", h.disposition) {
					t.Errorf("%v", e)
				}
				threads := fmt.Sprint(e["threads"])
				if !regexp.MustCompile(strings.ReplaceAll(h.thread, "TID", fmt.Sprint(pid))).MatchString(threads) {
					t.Errorf("no %s in %s", h.thread, threads)
				}
				if h.name == "spin" != (e.int("cpu_ms") > 50) {
					t.Errorf("it used the processor for %d ms", e.int("cpu_ms"))
				}
			}
			if first.int("stop_ms") < 1000 || second.int("stop_ms") < 1480 {
				t.Errorf("told after %v and %v ms", first["stop_ms"], second["stop_ms"])
			}
			threads := fmt.Sprint(first["threads"])
			switch h.name {
			case "wait": // what its child does is named too
				if !regexp.MustCompile(`python3 \(pid \d+\): \d+ sleeps in (clock_nanosleep|pselect6)`).MatchString(threads) {
					t.Errorf("nothing of the descendant: %s", threads)
				}
			case "flock":
				if !regexp.MustCompile(`python3 \(pid \d+\): \d+ sleeps in flock on fd \d+ \(/`).MatchString(threads) {
					t.Errorf("nothing of the lock: %s", threads)
				}
			}
		})
	}
}

// A Go program that does not end is asked for its stacks. Its end by that is
// one that had to be forced.
func TestDiagnoseSignal(t *testing.T) {
	t.Parallel()
	s := start(t, fixture("c", "deaf", "kill_timeout = \"2s\"\ndiagnose_signal = \"SIGQUIT\"\nlogs { stderr = \"stdout\" }"))
	s.prints("[c] ready")
	s.signal(unix.SIGTERM)
	e := s.ends(124, "forced")
	s.prints("[c] goroutine 1 ")
	s.wait("signal sent", "child", "c", "signal", "SIGTERM", "step", 1)
	s.wait("signal sent", "child", "c", "signal", "SIGQUIT", "step", 2, "@level", "warn")
	if s.count("signal sent", "signal", "SIGKILL") > 0 || e.int("killed") != 0 {
		t.Errorf("it was killed: %v", e)
	}
	s.wait("child reaped", "child", "c", "code", 2)
	s.wait("child slow to stop", "child", "c", "disposition", "ignored", "step", 1)
}

// A program that takes no notice of the signal for its stacks is killed.
func TestDiagnoseSignalIsNotTheLast(t *testing.T) {
	t.Parallel()
	s := start(t, shell("c", "trap '' TERM QUIT; echo ready; while :; do sleep 100; done", "kill_timeout = \"400ms\"\ndiagnose_signal = \"SIGQUIT\""))
	s.prints("[c] ready")
	s.signal(unix.SIGTERM)
	if e := s.ends(124, "forced"); e.int("killed") != 1 {
		t.Errorf("%v", e)
	}
	s.wait("signal sent", "child", "c", "signal", "SIGQUIT", "step", 2)
	s.wait("signal sent", "child", "c", "signal", "SIGKILL", "step", 3)
	s.wait("child reaped", "child", "c", "signal", "SIGKILL")
}

// Whether a child will hear its kill_signal is told once, a second after its
// start: not again after a restart, but anew for another signal.
func TestUnheardSignalIsToldOnce(t *testing.T) {
	t.Parallel()
	sleeps := func(name, more string) string {
		return fmt.Sprintf("child %q {\n  command = \"/bin/sleep\"\n  args = [\"1000\"]\n%s\n}\n", name, more)
	}
	rest := fixture("hears", "sleep", "") + fixture("deaf", "deaf", "kill_timeout = \"100ms\"\nrestart {\n    on = \"always\"\n    delay = \"10ms\"\n  }")
	s := start(t, rest+sleeps("none", ""))
	s.wait("stop signal not handled", "child", "deaf", "signal", "SIGTERM", "disposition", "ignored", "@level", "warn")
	s.wait("stop signal not handled", "child", "none", "signal", "SIGTERM", "disposition", "default", "@level", "info")
	first, i := s.waitFrom(0, "child spawned", "child", "deaf")
	if err := unix.Kill(first.int("pid"), unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	s.waitFrom(i, "child ready", "child", "deaf")
	// Started after the second run of deaf, so that this comes after the look at it.
	s.reload(rest + sleeps("none", "") + sleeps("clock", ""))
	s.wait("stop signal not handled", "child", "clock")
	s.reload(rest + sleeps("none", `kill_signal = "SIGINT"`) + sleeps("clock", ""))
	s.wait("config reloaded", "changed", "[none]")
	s.wait("stop signal not handled", "child", "none", "signal", "SIGINT", "disposition", "default")
	s.signal(unix.SIGTERM)
	s.ends(124, "forced")
	if n := s.count("stop signal not handled", "child", "deaf"); n != 1 {
		t.Errorf("told %d times", n)
	}
	if n := s.count("child spawned", "child", "none"); n != 1 {
		t.Errorf("a change of policy alone restarted it: %d runs", n)
	}
	if n := s.count("stop signal not handled", "child", "hears"); n > 0 {
		t.Errorf("one that hears is told of %d times", n)
	}
}

// A child that crashes has no proof, but what it held a second after it was
// ready is known.
func TestCrashTellsWhatWasHeld(t *testing.T) {
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
	line, _, err := s.output.from(0, func(line string) bool { return strings.Contains(line, "listens ") })
	if err != nil {
		t.Fatal(err)
	}
	s.wait("stop signal not handled", "child", "c") // which the look at it finds out
	if err := unix.Kill(s.wait("child spawned", "child", "c").int("pid"), unix.SIGUSR1); err != nil {
		t.Fatal(err)
	}
	s.ends(1, "graceful")
	s.wait("child reaped", "child", "c", "code", 3, "proof", "none", "@level", "warn")
	e := s.wait("child ended unexpectedly", "child", "c", "reason", "exited with code 3")
	port := line[strings.LastIndex(line, " ")+1:]
	if want := "3 tcp 127.0.0.1:" + port + " listen"; !strings.Contains(fmt.Sprint(e["last_known"]), want) {
		t.Errorf("no %s in %v", want, e)
	}
}
