package main

import (
	"bufio"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"tp0/workers/internal/trial"
)

// program is the client, built with the race detector if the test is. plain is the released build.
// server is the server of this repository.
var (
	program = trial.Program{Path: "."}
	plain   = trial.Program{Path: ".", Plain: true}
	server  = trial.Program{Path: "../server"}
)

func TestMain(m *testing.M) { trial.Main(m, &program, &plain, &server) }

// listener returns a listening socket of the test.
func listener(t *testing.T, address string) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

// serve starts a server in the test and returns its address. It handles one connection after the
// other, each with the next of the answers. The last answer is used for all further connections.
func serve(t *testing.T, answers ...answer) (address string) {
	t.Helper()
	l := listener(t, "127.0.0.1:0")
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			_ = conn.SetDeadline(time.Now().Add(trial.Bound))
			answers[0](conn.(*net.TCPConn))
			_ = conn.Close()
			if len(answers) > 1 {
				answers = answers[1:]
			}
		}
	}()
	t.Cleanup(func() {
		_ = l.Close()
		<-ended
	})
	return l.Addr().String()
}

// answer handles a connection, which the server then closes.
type answer func(*net.TCPConn)

// respondWith returns an answer that reads the message and writes of(message).
func respondWith(of func(message string) string) answer {
	return func(conn *net.TCPConn) {
		message, _ := bufio.NewReader(conn).ReadString('\n')
		_, _ = io.WriteString(conn, of(message))
	}
}

var (
	echo = respondWith(func(message string) string { return message })

	cut = respondWith(func(message string) string { return message[:len(message)/2] })

	reset = func(conn *net.TCPConn) {
		cut(conn)
		_ = conn.SetLinger(0)
	}
)

// echoAfter returns an answer that reads the message, closes received, and echoes the message once
// release is closed.
func echoAfter(received chan<- struct{}, release <-chan struct{}) answer {
	return func(conn *net.TCPConn) {
		message, _ := bufio.NewReader(conn).ReadString('\n')
		close(received)
		<-release
		_, _ = io.WriteString(conn, message)
	}
}

// runClient starts a client of the server at address. It sends one message unless env overrides it.
func runClient(t *testing.T, address string, env ...string) *trial.Process {
	t.Helper()
	return program.Run(t, append([]string{"CLI_ID=1", "CLI_SERVER_ADDRESS=" + address,
		"CLI_LOOP_AMOUNT=1"}, env...)...)
}

// ends waits for the exit of the client and checks its code, its last line and its close lines.
func ends(t *testing.T, p *trial.Process, code int) {
	t.Helper()
	if got := p.Exit(); got != code {
		t.Errorf("exit code %d, want %d; the output:\n%s", got, code, p.Output())
	}
	want := "action: exit | result: success"
	if code != 0 {
		want = "action: exit | result: fail"
	}
	lines := p.Lines()
	if last := lines[len(lines)-1]; !strings.HasSuffix(last, want) {
		t.Errorf("got the last line %q, want a success", last)
	}
	for _, resource := range []string{"goroutine group | group: actors", "signal channel"} {
		if p.Count("action: close | result: success | resource: "+resource) != 1 {
			t.Errorf("want one line about the close of %q; the output:\n%s", resource, p.Output())
		}
	}
}

// closes checks the number of connections whose close is logged with descriptor and address.
func closes(t *testing.T, p *trial.Process, connections int) {
	t.Helper()
	if n := p.Count("action: close | result: success | resource: connection | fd: ",
		"| address: "); n != connections {
		t.Errorf("%d connections were closed, want %d; the output:\n%s", n, connections, p.Output())
	}
}

const term = unix.SIGTERM
