package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"tp0/workers/internal/trial"
)

// program is the real server, and plain the same as it is shipped.
var (
	program = trial.Program{Path: "."}
	plain   = trial.Program{Path: ".", Plain: true}
)

func TestMain(m *testing.M) {
	code := m.Run()
	program.Remove()
	plain.Remove()
	if err := goleak.Find(); err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// start starts a server on a port that the kernel chooses, and returns it once it accepts.
func start(t *testing.T, env ...string) (p *trial.Process, address string) {
	t.Helper()
	p = program.Run(t, append([]string{"SERVER_PORT=0"}, env...)...)
	return p, accepting(p)
}

// accepting waits until a server accepts and returns its address.
func accepting(p *trial.Process) string {
	line := p.Await("action: listen | result: success")
	p.Await("action: accept_connections | result: in_progress")
	return "127.0.0.1" + line[strings.LastIndex(line, ":"):]
}

// stop waits for the end of a server that had its signal, which has to be a clean one with
// everything closed and logged.
func stop(t *testing.T, p *trial.Process) {
	t.Helper()
	if code := p.Exit(); code != 0 {
		t.Errorf("exit code %d, want 0; the output:\n%s", code, p.Output())
	}
	lines := p.Lines()
	if last := lines[len(lines)-1]; !strings.HasSuffix(last, "action: exit | result: success") {
		t.Errorf("the last line is %q", last)
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
			t.Errorf("no line for the closing of %q; the output:\n%s", resource, p.Output())
		}
	}
}

// connect opens a connection whose every use fails after a bound.
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

// answered checks that want, and then the end, is all that comes from conn.
func answered(t *testing.T, conn *net.TCPConn, want string) {
	t.Helper()
	got, err := io.ReadAll(conn)
	if err != nil || string(got) != want {
		t.Errorf("answered %.100q and %v, want %.100q", got, err, want)
	}
	_ = conn.Close()
}

// silent checks that nothing comes from conn for a while, in which a server that is going to do
// something wrong would.
func silent(t *testing.T, conn *net.TCPConn) {
	t.Helper()
	_ = conn.SetReadDeadline(time.Now().Add(300 * time.Millisecond))
	if n, err := conn.Read(make([]byte, 1)); n != 0 || !os.IsTimeout(err) {
		t.Errorf("%d bytes and %v came too early", n, err)
	}
	_ = conn.SetReadDeadline(time.Now().Add(trial.Bound))
}

// ask has text echoed.
func ask(t *testing.T, address, text string) {
	t.Helper()
	conn := connect(t, address)
	send(t, conn, text+"\n")
	answered(t, conn, text+"\n")
}

const term = unix.SIGTERM

// unread starts a server whose output the test reads, or not, by itself.
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

// listening reads the server's first lines, up to the one with its address.
func listening(t *testing.T, reader io.Reader) (address string) {
	t.Helper()
	lines := bufio.NewScanner(reader)
	for lines.Scan() {
		if line := lines.Text(); strings.Contains(line, "action: listen") {
			return "127.0.0.1" + line[strings.LastIndex(line, ":"):]
		}
	}
	t.Fatal("it does not listen")
	return ""
}
