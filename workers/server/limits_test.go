package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"tp0/supervisor/fixture/needs"
	"tp0/workers/internal/graceful"
)

func TestEOFEndsMessage(t *testing.T) {
	t.Parallel()
	p, address := start(t)
	for text, want := range map[string]string{"hi": "hi\n", "": "\n", "\n": "\n",
		"one\ntwo\n": "one\n"} {
		conn := connect(t, address)
		send(t, conn, text)
		if err := conn.CloseWrite(); err != nil {
			t.Fatal(err)
		}
		answered(t, conn, want)
	}
	p.Signal(term)
	stop(t, p)
}

func TestManyClientsAtOnce(t *testing.T) {
	t.Parallel()
	p, address := start(t, "SERVER_LISTEN_BACKLOG=128")
	var clients sync.WaitGroup
	for i := range 200 {
		clients.Go(func() {
			ask(t, address, fmt.Sprintf("[CLIENT %d] Message N°1", i))
		})
	}
	clients.Wait()
	p.Signal(term)
	stop(t, p)
}

// TestConnectionLimit checks that a connection above the limit waits for evictAfter at least, and
// then gets the place of the oldest client that has sent no line.
func TestConnectionLimit(t *testing.T) {
	t.Parallel()
	p, address := start(t, "SERVER_MAX_CONNECTIONS=2", "SERVER_IDLE_TIMEOUT="+hour)
	began := time.Now()
	first := connect(t, address)
	p.Await("accept_connections | result: success")
	second := connect(t, address)
	third := connect(t, address)
	send(t, third, "third\n")
	answered(t, third, "third\n")
	if waited := time.Since(began); waited < evictAfter {
		t.Errorf("the third client was answered after %v, want %v at least", waited, evictAfter)
	}
	answered(t, first, "")
	p.Await("receive_message | result: fail | ip: 127.0.0.1 | error: evicted")
	send(t, second, "second\n")
	answered(t, second, "second\n")
	p.Signal(term)
	stop(t, p)
}

func TestIdleAndSlowClientsTimeOut(t *testing.T) {
	t.Parallel()
	p, address := start(t, "SERVER_IDLE_TIMEOUT=300ms")
	answered(t, connect(t, address), "")
	p.Await("receive_message | result: fail | ip: 127.0.0.1 | error: no whole line within 300ms")

	// Single bytes do not extend the timeout.
	slow := connect(t, address)
	go func() {
		ticks := time.NewTicker(50 * time.Millisecond)
		defer ticks.Stop()
		for range ticks.C {
			if _, err := io.WriteString(slow, "x"); err != nil {
				return
			}
		}
	}()
	p.Await("receive_message | result: fail | ip: 127.0.0.1 | error: no whole line within 300ms")
	p.Await("action: close | result: success | resource: connection")
	p.Signal(term)
	stop(t, p)
}

// TestOutOfDescriptors uses up the descriptors of the server and frees them again.
func TestOutOfDescriptors(t *testing.T) {
	t.Parallel()
	p, address := start(t)
	ask(t, address, "before")
	p.Await("resource: connection")
	open, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", p.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	limit := unix.Rlimit{Cur: uint64(len(open) + 2), Max: uint64(len(open) + 2)}
	if err := unix.Prlimit(p.Process.Pid, unix.RLIMIT_NOFILE, &limit, nil); err != nil {
		t.Fatal(err)
	}
	// Silent clients use up the descriptors. The oldest lose theirs to the client with a message.
	var silents []*net.TCPConn
	for range 5 {
		silents = append(silents, connect(t, address))
	}
	p.Await("accept_connections | result: fail", "too many open files")
	ask(t, address, "now")
	answered(t, silents[0], "")

	// Stop the server while it has no free descriptor and a message is in the queue.
	last := connect(t, address)
	send(t, last, "last\n")
	p.Signal(term)
	answered(t, last, "last\n")
	stop(t, p)
}

// TestBacklog reads the backlog from the kernel, through a copy of the server's descriptor.
func TestBacklog(t *testing.T) {
	t.Parallel()
	for _, backlog := range []int{5, 17} {
		p := program.Run(t, "SERVER_PORT=0", fmt.Sprint("SERVER_LISTEN_BACKLOG=", backlog))
		var fd int
		_, rest, _ := strings.Cut(p.Await("action: listen | result: success"), "| fd: ")
		if _, err := fmt.Sscan(rest, &fd); err != nil {
			t.Fatal(err)
		}
		pidfd, err := unix.PidfdOpen(p.Process.Pid, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Close(pidfd)
		listener, err := unix.PidfdGetfd(pidfd, fd, 0)
		if err != nil {
			needs.Skip(t, "ptrace", err)
		}
		defer unix.Close(listener)
		// tcpi_sacked of a listening socket is its backlog (tcp_get_info in the kernel's
		// net/ipv4/tcp.c).
		info, err := unix.GetsockoptTCPInfo(listener, unix.IPPROTO_TCP, unix.TCP_INFO)
		if err != nil {
			t.Fatal(err)
		}
		if info.Sacked != uint32(backlog) {
			t.Errorf("the backlog is %d, want %d", info.Sacked, backlog)
		}
		p.Await("accept_connections | result: in_progress")
		p.Signal(term)
		stop(t, p)
	}
}

// TestLogReaderEnds closes the other end of the server's standard output.
func TestLogReaderEnds(t *testing.T) {
	t.Parallel()
	cmd, reader := unread(t, "SERVER_PORT=0")
	address := listening(t, reader)
	ask(t, address, "read")
	_ = reader.Close()
	ask(t, address, "not read")
	_ = cmd.Process.Signal(term)
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
}

// TestLogReaderBlocks fills the pipe of the server's standard output, so that its goroutines
// hang in a write.
func TestLogReaderBlocks(t *testing.T) {
	t.Parallel()
	cmd, reader := unread(t, "SERVER_PORT=0", "SERVER_DRAIN_TIMEOUT=50ms")
	address := listening(t, reader)
	for range 3 {
		send(t, connect(t, address), strings.Repeat("x", maxLine)+"\n")
	}
	silent(t, connect(t, address))
	_ = cmd.Process.Signal(term)
	if err := cmd.Wait(); err == nil || cmd.ProcessState.ExitCode() != 1 {
		t.Errorf("the server ended with %v, want exit status 1", err)
	}
}

// TestListenerThatCannotAccept checks that the server ends with an error if it can never accept.
func TestListenerThatCannotAccept(t *testing.T) {
	t.Parallel()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	file := os.NewFile(uintptr(fd), "socket")
	opened, err := net.FileListener(file) // accepts a socket that does not listen
	_ = file.Close()
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	s := newServer(config{maxConnections: 1}, graceful.NewLog(&out), opened.(*net.TCPListener),
		t.Context(), t.Context())
	if err := s.serve(); !errors.Is(err, unix.EINVAL) {
		t.Errorf("serve returned %v, want EINVAL", err)
	}
	for _, want := range []string{"action: accept_connections | result: fail | error: cannot " +
		"accept",
		"action: close | result: success | resource: listener"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in:\n%s", want, out.String())
		}
	}
}
