package acceptance

import (
	"fmt"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"tp0/supervisor/fixture/needs"
)

// TestServiceManager checks the notifications to the service manager, see sd_notify(3). The
// variables of the notification are removed from the children's environment.
func TestServiceManager(t *testing.T) {
	name := fmt.Sprintf("@acceptance/manager/%d", os.Getpid())
	manager, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: name, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer manager.Close()
	keepAlives := 0
	expectNotification := func(what ...string) {
		t.Helper()
		b := make([]byte, 4096)
		_ = manager.SetReadDeadline(time.Now().Add(limit))
		for {
			n, err := manager.Read(b)
			if err != nil {
				t.Fatalf("no notification %v: %v", what, err)
			}
			got := string(b[:n])
			if got == "WATCHDOG=1" {
				if keepAlives++; what[0] == got {
					return
				}
				continue
			}
			for _, w := range what {
				if !strings.Contains(got+"\n", w+"\n") {
					t.Errorf("%q, want %v", got, what)
				}
			}
			return
		}
	}
	needs.Check(t, "python")
	s := prepare(t, fixture("a", "sleep", "")+shell("b",
		"env | grep -c -e NOTIFY -e WATCHDOG; "+idleScript,
		"depends_on = [\"a\"]\n  ready { log = \"at rest\" }"))
	s.cmd.Env = append(s.cmd.Environ(), "NOTIFY_SOCKET="+name, "WATCHDOG_USEC=100000")
	s.launch()
	expectNotification("READY=1", "STATUS=2 children ready")
	s.awaitLine("[b] 0")
	expectNotification("WATCHDOG=1")
	expectNotification("WATCHDOG=1")
	if at := s.awaitEntry("all children ready", "children", 2); at == nil {
		t.Error("no entry \"all children ready\"")
	}
	s.signal(unix.SIGHUP)
	expectNotification("RELOADING=1", "STATUS=reloading")
	expectNotification("READY=1", "STATUS=reloaded")
	s.signal(unix.SIGTERM)
	expectNotification("STOPPING=1", "STATUS=stopping: SIGTERM")
	expectNotification("STATUS=graceful: 2 spawned, 2 reaped, 0 killed, 0 descriptors leaked")
	s.expectStop(0, "graceful")
}
