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

// hookCommand returns an attribute whose command is a shell script.
func hookCommand(name, script string) string {
	script = strings.ReplaceAll(fmt.Sprintf("%q", script), "${", "$${")
	return fmt.Sprintf("%s = [\"/bin/sh\", \"-c\", %s]\n", name, script)
}

// hookBlock returns a hooks block.
func hookBlock(attributes ...string) string {
	return "hooks {\n" + strings.Join(attributes, "") + "}\n"
}

// stopBlock returns a stop block whose command is a shell script.
func stopBlock(script string) string {
	return "stop {\n" + hookCommand("exec", script) + "}\n"
}

// quitting ignores SIGTERM and ends by SIGUSR1.
const quitting = `
import signal
signal.signal(signal.SIGTERM, signal.SIG_IGN)
signal.signal(signal.SIGUSR1, lambda *_: os._exit(0))
print("serving")
rest()
`

// hanging is a script that ignores SIGTERM, has a descendant in its group and one in a session of
// its own, and does not end.
const hanging = "trap '' TERM; setsid sleep 1000 & sleep 1000 & echo hangs; " +
	"while :; do sleep 1000; done"

// expectNothingLeft checks that the supervisor ended every process, and each hook that it started.
func (s *supervisor) expectNothingLeft() {
	s.t.Helper()
	if n := s.count("left behind"); n > 0 {
		s.t.Errorf("%d processes are left behind, want none", n)
	}
	if began, ended := s.count("hook started"), s.count("hook ended"); began != ended {
		s.t.Errorf("%d hooks started and %d ended", began, ended)
	}
}

// TestStopHookEndsProgram checks that a program that ignores SIGTERM ends by its stop hook in each
// kind of stop, and with an exact proof.
func TestStopHookEndsProgram(t *testing.T) {
	file := func(value string) string {
		return python(t, "c", quitting, fmt.Sprintf("env = { V = %q }\n", value)+
			"kill_timeout = \"8s\"\nready {\n  log = \"serving\"\n  timeout = \"50s\"\n}\n"+
			stopBlock("kill -USR1 $SUPERVISOR_PID; echo $SUPERVISOR_HOOK $SUPERVISOR_CHILD"))
	}
	s := start(t, file("1"))
	first := s.awaitEntry("child ready").int("pid")
	s.reload(file("2"))
	s.awaitEntry("hook started", "child", "c", "hook", "stop")
	_, ended := s.awaitEntryFrom(0, "child reaped", "pid", first, "code", 0, "proof", "exact")
	s.awaitEntryFrom(ended, "child ready")
	s.signal(unix.SIGTERM)
	s.expectStop(0, "graceful").expect(t, "spawned", 2, "orphans", 0)
	s.awaitLine("[c stop] stop c")
	if n := s.count("signal sent"); n > 0 {
		t.Errorf("%d signals were sent, want none", n)
	}
}

// TestStopHookFails checks that the kill_signal follows a stop hook that fails, cannot be executed
// or hangs, and that the program then ends gracefully.
func TestStopHookFails(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "missing")
	for name, tt := range map[string]struct {
		stop    string
		code    int // of the supervisor
		verdict string
	}{
		"fails":   {stopBlock("exit 3"), 0, "graceful"},
		"missing": {fmt.Sprintf("stop {\n  exec = [%q]\n}\n", missing), 0, "graceful"},
		"hangs":   {stopBlock(hanging), 124, "forced"}, // the hook is killed
	} {
		t.Run(name, func(t *testing.T) {
			if err := os.WriteFile(missing, []byte("#!/bin/sh\n"), 0o700); err != nil {
				t.Fatal(err)
			}
			s := start(t, python(t, "c", "import signal\n"+
				"signal.signal(signal.SIGTERM, lambda *_: (print('bye'), os._exit(0)))\n"+
				"print('serving')\nrest()", "kill_timeout = \"2s\"\nready {\n"+
				"  log = \"serving\"\n  timeout = \"50s\"\n}\n"+tt.stop))
			s.awaitEntry("child ready")
			_ = os.Remove(missing)
			s.signal(unix.SIGTERM)
			s.expectStop(tt.code, tt.verdict)
			s.awaitLine("[c] bye")
			s.awaitEntry("child reaped", "child", "c", "code", 0)
		})
	}
}

// TestPreStartHookFails checks that each failure of a pre_start hook is a failed start: no process
// is spawned, the attempts are used up, and post_stop and on_failure hooks follow.
func TestPreStartHookFails(t *testing.T) {
	for name, tt := range map[string]struct{ script, timeout string }{
		"exit code": {"exit 7", "3s"}, "signal": {"kill -SEGV $$", "3s"},
		"hangs": {hanging, "300ms"},
	} {
		t.Run(name, func(t *testing.T) {
			s := start(t, shell("c", "exit 0", "restart {\n  attempts = 1\n  delay = \"1ms\"\n}\n"+
				hookBlock(hookCommand("pre_start", tt.script),
					fmt.Sprintf("timeout = %q\n", tt.timeout),
					hookCommand("post_stop", "echo after $SUPERVISOR_RESULT"),
					hookCommand("on_failure",
						"echo alert $SUPERVISOR_ATTEMPT $SUPERVISOR_REASON"))))
			code := s.exitCode()
			for message, want := range map[string]int{
				"child spawned": 0, "child restarting": 1, "child failed": 1,
			} {
				if n := s.count(message); n != want {
					t.Errorf("%q: got %d, want %d", message, n, want)
				}
			}
			s.expectNothingLeft()
			if name == "hangs" {
				return // a busy machine can need more than the timeout for the other hooks
			}
			if code != 1 {
				t.Errorf("exit code %d, want 1", code)
			}
			s.awaitLine("[c post_stop] after failure")
			s.awaitLine("[c on_failure] alert 1 its pre_start hook ")
		})
	}
}

// TestHookFloods checks that the output of a hook that floods is relayed to its end, and that a
// daemon which the hook leaves is ended before the process starts.
func TestHookFloods(t *testing.T) {
	s := start(t, shell("c", "echo serving; exec sleep 1000", hookBlock(hookCommand("pre_start",
		"seq 100000; setsid sleep 1000 > /dev/null 2>&1 & echo last"))))
	s.awaitLine("[c] serving")
	s.awaitLine("[c pre_start] 100000")
	s.awaitLine("[c pre_start] last")
	s.signal(unix.SIGTERM)
	s.expectStop(0, "graceful").expect(t, "spawned", 1, "lines_dropped", 0)
	s.expectNothingLeft()
}

// TestStopDuringHook sends SIGTERM to the supervisor while a hook runs that ignores SIGTERM. The
// stop holds its deadline, nothing is spawned after it, and no process is left.
func TestStopDuringHook(t *testing.T) {
	const deadline = 2 * time.Second
	header := fmt.Sprintf("shutdown {\n  deadline = %q\n}\n", deadline)
	const restartOnce = "restart {\n  attempts = 1\n  delay = \"10s\"\n  max_delay = \"10s\"\n}\n"
	for name, child := range map[string]string{
		"pre_start": shell("c", "exec sleep 1000", hookBlock(hookCommand("pre_start", hanging))),
		"post_stop": shell("c", "exit 1",
			restartOnce+hookBlock(hookCommand("post_stop", hanging))),
		"on_failure": shell("c", "exit 1", "on_failure = \"ignore\"\n"+
			"restart {\n  on = \"never\"\n}\n"+hookBlock(hookCommand("on_failure", hanging))),
	} {
		t.Run(name, func(t *testing.T) {
			s := start(t, header+child+fixture("other", "sleep", ""))
			s.awaitLine("[c " + name + "] hangs")
			s.expectForced(deadline, -1)
			s.expectNothingLeft()
			if name == "pre_start" && s.count("child spawned", "child", "c") > 0 {
				t.Error("a process was spawned after the stop")
			}
		})
	}
}

// TestHangingPostStopHookInStop checks that a post_stop hook that hangs does not take the time of
// the children that stop after its child: they still get their kill_signal.
func TestHangingPostStopHookInStop(t *testing.T) {
	const deadline = 3 * time.Second
	s := start(t, fmt.Sprintf("shutdown {\n  deadline = %q\n}\n", deadline)+
		fixture("db", "sleep", "")+fixture("web", "sleep", "depends_on = [\"db\"]\n"+
		hookBlock(hookCommand("post_stop", hanging))))
	s.awaitLine("[web] ready")
	s.expectForced(deadline, -1)
	s.awaitEntry("signal sent", "child", "db", "signal", "SIGTERM", "step", 1)
	s.expectNothingLeft()
}
