package probe

import (
	"bufio"
	"context"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"tp0/supervisor/fixture/needs"
)

const nobody = 65534

func TestVerdict(t *testing.T) {
	dropped := []hiddenProcess{{pid: 7, uids: [4]uint32{nobody, nobody, nobody, nobody}}}
	for _, tt := range []struct {
		name string
		e    evidence
		want string // a part of the error; empty: the child listens
	}{
		{"readable", evidence{}, "none of this child"},
		{"readable, same user", evidence{owner: nobody, start: nobody}, "none of this child"},
		{"hidden, own user", evidence{hidden: dropped, owner: nobody}, ""},
		{"hidden, opened before the change", evidence{hidden: dropped, complete: true}, ""},
		{"hidden, opened by root", evidence{hidden: dropped}, "uid 0 listens"},
		{
			"hidden, other user", evidence{hidden: dropped, owner: 33, complete: true},
			"uid 33 listens",
		},
		{
			"hidden, not started by root",
			evidence{hidden: dropped, start: nobody, complete: true}, "uid 0 listens",
		},
		{
			"hidden, held elsewhere", evidence{hidden: dropped, owner: nobody, holder: 9},
			"pid 9 listens",
		},
	} {
		err := tt.e.verdict()
		if (err == nil) != (tt.want == "") ||
			err != nil && !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: got %v, want %q", tt.name, err, tt.want)
		}
	}
}

// TestHiddenListener checks listeners of processes that the supervisor may not read.
func TestHiddenListener(t *testing.T) {
	needs.Check(t, "root")
	foreign, _ := startListener(t, "plain", "127.0.0.1:0")
	sameUser, _ := startListener(t, "execute", "127.0.0.1:0")
	_, dropped := startListener(t, "drop", "none")
	_, executed := startListener(t, "execute", "none")
	for _, tt := range []struct {
		name, mode, address string
		of                  int    // the child, if another process listens
		want                string // a part of the error; empty: the child listens
	}{
		{"drops its user", "drop", "127.0.0.1:0", 0, ""},
		{"drops its user, IPv6", "drop", "[::1]:0", 0, ""},
		{"drops its user, any address", "drop", ":0", 0, ""},
		{"cannot be dumped", "undumpable", "127.0.0.1:0", 0, ""},
		{"drops its user, then executes", "execute", "127.0.0.1:0", 0, ""},
		{"another process", "", foreign, dropped, "listens on port"},
		{"another process of the same user", "", sameUser, executed, "none of this child"},
		{"another process of the same user, hidden", "", sameUser, dropped, "listens on port"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			address, pid := tt.address, tt.of
			if tt.mode != "" {
				address, pid = startListener(t, tt.mode, tt.address)
			}
			err := withoutPtrace(t, TCP(address, Child{Pid: pid}))
			if (err == nil) != (tt.want == "") ||
				err != nil && !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
}

// TestListenerInOwnNamespace checks a child with a network namespace of its own.
func TestListenerInOwnNamespace(t *testing.T) {
	needs.Check(t, "admin")
	c := listenerCommand("plain", "0.0.0.0:0")
	c.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNET}
	address := runListener(t, c)
	if err := TCP(address, Child{Pid: c.Process.Pid})(t.Context()); err != nil {
		t.Error(err)
	}
	foreign, _ := startListener(t, "plain", "127.0.0.1:0")
	err := TCP(foreign, Child{Pid: c.Process.Pid})(t.Context())
	if err == nil || !strings.Contains(err.Error(), "none of this child") {
		t.Errorf("error %v, want one about a foreign listener", err)
	}
}

// withoutPtrace runs a probe on a thread without CAP_SYS_PTRACE, as in a container. The thread ends
// with the goroutine.
func withoutPtrace(t *testing.T, p Probe) error {
	done := make(chan error)
	go func() {
		runtime.LockOSThread()
		header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
		var caps [2]unix.CapUserData
		err := unix.Capget(&header, &caps[0])
		caps[0].Effective &^= 1 << unix.CAP_SYS_PTRACE
		caps[0].Permitted &^= 1 << unix.CAP_SYS_PTRACE
		if err == nil {
			err = unix.Capset(&header, &caps[0])
		}
		if err == nil {
			ctx, cancel := context.WithTimeout(t.Context(), limit)
			err = p(ctx)
			cancel()
		}
		done <- err
	}()
	return <-done
}

// startListener starts a process that listens; see listenMode. It returns its address and pid.
func startListener(t *testing.T, mode, address string) (string, int) {
	t.Helper()
	c := listenerCommand(mode, address)
	return runListener(t, c), c.Process.Pid
}

func listenerCommand(mode, address string) *exec.Cmd {
	c := exec.Command(os.Args[0])
	c.Env = append(os.Environ(), listenMode+"="+mode, listenAddress+"="+address)
	return c
}

// runListener starts a listener and returns its address.
func runListener(t *testing.T, c *exec.Cmd) string {
	t.Helper()
	c.Stderr = os.Stderr
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Process.Kill(); _ = c.Wait() })
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(line)
}

// listenMode is the variable that makes the test binary listen, and says how it becomes hidden.
const (
	listenMode    = "PROBE_LISTEN_MODE"
	listenAddress = "PROBE_LISTEN_ADDRESS"
)

func init() {
	mode, address := os.Getenv(listenMode), os.Getenv(listenAddress)
	if mode == "" {
		return
	}
	var l net.Listener
	var err error
	listen := func() {
		if address != "none" {
			l, err = net.Listen("tcp", address)
		}
	}
	switch mode {
	case "drop":
		becomeNobody()
		listen()
	case "execute":
		becomeNobody()
		os.Setenv(listenMode, "plain")
		panic(syscall.Exec("/proc/self/exe", os.Args, os.Environ()))
	case "undumpable":
		_ = unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0)
		fallthrough
	case "plain":
		listen()
	}
	if err != nil {
		panic(err)
	}
	if l == nil {
		_, _ = os.Stdout.WriteString("none\n")
		for { // until the process is killed
			_ = unix.Pause()
		}
	}
	_, _ = os.Stdout.WriteString(l.Addr().String() + "\n")
	for { // until the process is killed
		_, _ = l.Accept()
	}
}

func becomeNobody() {
	if err := syscall.Setgroups(nil); err != nil {
		panic(err)
	}
	if err := syscall.Setgid(nobody); err != nil {
		panic(err)
	}
	if err := syscall.Setuid(nobody); err != nil {
		panic(err)
	}
}
