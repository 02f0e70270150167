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

// One that takes no notice gets each signal of its ladder in turn, and SIGKILL
// after the last.
func TestKillLadder(t *testing.T) {
	t.Parallel()
	const ladder = `kill_sequence = [{ signal = "SIGTERM", wait = "300ms" }, { signal = "SIGQUIT", wait = "200ms" }]`
	s := start(t, shell("c", "trap '' TERM QUIT; echo ready; while :; do sleep 100; done", ladder))
	s.prints("[c] ready")
	s.signal(unix.SIGTERM)
	if e := s.ends(124, "forced"); e.int("killed") != 1 {
		t.Errorf("%v", e)
	}
	for rung, sig := range []string{"SIGTERM", "SIGQUIT", "SIGKILL"} {
		s.wait("signal sent", "child", "c", "signal", sig, "step", rung+1)
	}
	if e := s.wait("child reaped", "child", "c", "signal", "SIGKILL"); e.int("stop_ms") < 500 {
		t.Errorf("it was killed too early: %v", e)
	}
}

func TestSuccessCodes(t *testing.T) {
	t.Parallel()
	s := start(t, fixture("job", "exit 3", "success_codes = [0, 3]")+
		shell("dies", "kill -TERM $$", "success_codes = [143]"))
	s.ends(0, "graceful")
	for _, name := range []string{"job", "dies"} {
		s.wait("child completed", "child", name)
		s.wait("child reaped", "child", name, "@level", "info")
	}
	if n := s.count("child restarting"); n > 0 {
		t.Errorf("%d restarts of what succeeded", n)
	}
}

// kill_scope says who gets the signal of a stop. What did not get it goes on,
// and is ended by the sweep.
func TestKillScope(t *testing.T) {
	t.Parallel()
	const tree = `
import signal
def member(name):
    def told(*_):
        print(name, "told")
        os._exit(0)
    signal.signal(signal.SIGTERM, told)
    print(name, "up")
    rest()
if os.fork() == 0:
    member("same")
if os.fork() == 0:
    os.setsid()
    member("other")
member("main")
`
	for scope, told := range map[string][]string{
		"process": {"main"}, "group": {"main", "same"}, "tree": {"main", "same", "other"},
	} {
		t.Run(scope, func(t *testing.T) {
			t.Parallel()
			s := start(t, python(t, "c", tree, "kill_scope = \""+scope+"\""))
			for _, name := range []string{"main", "same", "other"} {
				s.prints("[c] " + name + " up")
			}
			s.signal(unix.SIGTERM)
			s.ends(0, "graceful")
			for _, name := range told {
				s.prints("[c] " + name + " told")
			}
			orphans := s.count("signal sent", "child", "c", "process", "python3", "step", 1)
			// One that was started in the same clock tick is told once more.
			if want := 3 - len(told); orphans != want && (scope != "group" || orphans != want+1) {
				t.Errorf("%d survivors were told one by one, want %d", orphans, want)
			}
		})
	}
}

// A child of another user is who it should be, its end is proven, and it dies
// with us: the change of its ids took away the signal for that.
func TestUser(t *testing.T) {
	needs.Check(t, "root", "python")
	const script = `echo $HOME $USER $LOGNAME $A $(umask) $(ulimit -n); tr '\t' ' ' </proc/self/status | grep -E '^(Uid|Gid|Groups)'; ` + resting
	s := prepare(t, shell("c", script, "user = \"65533\"\ngroup = 7\numask = \"0027\"\nenv_file = \"c.env\"\nrlimits { nofile = 99 }"))
	if err := os.WriteFile(filepath.Join(filepath.Dir(s.config), "c.env"), []byte("A=b\"c\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s.launch()
	for _, line := range []string{`/ 65533 65533 b"c" 0027 99`, "Uid: 65533 65533 65533 65533", "Gid: 7 7 7 7", "Groups: 7 "} {
		s.prints("[c] " + line)
	}
	s.prints("[c] at rest")
	s.signal(unix.SIGTERM)
	s.ends(0, "graceful")
	s.wait("child reaped", "child", "c", "proof", "exact")
}

func TestDeathOfTheSupervisorOfAnotherUser(t *testing.T) {
	needs.Check(t, "root")
	s := start(t, shell("c", "echo up; exec sleep 1000", "user = 65533"))
	s.prints("[c] up")
	pidfd, err := unix.PidfdOpen(s.wait("child spawned").int("pid"), 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(pidfd)
	s.signal(unix.SIGKILL)
	s.code()
	ready, err := unix.Poll([]unix.PollFd{{Fd: int32(pidfd), Events: unix.POLLIN}}, int(limit.Milliseconds()))
	if err != nil || ready != 1 {
		_ = unix.PidfdSendSignal(pidfd, unix.SIGKILL, nil, 0)
		t.Errorf("the child lives on: %d %v", ready, err)
	}
}

// What another user may not execute is a failed spawn that says why, and a
// failure like any other.
func TestUserMayNot(t *testing.T) {
	needs.Check(t, "root")
	path := filepath.Join(t.TempDir(), "roots-only")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	s := start(t, fmt.Sprintf("child \"c\" {\n  command = %q\n  user = \"65533\"\n  restart {\n    attempts = 1\n    delay = \"1ms\"\n  }\n}\n", path))
	e := s.ends(1, "graceful")
	if e.int("spawned") != 0 || e.int("reaped") != 0 {
		t.Errorf("%v", e)
	}
	reason := "cannot execute " + path + ": permission denied"
	s.wait("spawn failed", "child", "c", "reason", reason)
	s.wait("child restarting", "child", "c", "reason", "it could not be spawned: "+reason)
	if n := s.count("spawn failed"); n != 2 {
		t.Errorf("said %d times", n)
	}
}

func TestUserIsNotThere(t *testing.T) {
	s := start(t, shell("c", "exit", "user = \"nobdy\""))
	if code := s.code(); code != 2 {
		t.Errorf("code %d", code)
	}
	if text := s.log.text(); !strings.Contains(text, `There is no user "nobdy" in /etc/passwd. Did you mean "nobody"?`) {
		t.Error(text)
	}
}

// A supervisor without the rights of root says so before it starts anything.
func TestUserNeedsRights(t *testing.T) {
	needs.Check(t, "root")
	s := prepare(t, shell("c", "exit", "user = \"65533\""))
	for _, path := range []string{bin, filepath.Dir(s.config), s.config} { // who reads them is somebody else
		if err := os.Chmod(path, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(filepath.Dir(filepath.Dir(s.config)), 0o755); err != nil {
		t.Fatal(err)
	}
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65532, Gid: 65532}}
	s.launch()
	if code := s.code(); code != 2 {
		t.Errorf("code %d", code)
	}
	if text := s.log.text(); !strings.Contains(text, "The supervisor, which runs as user 65532, may not change that") {
		t.Error(text)
	}
}
