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

// opened is a listening socket as somebody else would open it for the server.
func opened(t *testing.T) (file *os.File, address string) {
	t.Helper()
	// Package net sets a backlog of its own: the one here is to be seen again.
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

// given starts a server that is given files as systemd does it. The shell knows the pid that the
// server will have.
func given(t *testing.T, files []*os.File, env ...string) *trial.Process {
	t.Helper()
	cmd := program.Command(t, append(env, fmt.Sprint("LISTEN_FDS=", len(files)))...)
	shell := exec.Command("sh", "-c", `LISTEN_PID=$$ exec "$0"`, cmd.Path)
	shell.Env, shell.Dir, shell.ExtraFiles = cmd.Env, cmd.Dir, files
	return trial.Start(t, shell)
}

// copies says how often a program has a file of ours open.
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

// TestSocketIsTakenFromWhoStartedUs goes from one server to the next with the same socket: who
// connects between them waits.
func TestSocketIsTakenFromWhoStartedUs(t *testing.T) {
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
			t.Errorf("%q: it has its socket %d times, and the other one %d times", tt.names, mine,
				others)
		}
		p.Signal(term)
		stop(t, p)
		p.Await("action: close | result: success | resource: listener", "address: "+address)
		info, err := unix.GetsockoptTCPInfo(int(socket.Fd()), unix.IPPROTO_TCP, unix.TCP_INFO)
		if err != nil || info.State != unix.BPF_TCP_LISTEN || info.Sacked != 77 {
			t.Errorf("the socket is in state %d with a backlog of %d, %v", info.State, info.Sacked,
				err)
		}
	}
}

// TestOthersSocketsAreNotOurs has variables that a parent did not clear.
func TestOthersSocketsAreNotOurs(t *testing.T) {
	t.Parallel()
	p, address := start(t, "LISTEN_PID=1", "LISTEN_FDS=1", "LISTEN_FDNAMES=echo")
	ask(t, address, "hi")
	if p.Count("inherited") != 0 {
		t.Errorf("the output:\n%s", p.Output())
	}
	p.Signal(term)
	stop(t, p)
}

func TestBadSockets(t *testing.T) {
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
			t.Errorf("%s: exit code %d, want 1", tt.want, code)
		}
	}
}

// TestQueueOfAnInheritedSocketIsAnsweredInTheEnd has more in the queue than SERVER_LISTEN_BACKLOG,
// which is not the socket's.
func TestQueueOfAnInheritedSocketIsAnsweredInTheEnd(t *testing.T) {
	t.Parallel()
	socket, address := opened(t)
	p := given(t, []*os.File{socket}, "SERVER_MAX_CONNECTIONS=1", "SERVER_LISTEN_BACKLOG=1",
		"SERVER_DRAIN_TIMEOUT="+hour)
	p.Await("accept_connections | result: in_progress")
	idle := connect(t, address)
	p.Await("accept_connections | result: success")
	_ = socket.Close() // nobody else has it, so that what the server leaves in the queue is reset
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
