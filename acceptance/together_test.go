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

// another sends a signal that is not taken for the one before it.
func (s *super) another(sig syscall.Signal) {
	s.t.Helper()
	time.Sleep(600 * time.Millisecond) // that a request is older than that is the point
	s.signal(sig)
}

// drains is a script that needs a moment to end.
const drains = `import signal, sys, time
def stop(*_):
    print("stopping")
    time.sleep(0.3)
    print("drained")
    os._exit(0)
signal.signal(signal.SIGTERM, stop)
signal.signal(signal.SIGINT, stop)
print("ready")
rest()`

// timeout(1) signals its command and then its group, which the supervisor is in.
// That is one request: nothing is killed, and nobody gets a signal twice.
func TestTimeout(t *testing.T) {
	timeout, err := exec.LookPath("timeout")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"TERM", "INT"} {
		under := func(s *super) *super {
			s.cmd.Args = append([]string{timeout, "-s", name, "1000", s.cmd.Path}, s.cmd.Args[1:]...)
			s.cmd.Path = timeout
			s.launch()
			return s
		}
		t.Run("run "+name, func(t *testing.T) {
			s := under(prepare(t, python(t, "c", drains, "")))
			s.prints("[c] ready")
			s.signal(unix.SIGALRM) // its time is over
			s.prints("[c] drained")
			s.ended(124) // that of timeout
			e := s.wait("shutdown complete")
			if sent := s.count("signal sent", "signal", "SIGTERM"); e["verdict"] != "graceful" || sent != 1 {
				t.Errorf("%v, %d signals", e, sent)
			}
		})
		t.Run("exec "+name, func(t *testing.T) {
			s := under(prepareExec(t, "--", needPython(t), "-ISEc", pythonPrelude+drains))
			s.prints("ready")
			s.signal(unix.SIGALRM)
			s.prints("drained")
			s.ended(124)
			if n := strings.Count(s.output.text(), "stopping"); n != 1 {
				t.Errorf("it was stopped %d times", n)
			}
		})
	}
}

// A signal that comes at once after the first, when that is under way, is the
// same request.
func TestRepeatedRequest(t *testing.T) {
	const most = 400 * time.Millisecond // between the two: else the machine was too slow to tell
	for range 10 {
		s := start(t, "log_level = \"debug\"\n"+python(t, "c", drains, ""))
		s.prints("[c] ready")
		began := time.Now()
		s.signal(unix.SIGTERM)
		s.wait("signal received")
		s.signal(unix.SIGTERM)
		if time.Since(began) > most {
			continue
		}
		s.ends(0, "graceful")
		if s.count("signal repeated", "signal", "SIGTERM") != 1 || s.count("signal received") != 1 {
			t.Error("it was not taken for the first one")
		}

		s = startExec(t, "-vv", "--", needPython(t), "-ISEc", pythonPrelude+drains)
		s.prints("ready")
		began = time.Now()
		s.signal(unix.SIGINT)
		s.prints("stopping")
		s.signal(unix.SIGINT)
		if time.Since(began) > most {
			continue
		}
		s.logs("signal repeated: signal=SIGINT")
		s.ended(0)
		if n := strings.Count(s.output.text(), "stopping"); n != 1 {
			t.Errorf("it was stopped %d times", n)
		}
		return
	}
	t.Fatal("the machine is too slow")
}

// systemd's default (KillMode=control-group) signals all processes at once.
// Whatever is seen first, that is a graceful stop.
func TestAllAtOnce(t *testing.T) {
	const never = "restart {\n    on = \"never\"\n  }\n"
	config := fixture("f", "sleep", "critical = true\n"+never) + `
child "sleep" {
  command    = "sleep"
  args       = ["1000"]
  on_failure = "shutdown"
  ` + never + `}
child "trap" {
  command = "sh"
  args    = ["-c", "trap 'exit 0' TERM; echo up; while :; do sleep 0.05; done"]
  ` + never + `}
child "wrapper" {
  command    = "sh"
  args       = ["-c", "sleep 1000; exit $?"]
  depends_on = ["sleep"]
  ` + never + `}
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
  ` + never + `}
child "client" {
  command    = "client"
  depends_on = ["server"]
  env = {
    CLI_ID             = 1
    CLI_SERVER_ADDRESS = "127.0.0.1:%[1]s"
  }
}
`
	orders := map[string]func(super int, below []int) []int{
		"us first": func(super int, below []int) []int { return append([]int{super}, below...) },
		"us last":  func(super int, below []int) []int { return append(below, super) },
		"shuffled": func(super int, below []int) []int {
			all := append(below, super)
			rand.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
			return all
		},
	}
	for name, order := range orders {
		t.Run(name, func(t *testing.T) {
			for range 10 {
				s := start(t, fmt.Sprintf(config, free(t)))
				s.wait("all children ready")
				s.prints("[trap] up")
				s.prints("[f] ready")
				await(t, "all are executed", func() bool { return len(sleeping(s.pid)) >= 3 })
				pids := order(s.pid, procfs.Descendants(s.pid))
				for _, pid := range pids {
					_ = unix.Kill(pid, unix.SIGTERM)
				}
				if code := s.code(); code != 0 {
					t.Fatalf("exit code %d", code)
				}
				if e := s.wait("shutdown complete"); e["verdict"] != "graceful" || e.int("killed") != 0 {
					t.Fatalf("%v", e)
				}
			}
		})
	}
}

// sleeping lists the processes below one that execute sleep(1).
func sleeping(pid int) (all []int) {
	for _, p := range procfs.Descendants(pid) {
		if exe, _ := os.Readlink(fmt.Sprintf("/proc/%d/exe", p)); filepath.Base(exe) == "sleep" {
			all = append(all, p)
		}
	}
	return all
}
