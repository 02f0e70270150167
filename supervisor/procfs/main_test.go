package procfs

import (
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"strings"
	"testing"
	"time"
	"unsafe"

	"tp0/supervisor/fixture/piped"

	"golang.org/x/sys/unix"
)

// The test binary is also the child of its tests. With PROCFS_CHILD set, it plays that role, prints
// one line when it is ready, and ends with its standard input.
func init() {
	switch os.Getenv("PROCFS_CHILD") {
	case "main-ended", "blocked-threads", "blocks-signal":
		runtime.LockOSThread() // binds the main goroutine to the main thread
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
	case "idle":
		fmt.Println("up")
	case "sets-name":
		name, err := os.OpenFile("/proc/self/comm", os.O_WRONLY, 0)
		must(err)
		_, err = name.WriteString("a) R 1 (\nb c")
		must(err)
		fmt.Println("up")
	case "handles-signals":
		signal.Notify(make(chan os.Signal, 1), unix.SIGUSR1)
		signal.Ignore(unix.SIGUSR2)
		fmt.Println("up")
	case "blocks-signal":
		var set unix.Sigset_t
		set.Val[0] = 1 << (unix.SIGUSR1 - 1)
		must(unix.PthreadSigmask(unix.SIG_BLOCK, &set, nil))
		fmt.Println("up")
	case "blocked-threads":
		blockThreads()
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

// blockedCall is a system call that blocks, and the descriptor that it is about, or -1.
type blockedCall struct {
	name string
	fd   int
	call func()
}

// blockedCalls returns system calls that block. path is a file to lock.
func blockedCalls(path string) []blockedCall {
	var p [2]int
	must(unix.Pipe2(p[:], unix.O_CLOEXEC))
	ep, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	must(err)
	in := unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(p[0])}
	must(unix.EpollCtl(ep, unix.EPOLL_CTL_ADD, p[0], &in))
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	must(err)
	var locks [2]int
	for i := range locks {
		locks[i], err = unix.Open(path, unix.O_RDONLY|unix.O_CREAT|unix.O_CLOEXEC, 0o600)
		must(err)
	}
	must(unix.Flock(locks[0], unix.LOCK_EX))
	var word uint32
	return []blockedCall{
		{"read", p[0], func() { _, _ = unix.Read(p[0], make([]byte, 1)) }},
		{"epoll_pwait", ep, func() {
			var events [1]unix.EpollEvent
			_, _, _ = unix.Syscall6(unix.SYS_EPOLL_PWAIT, uintptr(ep),
				uintptr(unsafe.Pointer(&events)), 1, ^uintptr(0), 0, 0)
		}},
		{"recvfrom", pair[0], func() { _, _, _ = unix.Recvfrom(pair[0], make([]byte, 1), 0) }},
		{"flock", locks[1], func() { _ = unix.Flock(locks[1], unix.LOCK_EX) }},
		{"ppoll", -1, func() {
			_, _ = unix.Ppoll([]unix.PollFd{{Fd: int32(p[0]), Events: unix.POLLIN}}, nil, nil)
		}},
		{"clock_nanosleep", -1, func() {
			_ = unix.ClockNanosleep(unix.CLOCK_MONOTONIC, 0, &unix.Timespec{Sec: 3600}, nil)
		}},
		{"futex", -1, func() {
			_, _, _ = unix.Syscall6(unix.SYS_FUTEX, uintptr(unsafe.Pointer(&word)), 128, 0, 0, 0, 0)
		}},
	}
}

// blockThreads has one thread in each of blockedCalls, and prints "call=tid:fd" for each.
func blockThreads() {
	var text []string
	for _, c := range blockedCalls(os.Args[len(os.Args)-1]) {
		tid := make(chan int)
		go func() {
			runtime.LockOSThread()
			name := unsafe.Pointer(unsafe.StringData("in " + c.name + "\x00"))
			_ = unix.Prctl(unix.PR_SET_NAME, uintptr(name), 0, 0, 0)
			tid <- unix.Gettid()
			c.call()
		}()
		text = append(text, fmt.Sprintf("%s=%d:%d", c.name, <-tid, c.fd))
	}
	fmt.Println(strings.Join(text, " "))
}

// start runs the test binary as a child with a role. It returns the line that the child prints.
func start(t *testing.T, role string, setup func(*exec.Cmd)) (*exec.Cmd, string) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "PROCFS_CHILD="+role)
	if setup != nil {
		setup(cmd)
	}
	_, out := piped.Start(t, cmd)
	line, err := out.ReadString('\n')
	if err != nil {
		t.Fatalf("the child printed %q: %v", line, err)
	}
	return cmd, strings.TrimSpace(line)
}

// startCat runs cat(1), a process with one thread, and returns once it has opened its libraries.
func startCat(t *testing.T) (pid int) {
	t.Helper()
	cmd := exec.Command("cat")
	in, out := piped.Start(t, cmd)
	_, _ = in.Write([]byte("x"))
	if _, err := out.ReadByte(); err != nil {
		t.Fatal(err)
	}
	return cmd.Process.Pid
}

// eventually waits until a condition holds, for ten seconds at most.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !ok(); {
		if time.Now().After(end) {
			t.Fatalf("timeout after 10s: %s", what)
		}
		runtime.Gosched()
	}
}
