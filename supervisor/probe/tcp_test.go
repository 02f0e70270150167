package probe

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"tp0/supervisor/fixture"
	"tp0/supervisor/procfs"
)

func TestMain(m *testing.M) {
	fixture.Main()
	goleak.VerifyTestMain(m)
}

// own is this process.
func own() Child { return Child{Pid: os.Getpid(), UID: uint32(os.Geteuid())} }

const limit = 10 * time.Second

// shortLimit is long enough for one attempt.
const shortLimit = 20 * time.Millisecond

func TestOwnListener(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	for _, address := range []string{l.Addr().String(), ":" + port, "localhost:" + port,
		"0.0.0.0:" + port} {
		if err := TCP(address, own()).Poll(ctx, MaxPollInterval); err != nil {
			t.Errorf("%s: %v", address, err)
		}
	}
	if c, err := l.(*net.TCPListener).SyscallConn(); err != nil || c == nil {
		t.Fatal(err)
	}
}

// TestForeignListener checks that the listener of another process does not count for the child, and
// that no connection is made to it.
func TestForeignListener(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	path, env := fixture.Command("sleep")
	c := exec.Command(path)
	c.Env = append(os.Environ(), env...)
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Process.Kill(); _ = c.Wait() }()
	ctx, cancel := context.WithTimeout(t.Context(), shortLimit)
	defer cancel()
	err = TCP(l.Addr().String(), Child{Pid: c.Process.Pid}).Poll(ctx, MaxPollInterval)
	if err == nil || !strings.Contains(err.Error(), "none of this child") {
		t.Errorf("error %v, want one about a foreign listener", err)
	}
	_ = l.(*net.TCPListener).SetDeadline(time.Now())
	if conn, err := l.Accept(); err == nil {
		t.Errorf("the probe connected from %v", conn.RemoteAddr())
	}
}

func TestListenerOfDescendant(t *testing.T) {
	path, env := fixture.Command("leaky")
	c := exec.Command(path)
	c.Env = append(os.Environ(), env...)
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Process.Kill(); _ = c.Wait() }()
	line, _ := bufio.NewReader(out).ReadString('\n')
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	address := strings.TrimSpace(strings.TrimPrefix(line, "listens "))
	// the listener is our child
	if err := TCP(address, own()).Poll(ctx, MaxPollInterval); err != nil {
		t.Error(err)
	}
}

// TestListenerWithoutMainThread checks that a process whose main thread has ended still serves.
func TestListenerWithoutMainThread(t *testing.T) {
	c := exec.Command(os.Args[0])
	c.Env = append(os.Environ(), withoutMain+"=1")
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Process.Kill(); _ = c.Wait() }()
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	for s, err := procfs.ReadStat(c.Process.Pid); !s.Dead(); s,
		err = procfs.ReadStat(c.Process.Pid) {
		if err != nil || ctx.Err() != nil {
			t.Fatalf("the main thread has not ended: %v", err)
		}
	}
	p := TCP(strings.TrimSpace(line), Child{Pid: c.Process.Pid})
	if err := p.Poll(ctx, MaxPollInterval); err != nil {
		t.Error(err)
	}
}

// withoutMain is the variable that makes the test binary listen and end its main thread.
const withoutMain = "READY_WITHOUT_MAIN"

func init() {
	if os.Getenv(withoutMain) == "" {
		return
	}
	runtime.LockOSThread() // this is the main thread
	go func() {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			os.Exit(1)
		}
		fmt.Println(l.Addr())
		_, _ = l.Accept() // blocks until the process is killed
	}()
	_, _, _ = unix.Syscall(unix.SYS_EXIT, 0, 0, 0)
}

func TestNoListener(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	l.Close()
	ctx, cancel := context.WithTimeout(t.Context(), shortLimit)
	defer cancel()
	if err := TCP(address, own()).Poll(ctx, MaxPollInterval); err == nil ||
		!strings.Contains(err.Error(), "no process listens") {
		t.Errorf("error %v, want one about a missing listener", err)
	}
}

func TestAccepts(t *testing.T) {
	for _, tt := range []struct {
		bound, wanted string
		want          bool
	}{
		{"127.0.0.1", "127.0.0.1", true},
		{"0.0.0.0", "127.0.0.1", true},
		{"::", "127.0.0.1", true},
		{"::", "::1", true},
		{"0.0.0.0", "::1", false},
		{"127.0.0.2", "127.0.0.1", false},
		{"::1", "127.0.0.1", false},
		{"10.0.0.1", "::", true},
	} {
		if got := accepts(netip.MustParseAddr(tt.bound),
			netip.MustParseAddr(tt.wanted)); got != tt.want {
			t.Errorf(
				"a socket on %s accepts %s: got %t, want %t", tt.bound, tt.wanted, got, tt.want,
			)
		}
	}
}
