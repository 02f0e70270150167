package acceptance

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"tp0/supervisor/fixture/needs"
)

// TestKillSequence checks that a child that ignores every signal of its kill_sequence gets
// each of them in order, then SIGKILL.
func TestKillSequence(t *testing.T) {
	t.Parallel()
	const sequence = `kill_sequence = [
  { signal = "SIGTERM", wait = "300ms" },
  { signal = "SIGQUIT", wait = "200ms" },
]`
	const script = "trap '' TERM QUIT; echo ready; while :; do sleep 100; done"
	s := start(t, shell("c", script, sequence))
	s.awaitLine("[c] ready")
	s.signal(unix.SIGTERM)
	s.expectStop(124, "forced").expect(t, "killed", 1)
	for i, sig := range []string{"SIGTERM", "SIGQUIT", "SIGKILL"} {
		s.awaitEntry("signal sent", "child", "c", "signal", sig, "step", i+1)
	}
	if e := s.awaitEntry("child reaped", "child", "c", "signal",
		"SIGKILL"); e.int("stop_ms") < 500 {
		t.Errorf("got %v, want stop_ms of at least 500", e)
	}
}

func TestSuccessCodes(t *testing.T) {
	t.Parallel()
	s := start(t, fixture("job", "exit 3", "success_codes = [0, 3]")+
		shell("dies", "kill -TERM $$", "success_codes = [143]"))
	s.expectStop(0, "graceful")
	for _, name := range []string{"job", "dies"} {
		s.awaitEntry("child completed", "child", name)
		s.awaitEntry("child reaped", "child", name, "@level", "info")
	}
	if n := s.count("child restarting"); n > 0 {
		t.Errorf("%d restarts of children that succeeded, want 0", n)
	}
}

// TestKillScope checks which processes get the first signal of a stop. The supervisor stops
// the others as survivors.
func TestKillScope(t *testing.T) {
	t.Parallel()
	const tree = `
import signal
def member(name):
    def stop(*_):
        print(name, "got SIGTERM")
        os._exit(0)
    signal.signal(signal.SIGTERM, stop)
    print(name, "up")
    rest()
if os.fork() == 0:
    member("same")
if os.fork() == 0:
    os.setsid()
    member("other")
member("main")
`
	for scope, reached := range map[string][]string{
		"process": {"main"}, "group": {"main", "same"}, "tree": {"main", "same", "other"},
	} {
		t.Run(scope, func(t *testing.T) {
			t.Parallel()
			s := start(t, python(t, "c", tree, "kill_scope = \""+scope+"\""))
			for _, name := range []string{"main", "same", "other"} {
				s.awaitLine("[c] " + name + " up")
			}
			s.signal(unix.SIGTERM)
			s.expectStop(0, "graceful")
			for _, name := range reached {
				s.awaitLine("[c] " + name + " got SIGTERM")
			}
			orphans := s.count("signal sent", "child", "c", "process", "python3", "step", 1)
			// With scope "group" a member that started in the same clock tick as the main process
			// gets the signal a second time.
			want := 3 - len(reached)
			if orphans != want && (scope != "group" || orphans != want+1) {
				t.Errorf("%d survivors got SIGTERM one by one, want %d", orphans, want)
			}
		})
	}
}

// TestUser checks the ids, umask, limits and environment of a child that runs as another user,
// and that its proof is exact.
func TestUser(t *testing.T) {
	needs.Check(t, "root", "python")
	const script = `echo $HOME $USER $LOGNAME $A $(umask) $(ulimit -n); ` +
		`tr '\t' ' ' </proc/self/status | grep -E '^(Uid|Gid|Groups)'; ` + idleScript
	s := prepare(t, shell("c", script, "user = \"65533\"\ngroup = 7\numask = \"0027\"\n"+
		"env_file = \"c.env\"\nrlimits { nofile = 99 }"))
	if err := os.WriteFile(filepath.Join(filepath.Dir(s.config), "c.env"), []byte("A=b\"c\"\n"),
		0o600); err != nil {
		t.Fatal(err)
	}
	s.launch()
	for _, line := range []string{`/ 65533 65533 b"c" 0027 99`, "Uid: 65533 65533 65533 65533",
		"Gid: 7 7 7 7", "Groups: 7 "} {
		s.awaitLine("[c] " + line)
	}
	s.awaitLine("[c] at rest")
	s.signal(unix.SIGTERM)
	s.expectStop(0, "graceful")
	s.awaitEntry("child reaped", "child", "c", "proof", "exact")
}

// TestSupervisorOfAnotherUserIsKilled checks that a child of another user gets SIGTERM too.
func TestSupervisorOfAnotherUserIsKilled(t *testing.T) {
	needs.Check(t, "root")
	s := start(t, shell("c", "echo up; exec sleep 1000", "user = 65533"))
	s.awaitLine("[c] up")
	s.expectEndWithSupervisor(s.awaitEntry("child spawned").int("pid"))
}

// TestUserWithoutPermission checks that a command that the user may not execute is a failed
// spawn, with the reason, and counts as a failure.
func TestUserWithoutPermission(t *testing.T) {
	needs.Check(t, "root")
	path := filepath.Join(t.TempDir(), "roots-only")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	s := start(t, fmt.Sprintf("child \"c\" {\n  command = %q\n  user = \"65533\"\n  restart {\n"+
		"    attempts = 1\n    delay = \"1ms\"\n  }\n}\n", path))
	e := s.expectStop(1, "graceful")
	e.expect(t, "spawned", 0, "reaped", 0)
	reason := "cannot execute " + path + ": permission denied"
	s.awaitEntry("spawn failed", "child", "c", "reason", reason)
	s.awaitEntry("child restarting", "child", "c", "reason", "it could not be spawned: "+reason)
	if n := s.count("spawn failed"); n != 2 {
		t.Errorf("logged %d times, want 2", n)
	}
}

func TestUnknownUser(t *testing.T) {
	s := start(t, shell("c", "exit", "user = \"nobdy\""))
	if code := s.exitCode(); code != 2 {
		t.Errorf("exit code %d, want 2", code)
	}
	if text := s.log.text(); !strings.Contains(text,
		`/etc/passwd has no user "nobdy". Did you mean "nobody"?`) {
		t.Error(text)
	}
}

// TestUserNeedsRights checks that a supervisor without root reports the fault before it starts
// a child.
func TestUserNeedsRights(t *testing.T) {
	needs.Check(t, "root")
	s := prepare(t, shell("c", "exit", "user = \"65533\""))
	// User 65532 reads the files.
	for _, path := range []string{bin, filepath.Dir(s.config), s.config} {
		if err := os.Chmod(path, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(filepath.Dir(filepath.Dir(s.config)), 0o755); err != nil {
		t.Fatal(err)
	}
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65532,
		Gid: 65532}}
	s.launch()
	if code := s.exitCode(); code != 2 {
		t.Errorf("exit code %d, want 2", code)
	}
	if text := s.log.text(); !strings.Contains(text,
		"The supervisor runs as user 65532 and has no privilege to change the user") {
		t.Error(text)
	}
}
