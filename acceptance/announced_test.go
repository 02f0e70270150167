package acceptance

import (
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// notifier defines notify, which sends a message as sd_notify(3) does.
const notifier = `
import signal, socket
def notify(message):
    address = os.environ["NOTIFY_SOCKET"]
    if address[0] == "@": address = "\0" + address[1:]
    s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    s.sendto(message.encode(), address)
signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
`

// TestAnnouncedStop checks that a process that sends STOPPING=1 and hangs is stopped after its
// kill_timeout, and restarted by its policy. A process that sends READY=1 again is not stopped.
func TestAnnouncedStop(t *testing.T) {
	s := start(t, python(t, "hangs", notifier+`
notify("READY=1")
notify("STOPPING=1")
rest()
`, "kill_timeout = \"300ms\"\nready { notify = true }\nrestart { on = \"never\" }\n"+
		"on_failure = \"ignore\"")+python(t, "resumes", notifier+`
notify("READY=1")
notify("STOPPING=1")
notify("READY=1")
rest()
`, "kill_timeout = \"300ms\"\nready { notify = true }"))
	const reason = "it announced its stop with STOPPING=1 and did not end within 300ms"
	s.awaitEntry("child notified", "child", "hangs", "what", "stopping", "@level", "info")
	_, i := s.awaitEntryFrom(0, "child unhealthy", "child", "hangs", "reason", reason)
	s.awaitEntryFrom(i, "signal sent", "child", "hangs", "signal", "SIGTERM")
	e := s.awaitEntry("child failed", "child", "hangs")
	if got, _ := e["reason"].(string); !strings.HasPrefix(got, reason) {
		t.Errorf("got %v, want the reason %q", e, reason)
	}
	s.awaitEntry("child notified", "child", "resumes", "what", "running")
	s.signal(unix.SIGTERM)
	s.expectStop(1, "graceful").expect(t, "spawned", 2)
	if n := s.count("child unhealthy", "child", "resumes"); n > 0 {
		t.Error("the process that went on was stopped")
	}
}

// TestWatchdogOfChild checks that the variables of the watchdog are for the main process of a
// child, and that the child can change the interval.
func TestWatchdogOfChild(t *testing.T) {
	s := start(t, python(t, "c", notifier+`
print("watchdog", os.environ["WATCHDOG_USEC"], int(os.environ["WATCHDOG_PID"]) == os.getpid())
notify("READY=1\nWATCHDOG_USEC=300000")
rest()
`, "ready {\n  notify = true\n  watchdog = \"40s\"\n}\nrestart { delay = \"1ms\" }"))
	s.awaitLine("[c] watchdog 40000000 True")
	s.awaitEntry("child notified", "child", "c", "what", "watchdog")
	s.awaitEntry("child unhealthy", "child", "c", "reason", "no WATCHDOG=1 came within 300ms")
	s.signal(unix.SIGTERM)
	s.expectStop(0, "graceful")
}
