package acceptance

import (
	"fmt"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

const readyByLine = "reload_signal = \"SIGHUP\"\nready {\n  log = \"serving\"\n" +
	"  timeout = \"50s\"\n}\n"

// TestReloadSignalWhileStarting checks that a process that was started before a file changed, and
// is not ready yet, reads it again once it is ready.
func TestReloadSignalWhileStarting(t *testing.T) {
	file := python(t, "c", `
import signal
signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
signal.signal(signal.SIGHUP, lambda *_: print("again"))
signal.signal(signal.SIGUSR1, lambda *_: print("serving"))
print("started")
rest()
`, readyByLine)
	s := start(t, file+fixture("other", "sleep", ""))
	s.awaitLine("[c] started")
	s.awaitLine("[other] ready")
	pid := s.awaitEntry("child spawned", "child", "c").int("pid")
	s.reload(file + fixture("other", "print 1", ""))
	s.awaitLine("[other] line 0") // the reload has reached the child
	if n := s.count("signal sent", "child", "c"); n > 0 {
		t.Error("a process that is starting got its reload_signal")
	}
	if err := unix.Kill(pid, unix.SIGUSR1); err != nil {
		t.Fatal(err)
	}
	_, ready := s.awaitEntryFrom(0, "child ready", "child", "c")
	s.awaitEntryFrom(ready, "signal sent", "child", "c", "signal", "SIGHUP")
	s.awaitLine("[c] again")
	s.signal(unix.SIGTERM)
	s.expectStop(0, "graceful")
}

// TestReloadSignalDispositions checks which processes get their reload_signal: each that is not
// ended by it.
func TestReloadSignalDispositions(t *testing.T) {
	const masked = "signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGHUP])\n"
	for name, script := range map[string]string{
		"caught": "signal.signal(signal.SIGHUP, lambda *_: print('again'))\n" +
			"print('serving')\nrest()",
		"ignored": "signal.signal(signal.SIGHUP, signal.SIG_IGN)\nprint('serving')\nrest()",
		"blocked": masked + "print('serving')\n" +
			"while not signal.SIGHUP in signal.sigpending(): time.sleep(0.001)\n" +
			"print('again')\nrest()",
		"sigwait": masked + "print('serving')\nsignal.sigwait([signal.SIGHUP])\n" +
			"print('again')\nrest()",
		"late": "print('serving')\ntime.sleep(0.3)\n" +
			"signal.signal(signal.SIGHUP, lambda *_: print('again'))\nrest()",
	} {
		t.Run(name, func(t *testing.T) {
			file := python(t, "c", "import signal, time\n"+
				"signal.signal(signal.SIGTERM, lambda *_: os._exit(0))\n"+script, readyByLine)
			s := start(t, file)
			s.awaitEntry("child ready")
			s.reload(file)
			s.awaitEntry("signal sent", "child", "c", "signal", "SIGHUP")
			if name != "ignored" {
				s.awaitLine("[c] again")
			}
			s.signal(unix.SIGTERM)
			s.expectStop(0, "graceful").expect(t, "spawned", 1)
			if n := s.count("reload signal not sent"); n > 0 {
				t.Error("the reload_signal was not sent")
			}
		})
	}
}

// TestReloadSignalWithoutHandler checks that a process that its reload_signal would end does not
// get it, and is named.
func TestReloadSignalWithoutHandler(t *testing.T) {
	for name, file := range map[string]string{
		"program": python(t, "c", "import signal\n"+
			"signal.signal(signal.SIGTERM, lambda *_: os._exit(0))\nprint('serving')\nrest()",
			readyByLine),
		"shell wrapper": shell("c", "trap 'exit 0' TERM; echo serving; sleep 1000 & wait; true",
			readyByLine),
		"without a ready block": shell("c", "trap 'exit 0' TERM; sleep 1000 & wait; true",
			"reload_signal = \"SIGUSR1\""),
	} {
		t.Run(name, func(t *testing.T) {
			s := start(t, file)
			s.awaitEntry("child ready", "child", "c")
			s.reload(file)
			e := s.awaitEntry("reload signal not sent", "child", "c")
			if e["@level"] != "warn" || e["advice"] == nil || e["reason"] == nil {
				t.Errorf("got %v, want a warning with reason and advice", e)
			}
			s.signal(unix.SIGTERM)
			s.expectStop(0, "graceful").expect(t, "spawned", 1)
		})
	}
}

// TestReloadSignalSparesDescendants checks that the reload_signal goes to the main process alone: a
// worker in its process group has no handler, and lives on.
func TestReloadSignalSparesDescendants(t *testing.T) {
	for _, scope := range []string{"process", "group", "tree"} {
		t.Run(scope, func(t *testing.T) {
			file := python(t, "c", `
import signal, time
worker = os.fork()
if worker == 0: rest()
def again(*_):
    time.sleep(0.1) # a signal to the worker would have ended it by now
    print("again, worker:", os.waitpid(worker, os.WNOHANG))
signal.signal(signal.SIGTERM, lambda *_: (os.kill(worker, 9), os.wait(), os._exit(0)))
signal.signal(signal.SIGHUP, again)
print("serving")
while True: signal.pause()
`, readyByLine+fmt.Sprintf("kill_scope = %q\n", scope))
			s := start(t, file)
			s.awaitEntry("child ready")
			s.reload(file)
			s.awaitEntry("signal sent", "child", "c", "signal", "SIGHUP")
			s.awaitLine("[c] again, worker: (0, 0)")
			s.signal(unix.SIGTERM)
			s.expectStop(0, "graceful")
		})
	}
}

// TestReloadSignalOfGoProgram checks that a signal that a runtime catches, and that ends the
// program all the same, is sent once.
func TestReloadSignalOfGoProgram(t *testing.T) {
	port := freePort(t)
	file := fmt.Sprintf(`child "c" {
  command       = %q
  env           = { SERVER_PORT = %q }
  reload_signal = "SIGHUP"
  ready { tcp = "127.0.0.1:%s" }
  restart { delay = "1ms" }
}
`, filepath.Join(bin, "server"), port, port)
	s := start(t, file)
	s.awaitEntry("child ready")
	s.reload(file)
	_, i := s.awaitEntryFrom(0, "child restarting", "reason", "ended by SIGHUP")
	s.awaitEntryFrom(i, "child ready")
	s.reload(file)
	s.awaitEntry("reload signal not sent", "child", "c", "signal", "SIGHUP")
	s.signal(unix.SIGTERM)
	s.expectStop(0, "graceful").expect(t, "spawned", 2)
}
