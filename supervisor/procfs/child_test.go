package procfs

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The test binary is its own children: with PROCFS_CHILD set it does what that
// says, tells it in one line, and lives until its standard input ends.
func init() {
	switch os.Getenv("PROCFS_CHILD") {
	case "main-ended", "waits", "blocks":
		runtime.LockOSThread() // the main goroutine to the main thread
	}
}

func TestMain(m *testing.M) {
	switch os.Getenv("PROCFS_CHILD") {
	case "":
		os.Exit(m.Run())
	case "main-ended":
		go func() {
			listen()
			wait()
		}()
		_, _, _ = unix.Syscall(unix.SYS_EXIT, 0, 0, 0)
	case "listen":
		listen()
	case "hold":
		fmt.Println("up")
	case "name":
		name, err := os.OpenFile("/proc/self/comm", os.O_WRONLY, 0)
		must(err)
		_, err = name.WriteString("a) R 1 (\nb c")
		must(err)
		fmt.Println("up")
	case "signals":
		signal.Notify(make(chan os.Signal, 1), unix.SIGUSR1)
		signal.Ignore(unix.SIGUSR2)
		fmt.Println("up")
	case "blocks":
		var set unix.Sigset_t
		set.Val[0] = 1 << (unix.SIGUSR1 - 1)
		must(unix.PthreadSigmask(unix.SIG_BLOCK, &set, nil))
		fmt.Println("up")
	case "waits":
		waits()
	}
	wait()
}

func must(err error) {
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
}

func wait() {
	_, _ = io.Copy(io.Discard, os.Stdin)
	os.Exit(0)
}

func listen() {
	l, err := net.Listen("tcp4", "0.0.0.0:0")
	must(err)
	f, err := l.(*net.TCPListener).File()
	must(err)
	fmt.Printf("%d %s\n", f.Fd(), l.Addr())
}

// waits has a thread in each of some calls, and prints "call=tid:fd" of each.
func waits() {
	var p [2]int
	must(unix.Pipe2(p[:], unix.O_CLOEXEC))
	ep, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	must(err)
	must(unix.EpollCtl(ep, unix.EPOLL_CTL_ADD, p[0], &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(p[0])}))
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	must(err)
	var locks [2]int
	for i := range locks {
		locks[i], err = unix.Open(os.Args[len(os.Args)-1], unix.O_RDONLY|unix.O_CREAT|unix.O_CLOEXEC, 0o600)
		must(err)
	}
	must(unix.Flock(locks[0], unix.LOCK_EX))
	var word uint32
	var text []string
	for _, w := range []struct {
		name string
		fd   int
		call func()
	}{
		{"read", p[0], func() { _, _ = unix.Read(p[0], make([]byte, 1)) }},
		{"epoll_pwait", ep, func() {
			var events [1]unix.EpollEvent
			_, _, _ = unix.Syscall6(unix.SYS_EPOLL_PWAIT, uintptr(ep), uintptr(unsafe.Pointer(&events)), 1, ^uintptr(0), 0, 0)
		}},
		{"recvfrom", pair[0], func() { _, _, _ = unix.Recvfrom(pair[0], make([]byte, 1), 0) }},
		{"flock", locks[1], func() { _ = unix.Flock(locks[1], unix.LOCK_EX) }},
		{"ppoll", -1, func() { _, _ = unix.Ppoll([]unix.PollFd{{Fd: int32(p[0]), Events: unix.POLLIN}}, nil, nil) }},
		{"clock_nanosleep", -1, func() {
			_ = unix.ClockNanosleep(unix.CLOCK_MONOTONIC, 0, &unix.Timespec{Sec: 3600}, nil)
		}},
		{"futex", -1, func() { _, _, _ = unix.Syscall6(unix.SYS_FUTEX, uintptr(unsafe.Pointer(&word)), 128, 0, 0, 0, 0) }},
	} {
		tid := make(chan int)
		go func() {
			runtime.LockOSThread()
			_ = unix.Prctl(unix.PR_SET_NAME, uintptr(unsafe.Pointer(unsafe.StringData("in "+w.name+"\x00"))), 0, 0, 0)
			tid <- unix.Gettid()
			w.call()
		}()
		text = append(text, fmt.Sprintf("%s=%d:%d", w.name, <-tid, w.fd))
	}
	fmt.Println(strings.Join(text, " "))
}

// start runs the test binary as a child and returns what it said.
func start(t *testing.T, what string, setup func(*exec.Cmd)) (*exec.Cmd, string) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "PROCFS_CHILD="+what)
	cmd.Stderr = os.Stderr
	if setup != nil {
		setup(cmd)
	}
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	bound := time.AfterFunc(time.Minute, func() { _ = cmd.Process.Kill() })
	t.Cleanup(func() {
		in.Close()
		_ = cmd.Process.Signal(syscall.SIGKILL)
		_ = cmd.Wait()
		bound.Stop()
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatalf("the child says %q: %v", line, err)
	}
	return cmd, strings.TrimSpace(line)
}

// eventually looks again until ok, for ten seconds at most.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !ok(); {
		if time.Now().After(end) {
			t.Fatalf("%s: not in ten seconds", what)
		}
		runtime.Gosched()
	}
}
