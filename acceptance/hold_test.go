package acceptance

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"tp0/supervisor/fixture/needs"
)

// Tests of kill_hold: the first signal of a stop waits until a new process has a handler for
// it.

// pythonPrelude starts each script. Python runs a handler between two instructions, so a
// signal just before the system call of signal.pause() has no effect until the next one. That
// is why rest sleeps in short intervals.
const pythonPrelude = `
import os
def print(*words): os.write(1, (' '.join(map(str, words)) + '\n').encode())
def rest():
    import time
    while True: time.sleep(0.02)
`

// python returns a child block that runs a script. The script prints each line in one write,
// so that lines of a child and its descendants do not mix and a handler cannot interrupt one.
func python(t *testing.T, name, script, more string) string {
	t.Helper()
	script = pythonPrelude + script
	// HCL has the string escapes of Go. Its templates start with ${.
	script = strings.ReplaceAll(fmt.Sprintf("%q", script), "${", "$${")
	return fmt.Sprintf("child %q {\n  command = %q\n  args = [\"-ISEc\", %s]\n%s\n}\n", name,
		needPython(t), script, more)
}

// idleScript ends a shell script with a program that prints when it is idle. A program that is
// still loading, such as a sleep(1) just started, has a library open, and the proof reports
// that descriptor as leaked.
const idleScript = `exec /usr/bin/python3 -ISEc '` +
	`import time; print("at rest", flush=True); time.sleep(1000)'`

// shell returns a child block that runs a shell script.
func shell(name, script, more string) string {
	script = strings.ReplaceAll(fmt.Sprintf("%q", script), "${", "$${")
	return fmt.Sprintf("child %q {\n  command = \"/bin/sh\"\n  args = [\"-c\", %s]\n%s\n}\n", name,
		script, more)
}

// compileC builds a C program and returns its path.
func compileC(t *testing.T, source string) string {
	t.Helper()
	dir := t.TempDir()
	path := filepath.Join(dir, "program")
	if err := os.WriteFile(path+".c", []byte(source), 0o600); err != nil {
		t.Fatal(err)
	}
	gcc(t, path, path+".c")
	return path
}

// randomDelay waits a random time of at most most, usually a short one. The delay is the
// subject of the test, not its synchronisation.
func randomDelay(most time.Duration) {
	d := rand.N(rand.N(most) + 1)
	for began := time.Now(); time.Since(began) < d; {
	}
}

// at returns the time of the entry.
func (e entry) at(t *testing.T) time.Time {
	t.Helper()
	at, err := time.Parse("2006-01-02T15:04:05.000000Z07:00", fmt.Sprint(e["@timestamp"]))
	if err != nil {
		t.Fatal(err)
	}
	return at
}

// signalDelay returns how long the first signal of a stop waited for a child.
func (s *supervisor) signalDelay(child string) time.Duration {
	s.t.Helper()
	received, sent := s.awaitEntry("signal received"),
		s.awaitEntry("signal sent", "child", child, "step", 1)
	return sent.at(s.t).Sub(received.at(s.t))
}

// youngChildren returns the children that a signal reaches just after their start, and how
// often each is stopped.
func youngChildren(t *testing.T) []youngChild {
	port := freePort(t)
	server := func(name, more string) string {
		return fmt.Sprintf("child %q {\n  command = \"server\"\n%s\n}\n", name, more)
	}
	const handler = `
import random, signal, sys, time
time.sleep(random.random() * 0.13) # it takes its time to start
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
rest()
`
	return []youngChild{
		{"Go and ready", 50, 30 * time.Millisecond, func(_ *testing.T, hold string) string {
			return server("c", fmt.Sprintf("env = { SERVER_PORT = %q }\n"+
				"ready { tcp = \"127.0.0.1:%s\" }\n%s", port, port, hold))
		}},
		{"Go without one", 20, 30 * time.Millisecond, func(_ *testing.T, hold string) string {
			return server("c", "env = { SERVER_PORT = \"0\" }\n"+hold)
		}},
		{"Go that prints", 20, 30 * time.Millisecond,
			func(_ *testing.T, hold string) string { return fixture("c", "sleep", hold) }},
		{"Python", 20, 30 * time.Millisecond,
			func(t *testing.T, hold string) string {
				return python(t, "c", handler, cmp.Or(hold, "kill_hold = \"900ms\""))
			}},
	}
}

type youngChild struct {
	name   string
	times  int
	within time.Duration // the signal is sent within this time of the start
	config func(t *testing.T, hold string) string
}

// stopAfter stops a child a random time after its start. It returns the exit code or the name
// of the signal that ended the child.
func stopAfter(t *testing.T, config string, within time.Duration) string {
	t.Helper()
	s := start(t, config)
	s.awaitEntry("child spawned")
	randomDelay(within)
	s.signal(unix.SIGTERM)
	if code := s.exitCode(); code != 0 {
		t.Errorf("exit code %d, want 0", code)
	}
	e := s.awaitEntry("child reaped")
	if e["signal"] != nil {
		return fmt.Sprint(e["signal"])
	}
	return fmt.Sprint(e["code"])
}

// TestFirstSignalWaitsForHandler checks that a child that is stopped just after its start gets
// the signal once it has a handler, and so exits with 0.
func TestFirstSignalWaitsForHandler(t *testing.T) {
	t.Parallel()
	for _, c := range youngChildren(t) {
		t.Run(c.name, func(t *testing.T) {
			ends := map[string]int{}
			for range c.times {
				ends[stopAfter(t, c.config(t, ""), c.within)]++
			}
			if ends["0"] != c.times {
				t.Errorf("got the exits %[2]v, want all %[1]d with code 0", c.times, ends)
			}
		})
	}
}

// TestFirstSignalWithoutHold shows that TestFirstSignalWaitsForHandler can fail: without
// kill_hold SIGTERM ends the same children.
func TestFirstSignalWithoutHold(t *testing.T) {
	t.Parallel()
	for _, c := range youngChildren(t) {
		t.Run(c.name, func(t *testing.T) {
			const most = 100
			for n := 1; n <= most; n++ {
				if end := stopAfter(t, c.config(t, `kill_hold = "0s"`),
					time.Microsecond); end == "SIGTERM" {
					t.Logf("the first child ended by SIGTERM was number %d", n)
					return
				}
			}
			t.Errorf("SIGTERM ended none of %d children, so this test proves nothing", most)
		})
	}
}

// noHold is the longest delay of a signal that is not held. It is well below one second, the
// age at which a process is never held.
const noHold = 800 * time.Millisecond

// TestHoldDuration checks that a process without a handler is held for kill_hold. A process is
// not held if it is older than one second, has a handler, gets SIGKILL, or a second signal
// escalates the stop.
func TestHoldDuration(t *testing.T) {
	t.Parallel()
	const sleeps = "child \"c\" {\n  command = \"/bin/sleep\"\n  args = [\"100\"]\n%s\n}\n"
	const least = 100 * time.Millisecond
	for _, tt := range []struct {
		name   string
		more   string
		signal string
		least  time.Duration
	}{
		{"no handler", `kill_hold = "100ms"`, "SIGTERM", least},
		{"switched off", `kill_hold = "0s"`, "SIGTERM", 0},
		{"half of kill_timeout", "kill_hold = \"30s\"\nkill_timeout = \"200ms\"", "SIGTERM", least},
		{"SIGKILL", "kill_hold = \"10s\"\nkill_signal = \"SIGKILL\"", "SIGKILL", 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := start(t, fmt.Sprintf(sleeps, tt.more))
			s.awaitEntry("child spawned")
			s.signal(unix.SIGTERM)
			s.exitCode()
			s.awaitEntry("child reaped", "signal", tt.signal)
			// The supervisor logs a short time after the action.
			if held := s.signalDelay("c"); held < tt.least*9/10 || tt.least == 0 && held > noHold {
				t.Errorf("held for %v", held)
			}
		})
	}
	t.Run("older than a second", func(t *testing.T) {
		s := start(t, fmt.Sprintf(sleeps, "kill_hold = \"30s\"\nkill_timeout = \"8s\""))
		s.awaitEntry("stop signal not handled") // which is logged a second after the start
		s.signal(unix.SIGTERM)
		s.expectStop(0, "graceful")
		if held := s.signalDelay("c"); held > 2*time.Second {
			t.Errorf("held for %v", held)
		}
	})
	t.Run("hastened", func(t *testing.T) {
		s := start(t, fmt.Sprintf(sleeps, "kill_hold = \"4s\"\nkill_timeout = \"8s\""))
		s.awaitEntry("child spawned")
		s.signal(unix.SIGTERM)
		s.awaitEntry("signal received")
		s.signalAgain(unix.SIGTERM)
		s.exitCode()
		if held := s.signalDelay("c"); held > noHold {
			t.Errorf("held for %v", held)
		}
		if s.count("child reaped") != 1 {
			t.Error("the child was not reaped")
		}
	})
}

// TestAwaitedSignalIsNotDelayed checks that a process that waits for the signal in a system
// call is not held, though it has no handler.
func TestAwaitedSignalIsNotDelayed(t *testing.T) {
	t.Parallel()
	const sigwait = `
import signal
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
print("ready")
signal.sigwait([signal.SIGTERM])
`
	signalfd := compileC(t, `
#include <signal.h>
#include <stdio.h>
#include <sys/signalfd.h>
#include <unistd.h>
int main(void) {
	sigset_t s;
	sigemptyset(&s), sigaddset(&s, SIGTERM);
	sigprocmask(SIG_BLOCK, &s, 0);
	struct signalfd_siginfo i;
	int fd = signalfd(-1, &s, 0);
	puts("ready"), fflush(stdout);
	int heard = read(fd, &i, sizeof i) == sizeof i && i.ssi_signo == SIGTERM;
	return close(fd) || !heard;
}`)
	// Without the check of the system call these children would be held for all of kill_hold.
	const hold = "kill_hold = \"4s\"\nkill_timeout = \"8s\""
	for name, hcl := range map[string]string{
		"sigwait":  python(t, "c", sigwait, hold),
		"signalfd": fmt.Sprintf("child \"c\" {\n  command = %q\n%s\n}\n", signalfd, hold),
	} {
		t.Run(name, func(t *testing.T) {
			var all []time.Duration
			for range 3 {
				s := start(t, hcl)
				s.awaitLine("ready")
				pid := s.awaitEntry("child spawned").int("pid")
				await(t, "it waits", func() bool {
					call, _ := os.ReadFile(fmt.Sprintf("/proc/%d/syscall", pid))
					number, _, _ := strings.Cut(string(call), " ")
					return number == fmt.Sprint(unix.SYS_RT_SIGTIMEDWAIT) ||
						number == fmt.Sprint(unix.SYS_READ)
				})
				s.signal(unix.SIGTERM)
				s.expectStop(0, "graceful")
				s.awaitEntry("child reaped", "child", "c", "code", 0)
				all = append(all, s.signalDelay("c"))
			}
			if slices.Min(all) > noHold {
				t.Errorf("held for %v", all)
			}
		})
	}
}

// gcc compiles a static program. It skips t without gcc.
func gcc(t *testing.T, path string, source string) {
	t.Helper()
	needs.Check(t, "gcc")
	c := exec.Command("gcc", "-static", "-O1", "-pthread", "-Wall", "-Wextra", "-Werror", "-o",
		path, source)
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("cannot build %s: %v\n%s", source, err, out)
	}
}
