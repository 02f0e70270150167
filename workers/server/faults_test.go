package main

import (
	"fmt"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"tp0/supervisor/fixture/needs"
	"tp0/workers/internal/trial"
)

// The tests of this file run the real program and check for faults that are common in servers of
// this exercise.

// hour is a timeout that must not expire: the test fails if the program waits for it.
const hour = "1h"

func TestIdleClientsDoNotDelayStop(t *testing.T) {
	t.Parallel()
	p, address := start(t, "SERVER_DRAIN_TIMEOUT="+hour)
	first, second := connect(t, address), connect(t, address)
	p.Await("accept_connections | result: success")
	p.Await("accept_connections | result: success")
	p.Signal(term)
	answered(t, first, "")
	answered(t, second, "")
	stop(t, p)
}

func TestPartialLineDoesNotDelayStop(t *testing.T) {
	t.Parallel()
	p, address := start(t, "SERVER_DRAIN_TIMEOUT=200ms")
	conn := connect(t, address)
	send(t, conn, "half")
	p.Await("accept_connections | result: success")
	p.Signal(term)
	p.Await("action: hurry | result: in_progress | reason: end of the drain")
	p.Await("receive_message | result: fail | ip: 127.0.0.1 | error: ")
	stop(t, p)
}

func TestStopInterruptsAccept(t *testing.T) {
	t.Parallel()
	for _, sig := range []syscall.Signal{unix.SIGTERM, unix.SIGINT} {
		p, _ := start(t)
		p.Signal(sig)
		p.Await("action: stop | result: in_progress | reason: " + unix.SignalName(sig))
		stop(t, p)
	}
}

func TestAsPID1(t *testing.T) {
	t.Parallel()
	cmd := program.Command(t, "SERVER_PORT=0")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWPID}
	if unix.Geteuid() != 0 {
		cmd.SysProcAttr.Cloneflags |= unix.CLONE_NEWUSER
	}
	if probe := program.Command(t); !startable(probe, cmd.SysProcAttr) {
		needs.Skip(t, "root", "a new PID namespace is not allowed")
	}
	p := trial.Start(t, cmd)
	address := accepting(p)
	ask(t, address, "hi")
	p.Signal(term)
	stop(t, p)
}

func startable(cmd *exec.Cmd, attributes *syscall.SysProcAttr) bool {
	cmd.Args = append(cmd.Args, "--version")
	cmd.SysProcAttr = attributes
	return cmd.Run() == nil
}

func TestRestartOnSamePort(t *testing.T) {
	t.Parallel()
	p, address := start(t)
	idle := connect(t, address)
	ask(t, address, "served")
	p.Signal(term)
	answered(t, idle, "")
	stop(t, p)

	// The server closed first, so its port has connections in TIME_WAIT.
	p = program.Run(t, "SERVER_PORT="+address[strings.LastIndex(address, ":")+1:])
	if again := accepting(p); again != address {
		t.Errorf("the server listens on %s, want %s", again, address)
	}
	ask(t, address, "served again")
	p.Signal(term)
	stop(t, p)
}

func TestLineInTwoWrites(t *testing.T) {
	t.Parallel()
	p, address := start(t)
	conn := connect(t, address)
	send(t, conn, "[CLIENT 1] Mess")
	silent(t, conn)
	send(t, conn, "age N°1\n")
	answered(t, conn, "[CLIENT 1] Message N°1\n")
	p.Await("receive_message | result: success | ip: 127.0.0.1 | msg: [CLIENT 1] Message N°1")
	p.Signal(term)
	stop(t, p)
}

func TestLongLine(t *testing.T) {
	t.Parallel()
	p, address := start(t)
	for _, size := range []int{5_000, maxLine} {
		ask(t, address, strings.Repeat("x", size))
		p.Await("receive_message | result: success | ip: 127.0.0.1 | msg: " +
			strings.Repeat("x", size))
	}
	p.Signal(term)
	stop(t, p)
}

func TestTooLongLine(t *testing.T) {
	t.Parallel()
	p, address := start(t)
	for _, text := range []string{strings.Repeat("x", maxLine+1),
		strings.Repeat("x", maxLine+1) + "\n", strings.Repeat("x", 4*maxLine)} {
		conn := connect(t, address)
		send(t, conn, text)
		answered(t, conn, "")
		p.Await("receive_message | result: fail | ip: 127.0.0.1 | error: the line has more than " +
			"65536 bytes")
	}
	ask(t, address, "still there")
	p.Signal(term)
	stop(t, p)
}

func TestEchoIsUnchanged(t *testing.T) {
	t.Parallel()
	p, address := start(t)
	for text, logged := range map[string]string{
		"\xff\xfe[CLIENT 1]":                 `"\xff\xfe[CLIENT 1]"`,
		"a | result: fail | action: exit":    `"a \x7c result: fail \x7c action: exit"`,
		"carriage return\r":                  `"carriage return\r"`,
		"\x1b[31mred\x00":                    `"\x1b[31mred\x00"`,
		"  spaces  ":                         `"  spaces  "`,
		"[CLIENT 1] Message N°1":             `[CLIENT 1] Message N°1`,
		`she said "hi": so what`:             `she said "hi": so what`,
		"":                                   "",
		"source: x, action: y, and no field": "source: x, action: y, and no field",
	} {
		ask(t, address, text)
		line := p.Await("receive_message | result: success | ip: 127.0.0.1 | msg: ")
		if !strings.HasSuffix(line, "| msg: "+logged) {
			t.Errorf("%q is logged as %q, want %q", text, line, logged)
		}
	}
	p.Signal(term)
	stop(t, p)
}

func TestClientResets(t *testing.T) {
	t.Parallel()
	p, address := start(t)
	for range 3 {
		conn := connect(t, address)
		send(t, conn, "half")
		if err := conn.SetLinger(0); err != nil {
			t.Fatal(err)
		}
		_ = conn.Close()
		p.Await("receive_message | result: fail", "reset")
	}
	ask(t, address, "still there")
	p.Signal(term)
	stop(t, p)
}

func TestOneIdleClientDoesNotBlockOthers(t *testing.T) {
	t.Parallel()
	p, address := start(t)
	connect(t, address)
	p.Await("accept_connections | result: success")
	ask(t, address, "served meanwhile")
	p.Signal(term)
	stop(t, p)
}

func TestStopAnswersQueuedClients(t *testing.T) {
	t.Parallel()
	// The idle client takes the only slot, so the others stay in the queue of the kernel until the
	// stop.
	p, address := start(t, "SERVER_MAX_CONNECTIONS=1", "SERVER_DRAIN_TIMEOUT="+hour)
	idle := connect(t, address)
	p.Await("accept_connections | result: success")
	var texts []string
	for i := range 6 { // a backlog of 5 holds 6
		texts = append(texts, fmt.Sprintf("queued %d", i))
	}
	queued := connect(t, address)
	send(t, queued, texts[0]+"\n")
	second := connect(t, address)
	send(t, second, texts[1]) // and EOF
	_ = second.CloseWrite()
	for _, text := range texts[2:] {
		conn := connect(t, address)
		send(t, conn, text+"\n")
		defer answered(t, conn, text+"\n")
	}
	silent(t, queued)
	p.Signal(term)
	answered(t, idle, "")
	answered(t, queued, texts[0]+"\n")
	answered(t, second, texts[1]+"\n")
	stop(t, p)
	for _, text := range texts {
		if p.Count("receive_message | result: success", "msg: "+text) != 1 {
			t.Errorf("%q was not received", text)
		}
	}
}

func TestLineCompletedAfterSignal(t *testing.T) {
	t.Parallel()
	p, address := start(t, "SERVER_DRAIN_TIMEOUT="+hour)
	conn := connect(t, address)
	send(t, conn, "begun before, ")
	p.Await("accept_connections | result: success")
	p.Signal(term)
	p.Await("action: close | result: success | resource: listener")
	silent(t, conn)
	send(t, conn, "completed after\n")
	answered(t, conn, "begun before, completed after\n")
	stop(t, p)
}

func TestSecondSignalEscalates(t *testing.T) {
	t.Parallel()
	p, address := start(t, "SERVER_DRAIN_TIMEOUT="+hour)
	conn := connect(t, address)
	send(t, conn, "half")
	p.Await("accept_connections | result: success")
	p.Signal(term)
	p.Await("action: close | result: success | resource: listener") // the stop is under way
	p.Signal(term)
	p.Await("action: hurry | result: in_progress | reason: SIGTERM")
	p.Await("receive_message | result: fail | ip: 127.0.0.1 | error: ")
	stop(t, p)
}

func TestManySignals(t *testing.T) {
	t.Parallel()
	p, address := start(t)
	connect(t, address)
	send(t, connect(t, address), "half")
	p.Await("accept_connections | result: success")
	p.Await("accept_connections | result: success")
	// Signal until the process has ended, so that some signals arrive in its last lines.
	for p.Process.Signal(term) == nil {
		_ = p.Process.Signal(unix.SIGINT)
	}
	stop(t, p)
}

func TestSignalDuringStart(t *testing.T) {
	// A process that has not reached main at the signal dies of it. Its handler is there before its
	// first line.
	for _, delay := range []time.Duration{0, 5, 20, 50, 100} {
		p := plain.Run(t, "SERVER_PORT=0")
		<-time.After(delay * time.Millisecond)
		p.Signal(term)
		if code := p.Exit(); code != 0 && code != -int(term) {
			t.Errorf("exit code %d after a signal %d ms after the start", code, delay)
		}
	}
	for range 10 {
		p := plain.Run(t, "SERVER_PORT=0")
		p.Await("action: config")
		p.Signal(term)
		if code := p.Exit(); code != 0 {
			t.Errorf("exit code %d after a signal at the first line", code)
		}
	}
}
