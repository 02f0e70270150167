package acceptance

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// ask sends one message on a new connection, as a TP0 client does, and checks the answer.
func ask(network, address, text string) error {
	c, err := net.DialTimeout(network, address, limit)
	if err != nil {
		return err
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(limit)); err != nil {
		return err
	}
	if _, err := fmt.Fprintln(c, text); err != nil {
		return err
	}
	answer, err := bufio.NewReader(c).ReadString('\n')
	if err == nil && answer != text+"\n" {
		err = fmt.Errorf("the answer to %q is %q, want the same text", text, answer)
	}
	return err
}

// load sends requests without a pause until stop is called. asked returns the number of
// requests.
func load(t *testing.T, address string) (asked func() int, stop func()) {
	t.Helper()
	var n atomic.Int64
	var clients sync.WaitGroup
	over := make(chan struct{})
	for id := range 8 {
		clients.Go(func() {
			for i := 1; ; i++ {
				select {
				case <-over:
					return
				default:
				}
				if err := ask("tcp", address, fmt.Sprintf("[CLIENT %d] Message N°%d", id,
					i)); err != nil {
					t.Errorf("request %d of client %d is lost: %v", i, id, err)
				}
				n.Add(1)
			}
		})
	}
	return func() int { return int(n.Load()) }, sync.OnceFunc(func() {
		close(over)
		clients.Wait()
	})
}

const alwaysRestart = "restart {\n  on = \"always\"\n  attempts = 1000\n  delay = \"1ms\"\n}\n"

func serverChild(address, more string) string {
	return fmt.Sprintf("child \"server\" {\n  command = \"server\"\n"+
		"  listen \"echo\" { tcp = %q }\n%s%s}\n", address, alwaysRestart, more)
}

// TestNoRequestIsLostInARestart restarts a child under full load, by a reload and by a signal.
// No request may be lost: connections wait in the backlog of the socket that the supervisor
// holds.
func TestNoRequestIsLostInARestart(t *testing.T) {
	address := "127.0.0.1:" + freePort(t)
	s := start(t, serverChild(address, ""))
	const inherits = "| inherited: true"
	served := 0
	serves := func() {
		t.Helper()
		var err error
		if _, served, err = s.output.find(served,
			func(line string) bool { return strings.HasSuffix(line, inherits) }); err != nil {
			t.Fatalf("no further process serves: %v", err)
		}
	}
	serves()
	asked, stop := load(t, address)
	defer stop()
	restarts, next := 0, 0
	for asked() < 2000 || restarts < 10 {
		var e entry
		e, next = s.awaitEntryFrom(next, "child ready", "child", "server")
		if restarts++; restarts%2 == 0 {
			s.reload(serverChild(address, fmt.Sprintf("env = { EDITION = \"%d\" }\n", restarts)))
		} else if err := unix.Kill(e.int("pid"), unix.SIGTERM); err != nil {
			t.Fatal(err)
		}
		serves()
		for before := asked(); asked() < before+200 && !t.Failed(); { // this one has its share
			if err := ask("tcp", address, "and me"); err != nil {
				t.Errorf("a request is lost: %v", err)
			}
		}
	}
	stop()
	t.Logf("%d requests, %d restarts", asked(), restarts)
	s.signal(unix.SIGTERM)
	if e := s.expectStop(0, "graceful"); e.int("spawned") != restarts+1 {
		t.Errorf("%d restarts, want one process more in %v", restarts, e)
	}
	if n := s.count("fd closed", "owner", "supervisor", "target",
		"tcp "+address+" listen"); n != 1 {
		t.Errorf("the socket was closed %d times, want 1", n)
	}
	if err := ask("tcp", address, "late"); !errors.Is(err, unix.ECONNREFUSED) {
		t.Errorf("a connection after the stop: got %v, want ECONNREFUSED", err)
	}
}

// TestInstancesShareASocket checks that all instances share the socket: while one of them
// runs, requests are answered at once.
func TestInstancesShareASocket(t *testing.T) {
	address := "127.0.0.1:" + freePort(t)
	s := start(t, serverChild(address, "count = 2\n"))
	for _, name := range []string{"server1", "server2"} {
		s.awaitLine("[" + name + "]")
	}
	one := s.awaitEntry("child ready", "child", "server1")
	for range 20 {
		if err := ask("tcp", address, "hi"); err != nil {
			t.Error(err)
		}
	}
	if err := unix.Kill(one.int("pid"), unix.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	if err := unix.Kill(one.int("pid"), unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	s.awaitEntry("child restarting", "child", "server1")
	if err := ask("tcp", address, "hi"); err != nil {
		t.Error(err)
	}
	s.signal(unix.SIGTERM)
	s.expectStop(0, "graceful")
}

// echoServer is an echo server in Python on an inherited socket.
const echoServer = `
import os, signal, socket, sys
assert os.environ["LISTEN_PID"] == str(os.getpid()), os.environ
fds = len(os.listdir("/proc/self/fd"))
print("given", os.environ["LISTEN_FDS"], os.environ["LISTEN_FDNAMES"], fds)
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
s = socket.socket(fileno=3)
while True:
    c, _ = s.accept()
    f = c.makefile("rwb")
    f.write(f.readline())
    f.flush()
    f.close()
    c.close()
`

// TestUnixSocketForPython passes a unix socket to a Python program. A request that arrives
// between a crash and the restart is answered by the next process.
func TestUnixSocketForPython(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "echo.sock")
	stale, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	stale.SetUnlinkOnClose(false)
	stale.Close()
	s := prepare(t, python(t, "py", echoServer, fmt.Sprintf(`
  listen "echo" {
    unix = %q
    mode = "0600"
  }
  listen "other" { tcp = "127.0.0.1:%s" }
  restart {
    delay = "500ms"
  }`, path, freePort(t)))+python(t, "none", `
import os, signal, sys
fds = len(os.listdir("/proc/self/fd"))
print("env", [name for name in os.environ if name.startswith("LISTEN_")], fds)
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
rest()
`, ""))
	s.cmd.Env = append(s.cmd.Env, "LISTEN_FDS=1", "LISTEN_PID=1", "LISTEN_FDNAMES=theirs")
	s.launch()
	s.awaitLine("[py] given 2 echo:other 6") // the standard streams, both sockets, and the listing
	s.awaitLine("[none] env [] 4")
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("got %v, %v, want the mode 0600", info, err)
	}
	if err := ask("unix", path, "one"); err != nil {
		t.Error(err)
	}
	if err := unix.Kill(s.awaitEntry("child ready", "child", "py").int("pid"),
		unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	s.awaitEntry("child restarting", "child", "py")
	if err := ask("unix", path, "two"); err != nil {
		t.Error(err)
	}
	s.signal(unix.SIGTERM)
	s.expectStop(0, "graceful").expect(t, "spawned", 3, "fds_left", 0)
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the file of the socket was not removed: %v", err)
	}
}

// TestTakenAddress checks that an address in use fails the start, and that a reload to it
// changes nothing.
func TestTakenAddress(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	taken, mine := l.Addr().String(), "127.0.0.1:"+freePort(t)
	dir := t.TempDir()
	socket, pidFile := filepath.Join(dir, "s"), filepath.Join(dir, "pid")
	both := fmt.Sprintf("child \"a\" {\n  command = \"fixture\"\n  args = [\"sleep\"]\n"+
		"  listen \"x\" { unix = %q }\n  listen \"y\" { tcp = %q }\n}\n", socket, taken)
	s := start(t, both, "--pid-file", pidFile)
	if code := s.exitCode(); code != 1 || !strings.Contains(s.log.text(),
		fmt.Sprintf("cannot open the socket \"y\" on %q: address already in use", taken)) {
		t.Errorf("exit code %d", code)
	}
	for _, path := range []string{socket, pidFile} {
		if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s was not removed: %v", path, err)
		}
	}

	s = start(t, serverChild(mine, ""))
	s.awaitLine("| inherited: true")
	s.reload(serverChild(taken, ""))
	if e := s.awaitEntry("config rejected", "@level",
		"error"); !strings.Contains(e["diagnostics"].(string), taken) {
		t.Errorf("got %v, want the address in the diagnostics", e)
	}
	if err := ask("tcp", mine, "still there"); err != nil {
		t.Error(err)
	}
	other := "127.0.0.1:" + freePort(t)
	s.reload(serverChild(other, ""))
	s.awaitEntry("config reloaded", "changed", "[server]")
	if err := ask("tcp", other, "moved"); err != nil {
		t.Error(err)
	}
	if err := ask("tcp", mine, "old"); !errors.Is(err, unix.ECONNREFUSED) {
		t.Errorf("the old address: got %v, want ECONNREFUSED", err)
	}
	s.signal(unix.SIGTERM)
	s.expectStop(0, "graceful").expect(t, "spawned", 2)
}
