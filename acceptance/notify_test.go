package acceptance

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"tp0/supervisor/fixture/needs"
)

// openToAll lets every user execute the programs of the tests.
func openToAll(t *testing.T) {
	t.Helper()
	if err := os.Chmod(bin, 0o755); err != nil {
		t.Fatal(err)
	}
}

// asUser returns a supervisor that runs as a user without a runtime directory, so its sockets have
// abstract names.
func asUser(t *testing.T, uid uint32, hcl string) *supervisor {
	t.Helper()
	openToAll(t)
	s := prepare(t, hcl)
	for _, path := range []string{s.config, filepath.Dir(s.config),
		filepath.Dir(filepath.Dir(s.config))} {
		if err := os.Chmod(path, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}}
	s.cmd.Env = append(s.cmd.Env, "RUNTIME_DIRECTORY=", "XDG_RUNTIME_DIR=")
	return s
}

// notifiers returns children that are ready if a short process below them is heard.
func notifiers(more string) string {
	scripts := map[string]string{
		"waits":   "fixture tell READY=1; exec sleep 1000",
		"forks":   "fixture tell READY=1 & exec sleep 1000",
		"orphan":  "(setsid fixture tell READY=1 &); exec sleep 1000",
		"instead": "exec fixture tell READY=1",
	}
	var hcl strings.Builder
	for name, script := range scripts {
		fmt.Fprintf(&hcl, "child %q {\ncommand = \"sh\"\nargs = [\"-c\", %q]\ncount = 8\n"+
			"ready {\nnotify = true\ntimeout = \"50s\"\n}\n", name, script)
		if name == "instead" { // it ends well after it was ready
			hcl.WriteString("restart { on = \"never\" }\n")
		}
		hcl.WriteString(more + "\n}\n")
	}
	return hcl.String()
}

// TestNotifyByShortProcesses checks that messages count if their sender ends at once, is adopted,
// or is the main process itself, with every user.
func TestNotifyByShortProcesses(t *testing.T) {
	for name, run := range map[string]func(t *testing.T) *supervisor{
		"own user": func(t *testing.T) *supervisor { return start(t, notifiers("")) },
		"user of the child": func(t *testing.T) *supervisor {
			needs.Check(t, "root")
			openToAll(t)
			return start(t, notifiers("user = \"nobody\""))
		},
		"abstract name": func(t *testing.T) *supervisor {
			needs.Check(t, "root")
			s := asUser(t, 65533, notifiers(""))
			s.launch()
			return s
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := run(t)
			for _, child := range []string{"waits", "forks", "orphan", "instead"} {
				for i := range 8 {
					s.awaitEntry("child ready", "child", fmt.Sprint(child, i+1))
				}
			}
			s.signal(unix.SIGTERM)
			s.expectStop(0, "graceful")
			if n := s.count("notification rejected"); n > 0 {
				t.Errorf("%d notifications were rejected, want none", n)
			}
		})
	}
}

// socketPath returns the path of the notification socket that a child printed.
func (s *supervisor) socketPath(child string) string {
	s.t.Helper()
	prefix := "[" + child + "] socket "
	s.awaitLine(prefix)
	line, _, _ := s.output.find(0, func(line string) bool {
		return strings.HasPrefix(line, prefix)
	})
	return strings.TrimPrefix(line, prefix)
}

// TestNotifyFiles checks the files of the sockets: who may write, that none is left after a stop,
// and that those of a killed supervisor are removed by the next one.
func TestNotifyFiles(t *testing.T) {
	needs.Check(t, "root")
	openToAll(t)
	hcl := notifyingChild("a", "", "") +
		fixture("b", "notify", "user = \"nobody\"\nready { notify = true }")
	first := start(t, hcl)
	paths := map[string]uint32{first.socketPath("a"): 0, first.socketPath("b"): 65534}
	for path, uid := range paths {
		var st unix.Stat_t
		if err := unix.Lstat(path, &st); err != nil || st.Mode != unix.S_IFSOCK|0o600 ||
			st.Uid != uid {
			t.Errorf("%s: mode %o, user %d, %v; want a socket of user %d with mode 600", path,
				st.Mode, st.Uid, err, uid)
		}
		stranger := exec.Command(filepath.Join(bin, "fixture"), "tell", "READY=1")
		stranger.Env = []string{"NOTIFY_SOCKET=" + path}
		stranger.SysProcAttr = &syscall.SysProcAttr{
			Credential: &syscall.Credential{Uid: 65532, Gid: 65532},
		}
		if out, err := stranger.CombinedOutput(); err == nil ||
			!strings.Contains(string(out), "permission denied") {
			t.Errorf("a stranger's message: %v, %s", err, out)
		}
	}
	first.signal(unix.SIGKILL)
	<-first.exited
	second := start(t, hcl)
	left := second.socketPath("a")
	for path := range paths {
		if _, err := os.Lstat(path); !os.IsNotExist(err) {
			t.Errorf("%s of the killed supervisor still exists: %v", path, err)
		}
	}
	second.signal(unix.SIGTERM)
	second.expectStop(0, "graceful")
	if _, err := os.Lstat(filepath.Dir(left)); !os.IsNotExist(err) {
		t.Errorf("%s still exists after the stop: %v", filepath.Dir(left), err)
	}
}

// TestNotifyRestart checks that the socket of a process is removed with it, and that the next
// process has another one.
func TestNotifyRestart(t *testing.T) {
	s := start(t, notifyingChild("c", "", "  watchdog = \"100ms\"\n"))
	path := s.socketPath("c")
	if err := unix.Kill(s.awaitEntry("child spawned").int("pid"), unix.SIGUSR1); err != nil {
		t.Fatal(err)
	}
	_, i := s.awaitEntryFrom(0, "child restarting", "reason", "no WATCHDOG=1 came within 100ms")
	s.awaitEntryFrom(i, "child spawned", "child", "c")
	s.awaitEntry("fd closed", "owner", "supervisor", "target", "unix "+path)
	if _, err := os.Lstat(path); path[0] == '/' && !os.IsNotExist(err) {
		t.Errorf("%s still exists: %v", path, err)
	}
	s.signal(unix.SIGTERM)
	s.expectStop(0, "graceful")
}

// TestNotifyFlood checks that children that flood their sockets delay neither the watchdog nor the
// start of another child, and that they fill no log.
func TestNotifyFlood(t *testing.T) {
	s := start(t, fixture("flood", "flood", "count = 3\nready { notify = true }")+
		fixture("honest", "beat", "ready {\nnotify = true\nwatchdog = \"2s\"\n}")+
		fixture("late", "beat", "depends_on = [\"flood\", \"honest\"]\n"+
			"ready {\nnotify = true\nwatchdog = \"2s\"\n}"))
	begun := time.Now()
	s.awaitLine("[late] beat 10")
	s.awaitLine("[honest] beat 10")
	s.signal(unix.SIGTERM)
	s.expectStop(0, "graceful")
	if n := s.count("child unhealthy"); n > 0 {
		t.Errorf("%d children became unhealthy, want none", n)
	}
	most := int(time.Since(begun)/time.Second) + 2
	for i := range 3 {
		name := fmt.Sprint("flood", i+1)
		if n := s.count("child notified", "child", name, "what", "status"); n < 1 || n > most {
			t.Errorf("%s: %d lines with its status, want 1 to %d", name, n, most)
		}
	}
}

// TestNotifyHandOver checks that a process that names its successor and ends at once is succeeded.
func TestNotifyHandOver(t *testing.T) {
	const count = 20
	s := start(t, fixture("c", "handover",
		fmt.Sprintf("count = %d\nready { notify = true }", count)))
	for i := range count {
		name := fmt.Sprint("c", i+1)
		s.awaitEntry("child ready", "child", name)
		s.awaitEntry("main process changed", "child", name)
		s.awaitLine("[" + name + "] ready")
	}
	s.signal(unix.SIGTERM)
	s.expectStop(0, "graceful").expect(t, "spawned", count, "orphans", 0)
}
