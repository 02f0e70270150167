package main

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"testing"

	"golang.org/x/sys/unix"

	"tp0/workers/internal/trial"
)

// opened returns a listening socket of the test, which plays the parent process.
func opened(t *testing.T) (file *os.File, address string) {
	t.Helper()
	// Set a backlog that differs from the one of package net, so that the test can recognise it.
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	file = os.NewFile(uintptr(fd), "socket")
	t.Cleanup(func() { _ = file.Close() })
	if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	if err := unix.Listen(fd, 77); err != nil {
		t.Fatal(err)
	}
	bound, err := unix.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	return file, fmt.Sprint("127.0.0.1:", bound.(*unix.SockaddrInet4).Port)
}

// given starts a server and passes files as systemd does. A shell sets LISTEN_PID, because it knows
// the pid that the server will have.
func given(t *testing.T, files []*os.File, env ...string) *trial.Process {
	t.Helper()
	cmd := program.Command(t, append(env, fmt.Sprint("LISTEN_FDS=", len(files)))...)
	shell := exec.Command("sh", "-c", `LISTEN_PID=$$ exec "$0"`, cmd.Path)
	shell.Env, shell.Dir, shell.ExtraFiles = cmd.Env, cmd.Dir, files
	return trial.Start(t, shell)
}

// copies returns how many descriptors of a process refer to file.
func copies(t *testing.T, p *trial.Process, file *os.File) (n int) {
	t.Helper()
	wanted, err := os.Readlink(fmt.Sprint("/proc/self/fd/", file.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	dir := fmt.Sprintf("/proc/%d/fd/", p.Process.Pid)
	fds, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, fd := range fds {
		if link, _ := os.Readlink(dir + fd.Name()); link == wanted {
			n++
		}
	}
	return n
}

// TestInheritedSocket passes the same socket to one server after the other. A client that connects
// between them is answered by the next one.
func TestInheritedSocket(t *testing.T) {
	t.Parallel()
	socket, address := opened(t)
	other, _ := opened(t)
	for _, tt := range []struct {
		files []*os.File
		names string
	}{
		{[]*os.File{socket}, ""},
		{[]*os.File{other, socket}, "LISTEN_FDNAMES=http:echo"},
		{[]*os.File{socket, other}, "LISTEN_FDNAMES=a:b"},
	} {
		early := connect(t, address)
		send(t, early, "early\n")
		p := given(t, tt.files, "SERVER_PORT=1", tt.names)
		line := p.Await("action: listen | result: success", "address: "+address, "inherited: true")
		if err := trial.Check(line); err != nil {
			t.Error(err)
		}
		answered(t, early, "early\n")
		ask(t, address, "now")
		if mine, others := copies(t, p, socket), copies(t, p, other); mine != 1 || others != 0 {
			t.Errorf("%q: got %d copies of its socket and %d of the other one, want 1 and 0",
				tt.names, mine, others)
		}
		p.Signal(term)
		stop(t, p)
		p.Await("action: close | result: success | resource: listener", "address: "+address)
		info, err := unix.GetsockoptTCPInfo(int(socket.Fd()), unix.IPPROTO_TCP, unix.TCP_INFO)
		if err != nil || info.State != unix.BPF_TCP_LISTEN || info.Sacked != 77 {
			t.Errorf("got socket state %d, backlog %d and error %v, want a listener with the "+
				"backlog set above", info.State, info.Sacked, err)
		}
	}
}

// TestForeignListenVariables checks that the variables have no effect if LISTEN_PID is another
// process.
func TestForeignListenVariables(t *testing.T) {
	t.Parallel()
	p, address := start(t, "LISTEN_PID=1", "LISTEN_FDS=1", "LISTEN_FDNAMES=echo")
	ask(t, address, "hi")
	if p.Count("inherited") != 0 {
		t.Errorf("the output:\n%s", p.Output())
	}
	p.Signal(term)
	stop(t, p)
}

func TestInvalidInheritedSockets(t *testing.T) {
	t.Parallel()
	datagrams, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer datagrams.Close()
	udp, err := datagrams.File()
	if err != nil {
		t.Fatal(err)
	}
	defer udp.Close()
	local, err := net.ListenUnix("unix", &net.UnixAddr{Name: t.TempDir() + "/s", Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	defer local.Close()
	unixSocket, err := local.File()
	if err != nil {
		t.Fatal(err)
	}
	defer unixSocket.Close()
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	for _, tt := range []struct {
		files []*os.File
		env   string
		want  string
	}{
		{[]*os.File{udp}, "", "cannot use the inherited descriptor 3"},
		{[]*os.File{unixSocket}, "", "want a TCP socket, not unix"},
		{[]*os.File{null}, "", "cannot use the inherited descriptor 3"},
		{nil, "", `cannot use LISTEN_FDS="0"`},
	} {
		p := given(t, tt.files, tt.env)
		p.Await("action: listen | result: fail", tt.want)
		if code := p.Exit(); code != 1 {
			t.Errorf("%s: got exit code %d, want 1", tt.want, code)
		}
	}
}

// TestStopAnswersInheritedQueue queues more clients than SERVER_LISTEN_BACKLOG, which does not
// apply to an inherited socket.
func TestStopAnswersInheritedQueue(t *testing.T) {
	t.Parallel()
	socket, address := opened(t)
	p := given(t, []*os.File{socket}, "SERVER_MAX_CONNECTIONS=1", "SERVER_LISTEN_BACKLOG=1",
		"SERVER_DRAIN_TIMEOUT="+hour)
	p.Await("accept_connections | result: in_progress")
	idle := connect(t, address)
	p.Await("accept_connections | result: success")
	// Leave the server the only copy, so that the kernel resets clients that stay in the queue.
	_ = socket.Close()
	for i := range 9 {
		conn := connect(t, address)
		text := fmt.Sprintf("queued %d\n", i)
		send(t, conn, text)
		defer answered(t, conn, text)
	}
	p.Signal(term)
	answered(t, idle, "")
	stop(t, p)
}
