package acceptance

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"tp0/supervisor/fixture/needs"
	"tp0/supervisor/procfs"
)

// harms are the programs of the fixture harm, and the finding at each level. An empty finding is
// none. The kernel delivers what a program sent over a unix socket, so "unsent" is no lost data
// there.
var harms = []struct {
	harm, network      string
	clients            int
	data, sockets, all string
}{
	{"listener", "tcp", 0, "", "listener_open", "listener_open"},
	{"listener", "unix", 0, "", "listener_open", "listener_open"},
	{"waiting", "tcp", 2, "clients_waiting", "clients_waiting", "clients_waiting"},
	{"waiting", "unix", 2, "clients_waiting", "clients_waiting", "clients_waiting"},
	{"connection", "tcp", 1, "", "connection_open", "connection_open"},
	{"connection", "unix", 1, "", "connection_open", "connection_open"},
	{"unread", "tcp", 1, "unread_data", "unread_data", "unread_data"},
	{"unread", "unix", 1, "unread_data", "unread_data", "unread_data"},
	{"unsent", "tcp", 1, "unsent_data", "unsent_data", "unsent_data"},
	{"unsent", "unix", 1, "", "connection_open", "connection_open"},
	{"file", "none", 0, "", "", "open"},
}

// address returns where a harm listens, or the path of its file.
func address(t *testing.T, network string) string {
	if network == "tcp" {
		return "127.0.0.1:0"
	}
	return filepath.Join(t.TempDir(), "harm")
}

// startHarm starts a supervisor with the fixture harm as its only child, and the clients, which
// send data and read none. It returns once the harm is done. The clients do not belong to the
// process tree.
func startHarm(t *testing.T, harm, network string, clients int, args ...string) *supervisor {
	t.Helper()
	program := strings.Join([]string{"harm", harm, network, address(t, network)}, " ")
	s := start(t, "shutdown { strict = true }\n"+fixture("c", program, ""), args...)
	if clients > 0 {
		at := s.awaitListener("[c] listens ")
		for range clients {
			connect(t, network, at)
		}
	}
	s.awaitLine("[c] ready")
	return s
}

// awaitListener returns the address that a fixture prints after prefix.
func (s *supervisor) awaitListener(prefix string) string {
	s.t.Helper()
	line, _, err := s.output.find(0, func(line string) bool {
		return strings.HasPrefix(line, prefix)
	})
	if err != nil {
		s.t.Fatalf("no line %q: %v", prefix, err)
	}
	return strings.TrimPrefix(line, prefix)
}

// connect connects to an address, and sends data unless the harm is to have none.
func connect(t *testing.T, network, at string) net.Conn {
	t.Helper()
	conn, err := net.DialTimeout(network, at, limit)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if strings.Contains(t.Name(), "unread") {
		if _, err := io.WriteString(conn, "never read"); err != nil {
			t.Fatal(err)
		}
	}
	return conn
}

// expectFinding stops the supervisor and checks its only finding, or that it has none.
func (s *supervisor) expectFinding(kind string) {
	s.t.Helper()
	s.signal(unix.SIGTERM)
	if kind == "" {
		s.expectStop(0, "graceful").expect(s.t, "findings", 0)
		return
	}
	s.expectStop(3, "leaky").expect(s.t, "findings", 1)
	e := s.awaitEntry("fd closed", "finding", kind)
	e.expect(s.t, "owner", "c", "by", "kernel", "proof", "exact", "@level", "warn")
}

// TestHarm plants each harm and checks what each level says of it.
func TestHarm(t *testing.T) {
	for _, h := range harms {
		for level, want := range map[string]string{
			"data": h.data, "sockets": h.sockets, "all": h.all,
		} {
			t.Run(fmt.Sprintf("%s/%s/%s", h.harm, h.network, level), func(t *testing.T) {
				s := startHarm(t, h.harm, h.network, h.clients, "--findings", level)
				s.expectFinding(want)
			})
		}
	}
}

// TestAllowedHarm checks that a pattern accepts a harm, and that another one does not.
func TestAllowedHarm(t *testing.T) {
	for _, test := range []struct{ harm, network, allow, want string }{
		{"unread", "tcp", "tcp", ""},
		{"unread", "tcp", "unix", "unread_data"},
		{"waiting", "tcp", "tcp:127.0.0.1:*", ""},
		{"listener", "unix", "unix:/**/harm", ""},
		{"listener", "unix", "unix:/run/**", "listener_open"},
		{"file", "none", "file:/**/harm", ""},
		{"file", "none", "pipe", "open"},
	} {
		t.Run(fmt.Sprintf("%s/%s", test.harm, test.allow), func(t *testing.T) {
			clients := 0
			if test.harm == "unread" || test.harm == "waiting" {
				clients = 1
			}
			s := startHarm(t, test.harm, test.network, clients, "--findings", "all", "--allow",
				test.allow)
			s.expectFinding(test.want)
		})
	}
}

// TestPeerInTheTree checks that the two ends of a connection inside one process tree are
// findings only at level all, even with unread data.
func TestPeerInTheTree(t *testing.T) {
	for _, network := range []string{"tcp", "unix"} {
		for level, want := range map[string]int{"data": 0, "sockets": 0, "all": 2} {
			t.Run(network+"/"+level, func(t *testing.T) {
				s := startHarm(t, "both", network, 0, "--findings", level)
				s.signal(unix.SIGTERM)
				code, verdict := 0, "graceful"
				if want > 0 {
					code, verdict = 3, "leaky"
				}
				s.expectStop(code, verdict).expect(t, "findings", want)
				if n := s.count("fd closed", "finding", "open"); n != want {
					t.Errorf("%d findings of kind open, want %d", n, want)
				}
			})
		}
	}
}

// TestHarmToASharedSocket checks that a listener which a process outside of the tree holds too is
// no finding, even with clients in its accept queue: the other process can serve them.
func TestHarmToASharedSocket(t *testing.T) {
	s := startHarm(t, "waiting", "tcp", 1, "--findings", "sockets")
	pid := s.awaitEntry("child spawned", "child", "c").int("pid")
	holdListener(t, pid)
	s.expectFinding("")
	s.awaitEntry("fd closed", "owner", "c", "kind", "socket", "by", "kernel")
}

// holdListener takes copies of all sockets of a process until the end of the test.
func holdListener(t *testing.T, pid int) {
	t.Helper()
	pidfd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(pidfd)
	held := 0
	for n := 3; n < 32; n++ {
		fd, err := unix.PidfdGetfd(pidfd, n, 0)
		if errors.Is(err, unix.EPERM) {
			needs.Skip(t, "tracer", err)
		}
		if err != nil {
			continue
		}
		t.Cleanup(func() { unix.Close(fd) })
		if v, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ACCEPTCONN); err == nil &&
			v == 1 {
			held++
		}
	}
	if held != 1 {
		t.Fatalf("took %d listeners of pid %d, want 1", held, pid)
	}
}

// TestListenerOfAMaster checks that a listener is no finding where a worker leaves it open and its
// master closes it after that, as nginx and php-fpm do, however fast the master ends.
func TestListenerOfAMaster(t *testing.T) {
	for range 5 {
		s := startHarm(t, "master", "tcp", 0, "--findings", "sockets")
		s.expectFinding("")
	}
}

// TestHarmToAListenBlock checks that the socket of a listen block is no finding, with clients in
// its accept queue: the next process serves them.
func TestHarmToAListenBlock(t *testing.T) {
	port := freePort(t)
	s := start(t, "shutdown { strict = true }\n"+fixture("c", "sleep",
		fmt.Sprintf("  listen \"web\" { tcp = \"127.0.0.1:%s\" }", port)), "--findings", "sockets")
	s.awaitLine("[c] ready")
	connect(t, "tcp", "127.0.0.1:"+port)
	s.expectFinding("")
}

// TestHarmToAnInheritedSocket checks that a listener which the command inherited from the parent
// of the supervisor is no finding.
func TestHarmToAnInheritedSocket(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	file, err := l.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	s := prepareExec(t, "-v", "--strict", "--findings", "sockets", "--",
		filepath.Join(bin, "fixture"), "sleep")
	s.cmd.ExtraFiles = append(s.cmd.ExtraFiles, file)
	s.launch()
	s.awaitLine("ready")
	file.Close()
	connect(t, "tcp", l.Addr().String())
	l.Close()
	s.signal(unix.SIGTERM)
	s.expectExit(0)
}

// TestShellScriptIsClean checks that what a shell holds for itself is no finding at any level: its
// script, and a copy of standard error.
func TestShellScriptIsClean(t *testing.T) {
	for _, shell := range [][]string{{"bash"}, {"dash"}, {"busybox", "sh"}} {
		t.Run(shell[0], func(t *testing.T) {
			needs.Check(t, shell[0])
			script := filepath.Join(t.TempDir(), "script")
			text := "trap 'exit 0' TERM\n{ echo ready; read line; } 2>/dev/null\n"
			if err := os.WriteFile(script, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			command := slices.Concat([]string{"-v", "--strict", "--findings", "all", "--"}, shell,
				[]string{script})
			s := prepareExec(t, command...)
			r, w, err := os.Pipe()
			if err != nil {
				t.Fatal(err)
			}
			defer w.Close()
			s.cmd.Stdin = r
			s.launch()
			r.Close()
			s.awaitLine("ready")
			// A trap does not interrupt a read that begins after the signal (bash(1), SIGNALS).
			for _, pid := range procfs.Descendants(s.cmd.Process.Pid) {
				s.awaitState(pid, "S")
			}
			s.signal(unix.SIGTERM)
			s.expectExit(0)
		})
	}
}
