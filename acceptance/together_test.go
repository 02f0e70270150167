package acceptance

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"tp0/supervisor/procfs"
)

// signalAgain sends a signal after the window in which it would count as a repetition.
func (s *supervisor) signalAgain(sig syscall.Signal) {
	s.t.Helper()
	time.Sleep(600 * time.Millisecond) // that a request is older than that is the point
	s.signal(sig)
}

// drainScript is a script that needs 0.3 s to stop.
const drainScript = `import signal, sys, time
def stop(*_):
    print("stopping")
    time.sleep(0.3)
    print("drained")
    os._exit(0)
signal.signal(signal.SIGTERM, stop)
signal.signal(signal.SIGINT, stop)
print("ready")
rest()`

// TestUnderTimeoutCommand checks that timeout(1), which signals its command and then its
// group, makes one request: nothing is killed, and no process gets a signal twice.
func TestUnderTimeoutCommand(t *testing.T) {
	timeout, err := exec.LookPath("timeout")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"TERM", "INT"} {
		under := func(s *supervisor) *supervisor {
			s.cmd.Args = append([]string{timeout, "-s", name, "1000", s.cmd.Path},
				s.cmd.Args[1:]...)
			s.cmd.Path = timeout
			s.launch()
			return s
		}
		t.Run("run "+name, func(t *testing.T) {
			s := under(prepare(t, python(t, "c", drainScript, "")))
			s.awaitLine("[c] ready")
			s.signal(unix.SIGALRM) // its time is over
			s.awaitLine("[c] drained")
			s.expectExit(124) // that of timeout
			e := s.awaitEntry("shutdown complete")
			if sent := s.count("signal sent", "signal", "SIGTERM"); e["verdict"] != "graceful" ||
				sent != 1 {
				t.Errorf("got %v and %d signals, want graceful and 1", e, sent)
			}
		})
		t.Run("exec "+name, func(t *testing.T) {
			s := under(prepareExec(t, "--", needPython(t), "-ISEc", pythonPrelude+drainScript))
			s.awaitLine("ready")
			s.signal(unix.SIGALRM)
			s.awaitLine("drained")
			s.expectExit(124)
			if n := strings.Count(s.output.text(), "stopping"); n != 1 {
				t.Errorf("the command got %d stop signals, want 1", n)
			}
		})
	}
}

// TestRepeatedRequest checks that a second signal within 500 ms is the same request.
func TestRepeatedRequest(t *testing.T) {
	const most = 400 * time.Millisecond // between the two: else the machine was too slow to tell
	for range 10 {
		s := start(t, "log_level = \"debug\"\n"+python(t, "c", drainScript, ""))
		s.awaitLine("[c] ready")
		began := time.Now()
		s.signal(unix.SIGTERM)
		s.awaitEntry("signal received")
		s.signal(unix.SIGTERM)
		if time.Since(began) > most {
			continue
		}
		s.expectStop(0, "graceful")
		if s.count("signal repeated", "signal", "SIGTERM") != 1 || s.count("signal received") != 1 {
			t.Error("the second signal was not logged as a repetition")
		}

		s = startExec(t, "-vv", "--", needPython(t), "-ISEc", pythonPrelude+drainScript)
		s.awaitLine("ready")
		began = time.Now()
		s.signal(unix.SIGINT)
		s.awaitLine("stopping")
		s.signal(unix.SIGINT)
		if time.Since(began) > most {
			continue
		}
		s.awaitLogLine("signal repeated: signal=SIGINT")
		s.expectExit(0)
		if n := strings.Count(s.output.text(), "stopping"); n != 1 {
			t.Errorf("the command got %d stop signals, want 1", n)
		}
		return
	}
	t.Fatal("the machine is too slow")
}

const neverRestart = "restart {\n    on = \"never\"\n  }\n"

// allConfig has a child of every kind that ends on SIGTERM in its own way.
var allConfig = fixture("f", "sleep", "critical = true\n"+neverRestart) + `
child "sleep" {
  command    = "sleep"
  args       = ["1000"]
  on_failure = "shutdown"
  ` + neverRestart + `}
child "trap" {
  command = "sh"
  args    = ["-c", "trap 'exit 0' TERM; echo up; while :; do sleep 0.05; done"]
  ` + neverRestart + `}
child "wrapper" {
  command    = "sh"
  args       = ["-c", "sleep 1000; exit $?"]
  depends_on = ["sleep"]
  ` + neverRestart + `}
child "again" {
  command = "sleep"
  args    = ["1000"]
  restart {
    attempts = 0
  }
}
child "server" {
  command = "server"
  env     = { SERVER_PORT = "%[1]s" }
  ready {
    tcp = ":%[1]s"
  }
  ` + neverRestart + `}
child "client" {
  command    = "client"
  depends_on = ["server"]
  env = {
    CLI_ID             = 1
    CLI_SERVER_ADDRESS = "127.0.0.1:%[1]s"
  }
}
`

// TestSignalToAllProcessesAtOnce sends SIGTERM to all processes in any order, as systemd's
// KillMode=control-group does. The stop must be graceful.
func TestSignalToAllProcessesAtOnce(t *testing.T) {
	orders := map[string]func(pid int, descendants []int) []int{
		"supervisor first": func(pid int, descendants []int) []int {
			return append([]int{pid}, descendants...)
		},
		"supervisor last": func(pid int, descendants []int) []int {
			return append(descendants, pid)
		},
		"shuffled": func(pid int, descendants []int) []int {
			all := append(descendants, pid)
			rand.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
			return all
		},
	}
	for name, order := range orders {
		t.Run(name, func(t *testing.T) {
			for range 10 {
				s := start(t, fmt.Sprintf(allConfig, freePort(t)))
				s.awaitEntry("all children ready")
				s.awaitLine("[trap] up")
				s.awaitLine("[f] ready")
				await(t, "three processes execute sleep", func() bool {
					return len(sleepProcesses(s.pid)) >= 3
				})
				pids := order(s.pid, procfs.Descendants(s.pid))
				for _, pid := range pids {
					_ = unix.Kill(pid, unix.SIGTERM)
				}
				if code := s.exitCode(); code != 0 {
					t.Fatalf("exit code %d, want 0", code)
				}
				s.awaitEntry("shutdown complete").expect(t, "verdict", "graceful", "killed", 0)
			}
		})
	}
}

// sleepProcesses returns the descendants of a process that execute sleep(1).
func sleepProcesses(pid int) (all []int) {
	for _, p := range procfs.Descendants(pid) {
		if exe, _ := os.Readlink(fmt.Sprintf("/proc/%d/exe", p)); filepath.Base(exe) == "sleep" {
			all = append(all, p)
		}
	}
	return all
}
