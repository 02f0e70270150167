package main

import (
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"tp0/supervisor/fixture/needs"
	"tp0/workers/internal/trial"
)

// The tests of this file run the real program and check for faults that are common in clients of
// this exercise.

// hour is a timeout that must not expire: the test fails if the program waits for it.
const hour = "1h"

func TestSignalDuringPeriod(t *testing.T) {
	t.Parallel()
	p := runClient(t, serve(t, echo), "CLI_LOOP_AMOUNT=5", "CLI_LOOP_PERIOD="+hour)
	p.Await("action: receive_message | result: success | client_id: 1 | msg: [CLIENT 1] Message " +
		"N°1")
	p.Signal(term)
	p.Await("action: stop | result: in_progress | reason: SIGTERM")
	ends(t, p, 0)
	closes(t, p, 1)
	if p.Count("loop_finished") != 0 || p.Count("result: fail") != 0 {
		t.Errorf("the output:\n%s", p.Output())
	}
}

func TestStopWithoutAnswer(t *testing.T) {
	t.Parallel()
	for name, drain := range map[string]string{"drain": "100ms", "second signal": hour} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			asked, never := make(chan struct{}), make(chan struct{})
			address := serve(t, echoAfter(asked, never))
			t.Cleanup(func() { close(never) }) // before serve's cleanup waits for its goroutine
			p := runClient(t, address, "CLI_DRAIN_TIMEOUT="+drain)
			<-asked
			p.Signal(term)
			p.Await("action: stop | result: in_progress | reason: SIGTERM")
			if drain == hour {
				p.Signal(term)
			}
			p.Await("action: hurry | result: in_progress")
			p.Await("action: receive_message | result: in_progress | client_id: 1 | msg: " +
				"[CLIENT 1] Message N°1 | reason: interrupted by the stop")
			ends(t, p, 0)
			closes(t, p, 1)
		})
	}
}

func TestAnswerTimeout(t *testing.T) {
	t.Parallel()
	asked, never := make(chan struct{}), make(chan struct{})
	address := serve(t, echoAfter(asked, never))
	t.Cleanup(func() { close(never) })
	p := runClient(t, address)
	p.Await("action: receive_message | result: fail | client_id: 1 | error: no whole answer " +
		"within 2s")
	ends(t, p, 1)
	closes(t, p, 1)
}

func TestStopFinishesRequest(t *testing.T) {
	t.Parallel()
	asked, may := make(chan struct{}), make(chan struct{})
	p := runClient(t, serve(t, echoAfter(asked, may)),
		"CLI_LOOP_AMOUNT=2", "CLI_DRAIN_TIMEOUT="+hour)
	<-asked
	p.Signal(term)
	p.Await("action: stop | result: in_progress | reason: SIGTERM")
	close(may)
	p.Await("action: receive_message | result: success | client_id: 1 | msg: [CLIENT 1] Message " +
		"N°1")
	ends(t, p, 0)
	closes(t, p, 1)
}

func TestStopDuringConnect(t *testing.T) {
	t.Parallel()
	p := runClient(t, full(t), "CLI_DRAIN_TIMEOUT="+hour)
	connecting(t, p)
	p.Signal(term)
	p.Await("action: close | result: success | resource: socket | fd: ")
	// A connect that the stop did not interrupt would end with "i/o timeout".
	p.Await("action: receive_message | result: in_progress", "interrupted by the stop",
		"operation was canceled")
	ends(t, p, 0)
}

func TestConnectTimeout(t *testing.T) {
	t.Parallel()
	p := runClient(t, full(t))
	p.Await("action: connect | result: fail | client_id: 1 | error: ")
	ends(t, p, 1)
}

// full returns the address of a listener with a full queue. The kernel drops further connections.
func full(t *testing.T) (address string) {
	t.Helper()
	l := listener(t, "127.0.0.1:0").(*net.TCPListener)
	raw, err := l.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	if err := raw.Control(func(fd uintptr) { err = unix.Listen(int(fd), 0) }); err != nil {
		t.Fatal(err)
	}
	for range 10 {
		conn, err := net.DialTimeout("tcp", l.Addr().String(), 200*time.Millisecond)
		if err != nil {
			return l.Addr().String()
		}
		t.Cleanup(func() { _ = conn.Close() })
	}
	needs.Skip(t, "accept queue", "the kernel accepts connections beyond the backlog")
	return ""
}

// connecting waits until the process has a socket in the state SYN_SENT.
func connecting(t *testing.T, p *trial.Process) {
	t.Helper()
	late := time.After(trial.Bound)
	for {
		table, err := os.ReadFile(fmt.Sprintf("/proc/%d/net/tcp", p.Process.Pid))
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(table)) {
			// proc_net_tcp.rst in the kernel's documentation
			const state, inode, synSent = 3, 9, "02"
			fields := strings.Fields(line)
			if len(fields) > inode && fields[state] == synSent &&
				hasDescriptor(p.Process.Pid, "socket:["+fields[inode]+"]") {
				return
			}
		}
		select {
		case <-late:
			t.Fatal("the client has no socket in SYN_SENT")
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// hasDescriptor reports whether a process has a descriptor whose link is target.
func hasDescriptor(pid int, target string) bool {
	dir := fmt.Sprintf("/proc/%d/fd/", pid)
	entries, _ := os.ReadDir(dir)
	for _, entry := range entries {
		if link, _ := os.Readlink(dir + entry.Name()); link == target {
			return true
		}
	}
	return false
}

func TestConnectionRefused(t *testing.T) {
	t.Parallel()
	l := listener(t, "127.0.0.1:0")
	_ = l.Close()
	p := runClient(t, l.Addr().String())
	p.Await("action: retry | result: in_progress | client_id: 1 | try: 2", "connection refused")
	p.Await("action: retry | result: in_progress | client_id: 1 | try: 3", "connection refused")
	p.Await("action: connect | result: fail | client_id: 1 | error: ", "connection refused")
	p.Await("action: receive_message | result: fail | client_id: 1 | error: ", "connection refused")
	p.Await("action: loop_finished | result: fail | client_id: 1")
	ends(t, p, 1)
	if n := p.Count("action: close | result: success | resource: socket | fd: "); n != maxAttempts {
		t.Errorf("%d sockets were closed, want %d", n, maxAttempts)
	}
}

func TestStopDuringRetry(t *testing.T) {
	t.Parallel()
	l := listener(t, "127.0.0.1:0")
	_ = l.Close()
	p := runClient(t, l.Addr().String())
	p.Await("action: retry | result: in_progress | client_id: 1 | try: 3 | pause: ")
	signalled := time.Now()
	p.Signal(term)
	p.Await("action: receive_message | result: in_progress", "interrupted by the stop")
	if elapsed := time.Since(signalled); elapsed >= 2*firstPause {
		t.Errorf("the retry ended after %v, want less than the pause of %v", elapsed, 2*firstPause)
	}
	ends(t, p, 0)
}

func TestServerStartsLate(t *testing.T) {
	t.Parallel()
	l := listener(t, "127.0.0.1:0")
	_ = l.Close()
	p := runClient(t, l.Addr().String())
	p.Await("action: retry | result: in_progress | client_id: 1 | try: 2")
	l = listener(t, l.Addr().String())
	conn, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	echo(conn.(*net.TCPConn))
	_ = conn.Close()
	p.Await("action: receive_message | result: success | client_id: 1 | msg: [CLIENT 1] Message " +
		"N°1")
	ends(t, p, 0)
	closes(t, p, 1)
}

func TestWrongAnswers(t *testing.T) {
	t.Parallel()
	fixed := func(text string) answer { return respondWith(func(string) string { return text }) }
	for name, test := range map[string]struct {
		answers     []answer
		code        int
		connections int
		line        string
	}{
		"another message": {[]answer{fixed("[CLIENT 1] Message N°2\n")}, 1, 1,
			"receive_message | result: fail | client_id: 1 | error: wrong answer"},
		"another message once": {[]answer{fixed("hello\n"), echo}, 1, 1,
			"receive_message | result: fail | client_id: 1 | error: wrong answer"},
		"empty": {[]answer{fixed("\n")}, 1, 1,
			"receive_message | result: fail | client_id: 1 | error: wrong answer"},
		"log injection": {[]answer{fixed("a | result: success | b\x1b[2J\r\n")}, 1,
			1,
			`\x7c result: success \x7c`},
		"trimmed": {[]answer{fixed("[CLIENT 1] Message N°1 \n")}, 1, 1,
			"receive_message | result: fail"},
		"cut": {[]answer{cut}, 1, maxAttempts,
			"receive_message | result: fail | client_id: 1 | error: the answer was cut after 12 " +
				"bytes"},
		"cut once":   {[]answer{cut, echo}, 0, 2, "receive_message | result: success"},
		"reset":      {[]answer{reset}, 1, maxAttempts, "receive_message | result: fail"},
		"reset once": {[]answer{reset, echo}, 0, 2, "receive_message | result: success"},
		"closed": {
			[]answer{func(*net.TCPConn) {}}, 1, maxAttempts, "receive_message | result: fail",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := runClient(t, serve(t, test.answers...))
			p.Await(test.line)
			ends(t, p, test.code)
			closes(t, p, test.connections)
		})
	}
}

func TestEndlessAnswer(t *testing.T) {
	t.Parallel()
	p := runClient(t, serve(t, func(conn *net.TCPConn) {
		chunk := []byte(strings.Repeat("x", 1<<20))
		for {
			if _, err := conn.Write(chunk); err != nil {
				return
			}
		}
	}))
	p.Await("action: receive_message | result: fail | client_id: 1 | error: wrong answer: no " +
		"newline within 65559 bytes")
	ends(t, p, 1)
	closes(t, p, 1)
	if kib := p.ProcessState.SysUsage().(*syscall.Rusage).Maxrss; kib > 100<<10 {
		t.Errorf("the client used %d KiB of memory, want 102400 at most", kib)
	}
}

func TestSignalDuringStart(t *testing.T) {
	l := listener(t, "127.0.0.1:0") // never accepts, so the message stays in its queue
	// A process that has not reached main at the signal dies of it. Its handler is there before its
	// first line.
	for _, delay := range []time.Duration{0, 5, 20, 50, 100} {
		p := plain.Run(t, "CLI_ID=1", "CLI_SERVER_ADDRESS="+l.Addr().String(),
			"CLI_DRAIN_TIMEOUT=10ms")
		<-time.After(delay * time.Millisecond)
		p.Signal(term)
		if code := p.Exit(); code != 0 && code != -int(term) {
			t.Errorf("exit code %d after a signal %d ms after the start", code, delay)
		}
	}
	for range 10 {
		p := plain.Run(t, "CLI_ID=1", "CLI_SERVER_ADDRESS="+l.Addr().String(),
			"CLI_DRAIN_TIMEOUT=10ms")
		p.Await("action: config")
		p.Signal(term)
		if code := p.Exit(); code != 0 {
			t.Errorf("exit code %d after a signal at the first line", code)
		}
	}
}

func TestManySignals(t *testing.T) {
	t.Parallel()
	p := runClient(t, serve(t, echo), "CLI_LOOP_AMOUNT=1000", "CLI_LOOP_PERIOD=0s")
	p.Await("action: receive_message | result: success")
	for p.Process.Signal(term) == nil {
		_ = p.Process.Signal(unix.SIGINT)
	}
	ends(t, p, 0)
}

// TestLoop sends two messages without a period and two with a period.
func TestLoop(t *testing.T) {
	t.Parallel()
	for _, period := range []string{"0s", "10ms"} {
		p := runClient(t, serve(t, echo), "CLI_ID=7", "CLI_LOOP_AMOUNT=2",
			"CLI_LOOP_PERIOD="+period)
		p.Await("action: config | result: success | client_id: 7 | server_address: 127.0.0.1:",
			" | loop_amount: 2 | loop_period: "+period+" | log_level: INFO")
		p.Await("action: receive_message | result: success | client_id: 7 | msg: [CLIENT 7] " +
			"Message N°1")
		p.Await("action: receive_message | result: success | client_id: 7 | msg: [CLIENT 7] " +
			"Message N°2")
		p.Await("action: loop_finished | result: success | client_id: 7")
		ends(t, p, 0)
		closes(t, p, 2)
	}
}

// TestWire checks the bytes that the client sends.
func TestWire(t *testing.T) {
	t.Parallel()
	sent := make(chan []byte, 1)
	p := runClient(t, serve(t, func(conn *net.TCPConn) {
		bytes := make([]byte, len("[CLIENT 1] Message N°1\n"))
		_, _ = io.ReadFull(conn, bytes)
		_, _ = conn.Write(bytes)
		rest, _ := io.ReadAll(conn)
		sent <- append(bytes, rest...)
	}))
	if got, want := string(<-sent), "[CLIENT 1] Message N\xc2\xb01\n"; got != want {
		t.Errorf("sent %q, want %q", got, want)
	}
	ends(t, p, 0)
}

// TestStopOrder stops a server and its client, in both orders.
func TestStopOrder(t *testing.T) {
	t.Parallel()
	for _, first := range []string{"server", "client"} {
		echoer := server.Run(t, "SERVER_PORT=0")
		line := echoer.Await("action: listen | result: success")
		client := runClient(t, "127.0.0.1"+line[strings.LastIndex(line, ":"):],
			"CLI_LOOP_AMOUNT=100", "CLI_LOOP_PERIOD="+hour)
		client.Await("receive_message | result: success | client_id: 1 | msg: [CLIENT 1] " +
			"Message N°1")
		echoer.Await("receive_message | result: success | ip: 127.0.0.1 | msg: [CLIENT 1] " +
			"Message N°1")
		order := []*trial.Process{echoer, client}
		if first == "client" {
			order = []*trial.Process{client, echoer}
		}
		for _, p := range order {
			p.Signal(term)
			ends(t, p, 0)
			closes(t, p, 1)
		}
	}
}
