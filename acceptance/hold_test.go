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

// The first signal of a stop waits for a run that is too young to hear it.

// pythonPrelude is what the scripts begin with. A handler in Python runs between
// two instructions: a signal that comes right before the system call of
// signal.pause() is heard by nobody until the next one, so rest sleeps in turns.
const pythonPrelude = `
import os
def print(*words): os.write(1, (' '.join(map(str, words)) + '\n').encode())
def rest():
    import time
    while True: time.sleep(0.02)
`

// python is a child block that runs a script. It prints each line in one write:
// those of a child and its helper must not mix, and a handler may interrupt it.
func python(t *testing.T, name, script, more string) string {
	t.Helper()
	script = pythonPrelude + script
	// The escapes of Go's strings are those of HCL, whose templates begin with ${.
	script = strings.ReplaceAll(fmt.Sprintf("%q", script), "${", "$${")
	return fmt.Sprintf("child %q {\n  command = %q\n  args = [\"-ISEc\", %s]\n%s\n}\n", name, needPython(t), script, more)
}

// resting is how a script goes on as a program that says when it is at rest. A
// program that is still being loaded, such as a sleep(1) that was just started,
// leaves the library open that it reads when a signal ends it, and the proof
// tells that, truly.
const resting = `exec /usr/bin/python3 -ISEc 'import time; print("at rest", flush=True); time.sleep(1000)'`

// shell is a child block that runs a script.
func shell(name, script, more string) string {
	script = strings.ReplaceAll(fmt.Sprintf("%q", script), "${", "$${")
	return fmt.Sprintf("child %q {\n  command = \"/bin/sh\"\n  args = [\"-c\", %s]\n%s\n}\n", name, script, more)
}

// compiled builds a C program, and returns its path.
func compiled(t *testing.T, source string) string {
	t.Helper()
	dir := t.TempDir()
	path := filepath.Join(dir, "program")
	if err := os.WriteFile(path+".c", []byte(source), 0o600); err != nil {
		t.Fatal(err)
	}
	gcc(t, path, path+".c")
	return path
}

// busy passes a random time, most often a short one. It is part of the test, and
// not of its synchronisation.
func busy(most time.Duration) {
	d := rand.N(rand.N(most) + 1)
	for began := time.Now(); time.Since(began) < d; {
	}
}

// at is when an entry was logged.
func (e entry) at(t *testing.T) time.Time {
	t.Helper()
	at, err := time.Parse("2006-01-02T15:04:05.000000Z07:00", fmt.Sprint(e["@timestamp"]))
	if err != nil {
		t.Fatal(err)
	}
	return at
}

// held is how long the first signal of a stop waited for a child.
func (s *super) held(child string) time.Duration {
	s.t.Helper()
	received, sent := s.wait("signal received"), s.wait("signal sent", "child", child, "step", 1)
	return sent.at(s.t).Sub(received.at(s.t))
}

// youngest are the children that a signal finds in their first moments, and how
// often each is stopped.
func youngest(t *testing.T) []youngChild {
	port := free(t)
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
		{"Go with a ready block", 50, 30 * time.Millisecond, func(hold string) string {
			return server("c", fmt.Sprintf("env = { SERVER_PORT = %q }\nready { tcp = \"127.0.0.1:%s\" }\n%s", port, port, hold))
		}},
		{"Go without one", 20, 30 * time.Millisecond, func(hold string) string {
			return server("c", "env = { SERVER_PORT = \"0\" }\n"+hold)
		}},
		{"Go that prints", 20, 30 * time.Millisecond, func(hold string) string { return fixture("c", "sleep", hold) }},
		{"Python", 20, 30 * time.Millisecond, func(hold string) string { return python(t, "c", handler, cmp.Or(hold, "kill_hold = \"900ms\"")) }},
	}
}

type youngChild struct {
	name   string
	times  int
	within time.Duration // of its start the signal comes
	config func(hold string) string
}

// stopYoung stops a child a random moment after its start, and says how it
// ended: 0, or the name of a signal.
func stopYoung(t *testing.T, config string, within time.Duration) string {
	t.Helper()
	s := start(t, config)
	s.wait("child spawned")
	busy(within)
	s.signal(unix.SIGTERM)
	if code := s.code(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	e := s.wait("child reaped")
	if e["signal"] != nil {
		return fmt.Sprint(e["signal"])
	}
	return fmt.Sprint(e["code"])
}

func TestYoungChildHearsTheSignal(t *testing.T) {
	t.Parallel()
	for _, c := range youngest(t) {
		t.Run(c.name, func(t *testing.T) {
			ends := map[string]int{}
			for range c.times {
				ends[stopYoung(t, c.config(""), c.within)]++
			}
			if ends["0"] != c.times {
				t.Errorf("not all of %d ended well: %v", c.times, ends)
			}
		})
	}
}

// Without the hold the same children die of the signal: the test above can fail.
func TestYoungChildWithoutHold(t *testing.T) {
	t.Parallel()
	for _, c := range youngest(t) {
		t.Run(c.name, func(t *testing.T) {
			const most = 100
			for n := 1; n <= most; n++ {
				if end := stopYoung(t, c.config(`kill_hold = "0s"`), time.Microsecond); end == "SIGTERM" {
					t.Logf("the first that died was number %d", n)
					return
				}
			}
			t.Errorf("none of %d died of the signal, so nothing shows what the hold is good for", most)
		})
	}
}

// unheld is far less than the second that a run is young for, which is when the
// longest hold ends, and far more than a signal takes.
const unheld = 800 * time.Millisecond

// What has no handler, and never will, is held for kill_hold and no longer; and
// nothing is held that is old, hears, or is not to be asked.
func TestHoldIsAsLongAsItMust(t *testing.T) {
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
			s.wait("child spawned")
			s.signal(unix.SIGTERM)
			s.code()
			s.wait("child reaped", "signal", tt.signal)
			// The supervisor logs a moment after it did what it logs.
			if held := s.held("c"); held < tt.least*9/10 || tt.least == 0 && held > unheld {
				t.Errorf("held for %v", held)
			}
		})
	}
	t.Run("older than a second", func(t *testing.T) {
		s := start(t, fmt.Sprintf(sleeps, "kill_hold = \"30s\"\nkill_timeout = \"8s\""))
		s.wait("stop signal not handled") // which is told a second after the start
		s.signal(unix.SIGTERM)
		s.ends(0, "graceful")
		if held := s.held("c"); held > 2*time.Second {
			t.Errorf("held for %v", held)
		}
	})
	t.Run("hastened", func(t *testing.T) {
		s := start(t, fmt.Sprintf(sleeps, "kill_hold = \"4s\"\nkill_timeout = \"8s\""))
		s.wait("child spawned")
		s.signal(unix.SIGTERM)
		s.wait("signal received")
		s.another(unix.SIGTERM)
		s.code()
		if held := s.held("c"); held > unheld {
			t.Errorf("held for %v", held)
		}
		if s.count("child reaped") != 1 {
			t.Error("it is not reaped")
		}
	})
}

// What waits for its signals in a call has no handler and hears all the same.
func TestAwaitedSignalIsNotHeld(t *testing.T) {
	t.Parallel()
	const sigwait = `
import signal
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
print("ready")
signal.sigwait([signal.SIGTERM])
`
	signalfd := compiled(t, `
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
	// Without the look at the thread these would be held to the end of this.
	const hold = "kill_hold = \"4s\"\nkill_timeout = \"8s\""
	for name, hcl := range map[string]string{
		"sigwait":  python(t, "c", sigwait, hold),
		"signalfd": fmt.Sprintf("child \"c\" {\n  command = %q\n%s\n}\n", signalfd, hold),
	} {
		t.Run(name, func(t *testing.T) {
			var all []time.Duration
			for range 3 {
				s := start(t, hcl)
				s.prints("ready")
				pid := s.wait("child spawned").int("pid")
				await(t, "it waits", func() bool {
					call, _ := os.ReadFile(fmt.Sprintf("/proc/%d/syscall", pid))
					number, _, _ := strings.Cut(string(call), " ")
					return number == fmt.Sprint(unix.SYS_RT_SIGTIMEDWAIT) || number == fmt.Sprint(unix.SYS_READ)
				})
				s.signal(unix.SIGTERM)
				s.ends(0, "graceful")
				s.wait("child reaped", "child", "c", "code", 0)
				all = append(all, s.held("c"))
			}
			if slices.Min(all) > unheld {
				t.Errorf("held for %v", all)
			}
		})
	}
}

// gcc compiles a static program.
func gcc(t *testing.T, path string, source string) {
	t.Helper()
	needs.Check(t, "gcc")
	c := exec.Command("gcc", "-static", "-O1", "-pthread", "-Wall", "-Wextra", "-Werror", "-o", path, source)
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("cannot build %s: %v\n%s", source, err, out)
	}
}
