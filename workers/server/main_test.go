package main

import (
	"bufio"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"tp0/workers/internal/trial"
)

// program is the server, built with the race detector if the test is. plain is the released build.
var (
	program = trial.Program{Path: "."}
	plain   = trial.Program{Path: ".", Plain: true}
)

func TestMain(m *testing.M) { trial.Main(m, &program, &plain) }

// start starts a server on a port that the kernel chooses, and waits until it accepts connections.
func start(t *testing.T, env ...string) (p *trial.Process, address string) {
	t.Helper()
	p = program.Run(t, append([]string{"SERVER_PORT=0"}, env...)...)
	return p, accepting(p)
}

// accepting waits until the server accepts connections and returns its address.
func accepting(p *trial.Process) string {
	line := p.Await("action: listen | result: success")
	p.Await("action: accept_connections | result: in_progress")
	return "127.0.0.1" + line[strings.LastIndex(line, ":"):]
}

// stop waits for the exit of a server that was signalled. It checks the exit code, and that the
// server closed and logged all resources.
func stop(t *testing.T, p *trial.Process) {
	t.Helper()
	if code := p.Exit(); code != 0 {
		t.Errorf("exit code %d, want 0; the output:\n%s", code, p.Output())
	}
	lines := p.Lines()
	if last := lines[len(lines)-1]; !strings.HasSuffix(last, "action: exit | result: success") {
		t.Errorf("got the last line %q, want a success", last)
	}
	accepted := p.Count("action: accept_connections | result: success")
	if closed := p.Count("action: close | result: success | resource: connection | fd: " +
		""); accepted != closed {
		t.Errorf("%d connections accepted and %d closed; the output:\n%s", accepted, closed,
			p.Output())
	}
	for _, resource := range []string{"listener | fd: ", "goroutine group | group: connections",
		"goroutine group | group: actors",
		"signal channel"} {
		if p.Count("action: close | result: success | resource: "+resource) != 1 {
			t.Errorf("want one line about the close of %q; the output:\n%s", resource, p.Output())
		}
	}
}

// connect opens a connection. Each use of it fails after trial.Bound.
func connect(t *testing.T, address string) *net.TCPConn {
	t.Helper()
	conn, err := net.DialTimeout("tcp", address, trial.Bound)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(trial.Bound)); err != nil {
		t.Fatal(err)
	}
	return conn.(*net.TCPConn)
}

func send(t *testing.T, conn *net.TCPConn, text string) {
	t.Helper()
	if _, err := io.WriteString(conn, text); err != nil {
		t.Fatal(err)
	}
}

// answered checks that conn delivers want and then EOF.
func answered(t *testing.T, conn *net.TCPConn, want string) {
	t.Helper()
	got, err := io.ReadAll(conn)
	if err != nil || string(got) != want {
		t.Errorf("got the answer %.100q and error %v, want %.100q and EOF", got, err, want)
	}
	_ = conn.Close()
}

// silent checks that conn delivers nothing within 300 ms.
func silent(t *testing.T, conn *net.TCPConn) {
	t.Helper()
	_ = conn.SetReadDeadline(time.Now().Add(300 * time.Millisecond))
	if n, err := conn.Read(make([]byte, 1)); n != 0 || !os.IsTimeout(err) {
		t.Errorf("got %d bytes and error %v, want no bytes and a timeout", n, err)
	}
	_ = conn.SetReadDeadline(time.Now().Add(trial.Bound))
}

// ask sends text over a new connection and checks the echo.
func ask(t *testing.T, address, text string) {
	t.Helper()
	conn := connect(t, address)
	send(t, conn, text+"\n")
	answered(t, conn, text+"\n")
}

const term = unix.SIGTERM

// unread starts a server and returns the read end of its standard output, which nothing reads.
func unread(t *testing.T, env ...string) (*exec.Cmd, *os.File) {
	t.Helper()
	reader, writer, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd := program.Command(t, env...)
	cmd.Stdout = writer
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	_ = writer.Close()
	hung := time.AfterFunc(trial.Bound, func() { _ = cmd.Process.Kill() })
	t.Cleanup(func() {
		hung.Stop()
		_ = cmd.Process.Kill()
		_ = reader.Close()
	})
	return cmd, reader
}

// listening reads the output of a server up to the line with its address, which it returns.
func listening(t *testing.T, reader io.Reader) (address string) {
	t.Helper()
	lines := bufio.NewScanner(reader)
	for lines.Scan() {
		if line := lines.Text(); strings.Contains(line, "action: listen") {
			return "127.0.0.1" + line[strings.LastIndex(line, ":"):]
		}
	}
	t.Fatal("the server did not log its address")
	return ""
}
