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

// ask sends one message on a connection of its own, as a TP0 client does, and
// returns what is wrong with the answer.
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
		err = fmt.Errorf("the answer to %q is %q", text, answer)
	}
	return err
}

// load asks without a pause until it is told to stop, and then says how often.
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
				if err := ask("tcp", address, fmt.Sprintf("[CLIENT %d] Message N°%d", id, i)); err != nil {
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

const always = "restart {\n  on = \"always\"\n  attempts = 1000\n  delay = \"1ms\"\n}\n"

func server(address, more string) string {
	return fmt.Sprintf("child \"server\" {\n  command = \"server\"\n  listen \"echo\" { tcp = %q }\n%s%s}\n", address, always, more)
}

// Under full load a child is restarted again and again, by a reload and by a
// signal from outside, and not one request is lost: who connects meanwhile
// waits in the backlog of the socket, which is ours.
func TestNoRequestIsLostInARestart(t *testing.T) {
	address := "127.0.0.1:" + free(t)
	s := start(t, server(address, ""))
	const inherits = "| inherited: true"
	served := 0
	serves := func() {
		t.Helper()
		var err error
		if _, served, err = s.output.from(served, func(line string) bool { return strings.HasSuffix(line, inherits) }); err != nil {
			t.Fatalf("no further run serves: %v", err)
		}
	}
	serves()
	asked, stop := load(t, address)
	defer stop()
	restarts, next := 0, 0
	for asked() < 2000 || restarts < 10 {
		var e entry
		e, next = s.waitFrom(next, "child ready", "child", "server")
		if restarts++; restarts%2 == 0 {
			s.reload(server(address, fmt.Sprintf("env = { EDITION = \"%d\" }\n", restarts)))
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
	if e := s.ends(0, "graceful"); e.int("spawned") != restarts+1 {
		t.Errorf("%d restarts, and %v", restarts, e)
	}
	if n := s.count("fd closed", "owner", "supervisor", "target", "tcp "+address+" listen"); n != 1 {
		t.Errorf("the socket was closed %d times", n)
	}
	if err := ask("tcp", address, "late"); !errors.Is(err, unix.ECONNREFUSED) {
		t.Errorf("after the end: %v", err)
	}
}

// All instances have the same socket: while one of them is there, somebody
// answers at once.
func TestInstancesShareASocket(t *testing.T) {
	address := "127.0.0.1:" + free(t)
	s := start(t, server(address, "count = 2\n"))
	for _, name := range []string{"server1", "server2"} {
		s.prints("[" + name + "]")
	}
	one := s.wait("child ready", "child", "server1")
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
	s.wait("child restarting", "child", "server1")
	if err := ask("tcp", address, "hi"); err != nil {
		t.Error(err)
	}
	s.signal(unix.SIGTERM)
	s.ends(0, "graceful")
}

// echo is an echo server in Python on the socket that it is handed.
const echo = `
import os, signal, socket, sys
assert os.environ["LISTEN_PID"] == str(os.getpid()), os.environ
print("given", os.environ["LISTEN_FDS"], os.environ["LISTEN_FDNAMES"], len(os.listdir("/proc/self/fd")))
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

// A program in another language, on a unix socket. It is killed while nobody
// asks, and who asks before the next run is there gets an answer from that.
func TestUnixSocketForPython(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "echo.sock")
	stale, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	stale.SetUnlinkOnClose(false)
	stale.Close()
	s := prepare(t, python(t, "py", echo, fmt.Sprintf(`
  listen "echo" {
    unix = %q
    mode = "0600"
  }
  listen "other" { tcp = "127.0.0.1:%s" }
  restart {
    delay = "500ms"
  }`, path, free(t)))+python(t, "none", `
import os, signal, sys
print("env", [name for name in os.environ if name.startswith("LISTEN_")], len(os.listdir("/proc/self/fd")))
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
rest()
`, ""))
	s.cmd.Env = append(s.cmd.Env, "LISTEN_FDS=1", "LISTEN_PID=1", "LISTEN_FDNAMES=theirs")
	s.launch()
	s.prints("[py] given 2 echo:other 6") // the standard streams, both sockets, and the listing
	s.prints("[none] env [] 4")
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
	if err := ask("unix", path, "one"); err != nil {
		t.Error(err)
	}
	if err := unix.Kill(s.wait("child ready", "child", "py").int("pid"), unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	s.wait("child restarting", "child", "py")
	if err := ask("unix", path, "two"); err != nil {
		t.Error(err)
	}
	s.signal(unix.SIGTERM)
	if e := s.ends(0, "graceful"); e.int("spawned") != 3 || e.int("fds_left") != 0 {
		t.Errorf("%v", e)
	}
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the socket's file is left: %v", err)
	}
}

// An address that is taken: at the start nothing runs, and a reload changes
// nothing.
func TestTakenAddress(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	taken, mine := l.Addr().String(), "127.0.0.1:"+free(t)
	dir := t.TempDir()
	socket, pidFile := filepath.Join(dir, "s"), filepath.Join(dir, "pid")
	both := fmt.Sprintf("child \"a\" {\n  command = \"fixture\"\n  args = [\"sleep\"]\n  listen \"x\" { unix = %q }\n  listen \"y\" { tcp = %q }\n}\n", socket, taken)
	s := start(t, both, "--pid-file", pidFile)
	if code := s.code(); code != 1 || !strings.Contains(s.log.text(), fmt.Sprintf("cannot open the socket \"y\" on %q: address already in use", taken)) {
		t.Errorf("exit code %d", code)
	}
	for _, path := range []string{socket, pidFile} {
		if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s is left: %v", path, err)
		}
	}

	s = start(t, server(mine, ""))
	s.prints("| inherited: true")
	s.reload(server(taken, ""))
	if e := s.wait("config rejected", "@level", "error"); !strings.Contains(e["diagnostics"].(string), taken) {
		t.Errorf("%v", e)
	}
	if err := ask("tcp", mine, "still there"); err != nil {
		t.Error(err)
	}
	other := "127.0.0.1:" + free(t)
	s.reload(server(other, ""))
	s.wait("config reloaded", "changed", "[server]")
	if err := ask("tcp", other, "moved"); err != nil {
		t.Error(err)
	}
	if err := ask("tcp", mine, "old"); !errors.Is(err, unix.ECONNREFUSED) {
		t.Errorf("the old address: %v", err)
	}
	s.signal(unix.SIGTERM)
	if e := s.ends(0, "graceful"); e.int("spawned") != 2 {
		t.Errorf("%v", e)
	}
}
