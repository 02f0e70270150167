package output

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"
)

// The test binary plays the processes of the tests, too: RELAY_TEST_ROLE says
// which.
func TestMain(m *testing.M) {
	if role := os.Getenv("RELAY_TEST_ROLE"); role != "" {
		play, ok := roles[role]
		if !ok {
			fmt.Fprintln(os.Stderr, "unknown role", role)
			os.Exit(2)
		}
		os.Exit(play(os.Args[1:]))
	}
	// The poller's own descriptors are there before anything is counted.
	r, w, err := os.Pipe()
	if err != nil {
		panic(err)
	}
	r.Close()
	w.Close()
	goleak.VerifyTestMain(m)
}

// environ makes a role of the test binary. The race detector would let each
// process sleep for a second as it exits.
func environ(role string) []string {
	return append(os.Environ(), "RELAY_TEST_ROLE="+role, "GORACE=atexit_sleep_ms=0")
}

var roles = map[string]func(args []string) int{
	"lines":  playLines,
	"flood":  playFlood,
	"parent": playParent,
	"holder": playHolder,
	"relay":  playRelay,
}

const lineWidth = 100 // with its newline

// playLines prints args[0] numbered lines on the descriptor args[1], marked
// with args[2].
func playLines(args []string) int {
	n, _ := strconv.Atoi(args[0])
	fd, _ := strconv.Atoi(args[1])
	out := bufio.NewWriterSize(os.NewFile(uintptr(fd), "out"), 32<<10)
	line := numbered(args[2], 0)
	for range n {
		out.Write(line)
		increment(line[len(args[2])+1:])
	}
	if out.Flush() != nil {
		return 1
	}
	return 0
}

// increment adds one to the number of a line as numbered prints it.
func increment(digits []byte) {
	for i := 7; ; i-- {
		if digits[i]++; digits[i] <= '9' {
			return
		}
		digits[i] = '0'
	}
}

func numbered(mark string, i int) []byte {
	return fmt.Appendf(nil, "%s %08d %s\n", mark, i, strings.Repeat("x", lineWidth-len(mark)-11))
}

// playParent starts a holder that inherits everything, and exits.
func playParent([]string) int {
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = environ("holder")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	if err := cmd.Start(); err != nil {
		return 1
	}
	fmt.Println("the parent is done")
	return 0
}

// playHolder holds its standard output until its input ends.
func playHolder([]string) int {
	fmt.Print("the holder holds")
	io.Copy(io.Discard, os.Stdin)
	return 0
}

// playRelay is a small supervisor whose output is broken. It exits with 7 if
// it lives on and has counted that.
func playRelay(args []string) int {
	if args[0] == "notify" {
		signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
	}
	var mu sync.Mutex
	reasons := map[string]string{}
	h := NewRelay(Options{Stdout: os.Stdout, Stderr: os.Stderr, FDs: nobody{},
		Dropped: func(dest string, _, _ uint64, reason string) {
			mu.Lock()
			defer mu.Unlock()
			reasons[dest] = reason
		}})
	r, err := h.Prepare(Spec{Instance: "a", Format: "text", Stdout: "stdout", Stderr: "stderr"})
	if err != nil {
		return 1
	}
	out, log := r.ChildFiles()
	unix.Write(out, []byte("one\n"))
	unix.Write(log, []byte("two\n"))
	r.Started()
	<-r.Done()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if h.Close(ctx) != nil {
		return 2
	}
	mu.Lock()
	defer mu.Unlock()
	if reasons["stdout"] != "broken pipe" || reasons["stderr"] != "broken pipe" {
		return 3
	}
	return 7
}

type nobody struct{}

func (nobody) Opened(int, string, string)             {}
func (nobody) Close(fd int, close func() error) error { return close() }

// books checks that what is opened is closed once.
type books struct {
	t    *testing.T
	mu   sync.Mutex
	open map[int]string
	ever []string
}

func newBooks(t *testing.T) *books { return &books{t: t, open: map[int]string{}} }

func (b *books) Opened(fd int, kind, target string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if old, ok := b.open[fd]; ok {
		b.t.Errorf("descriptor %d was opened as %q and again as %q", fd, old, target)
	}
	if _, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err != nil {
		b.t.Errorf("descriptor %d (%s) is not open: %v", fd, target, err)
	}
	b.open[fd] = kind + " " + target
	b.ever = append(b.ever, kind+" "+target)
}

func (b *books) Close(fd int, close func() error) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if _, ok := b.open[fd]; !ok {
		b.t.Errorf("descriptor %d is closed and was not open", fd)
	}
	delete(b.open, fd)
	err := close()
	if err != nil {
		b.t.Errorf("close of %d: %v", fd, err)
	}
	return err
}

func (b *books) has(entry string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, e := range b.open {
		if e == entry {
			return true
		}
	}
	return false
}

// descriptors lists what this process has open, as number and target.
func descriptors(t *testing.T) string {
	t.Helper()
	dir, err := os.Open("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	if err != nil {
		t.Fatal(err)
	}
	open := map[int]string{}
	for _, name := range names {
		fd, _ := strconv.Atoi(name)
		if target, err := os.Readlink("/proc/self/fd/" + name); err == nil &&
			!strings.HasPrefix(target, "/proc/") {
			open[fd] = target
		}
	}
	return fmt.Sprint(open) // sorted by key
}

// drops collects what Options.Dropped is told.
type drops struct {
	mu    sync.Mutex
	all   []drop
	first chan struct{} // closed at the first
}

type drop struct {
	dest         string
	lines, bytes uint64
	reason       string
}

func (d *drops) add(dest string, lines, bytes uint64, reason string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.all) == 0 {
		close(d.first)
	}
	d.all = append(d.all, drop{dest, lines, bytes, reason})
}

func (d *drops) sum() (lines, bytes uint64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, x := range d.all {
		lines += x.lines
		bytes += x.bytes
	}
	return lines, bytes
}

func (d *drops) list() []drop {
	d.mu.Lock()
	defer d.mu.Unlock()
	return append([]drop(nil), d.all...)
}

// A stage is a hub between real pipes.
type stage struct {
	*Relay
	t        *testing.T
	books    *books
	drops    *drops
	out, log *os.File // where its standard streams can be read
	ours     []*os.File
	before   string
	closed   bool
}

// newStage makes a hub whose streams are pipes, non-blocking (as os.Pipe makes
// them) or blocking (as a shell does). At the end of the test it is closed and
// must have left nothing.
func newStage(t *testing.T, blocking bool) *stage {
	t.Helper()
	s := &stage{t: t, books: newBooks(t), drops: &drops{first: make(chan struct{})},
		before: descriptors(t)}
	var ends [2]*os.File
	for i := range ends {
		var p [2]int
		if err := unix.Pipe2(p[:], unix.O_CLOEXEC); err != nil {
			t.Fatal(err)
		}
		for j, fd := range p {
			if j == 0 || !blocking { // the test's end is always polled
				if err := unix.SetNonblock(fd, true); err != nil {
					t.Fatal(err)
				}
			}
		}
		r, w := os.NewFile(uintptr(p[0]), "reader"), os.NewFile(uintptr(p[1]), "writer")
		if i == 0 {
			s.out = r
		} else {
			s.log = r
		}
		ends[i] = w
		s.ours = append(s.ours, r, w)
	}
	s.Relay = NewRelay(Options{Stdout: ends[0], Stderr: ends[1], FDs: s.books,
		Dropped: s.drops.add})
	t.Cleanup(func() {
		if !s.closed {
			s.shut()
		}
		for _, f := range s.ours {
			f.Close()
		}
		if after := descriptors(t); after != s.before {
			t.Errorf("descriptors before and after:\n%s\n%s", s.before, after)
		}
		if len(s.books.open) != 0 {
			t.Errorf("the books still have %v", s.books.open)
		}
	})
	return s
}

// shut closes the hub, and its ends of the standard pipes, so that readers see
// EOF.
func (s *stage) shut() {
	s.t.Helper()
	s.closed = true
	if err := s.Close(within(s.t, 10*time.Second)); err != nil {
		s.t.Errorf("close of the hub: %v", err)
	}
	s.ours[1].Close()
	s.ours[3].Close()
}

func within(t *testing.T, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	t.Cleanup(cancel)
	return ctx
}

func (s *stage) prepare(spec Spec) *ChildOutput {
	s.t.Helper()
	r, err := s.Prepare(spec)
	if err != nil {
		s.t.Fatal(err)
	}
	return r
}

// started prepares a run and keeps the child's ends for the test itself.
func (s *stage) started(spec Spec) (*ChildOutput, *os.File, *os.File) {
	s.t.Helper()
	r := s.prepare(spec)
	out, log := r.ChildFiles()
	a, b := duplicate(s.t, out), duplicate(s.t, log)
	r.Started()
	s.ours = append(s.ours, a, b)
	return r, a, b
}

func duplicate(t *testing.T, fd int) *os.File {
	t.Helper()
	n, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 3)
	if err != nil {
		t.Fatal(err)
	}
	return os.NewFile(uintptr(n), "child's end")
}

// spawn starts the test binary in a role with the descriptors of r, and returns
// a function that waits for its exit code.
func (s *stage) spawn(r *ChildOutput, role string, stdin *os.File,
	args ...string) (wait func() int) {
	s.t.Helper()
	out, log := r.ChildFiles()
	in, err := os.Open(os.DevNull)
	if err != nil {
		s.t.Fatal(err)
	}
	defer in.Close()
	if stdin == nil {
		stdin = in
	}
	pid, err := syscall.ForkExec("/proc/self/exe", append([]string{"relay.test"}, args...),
		&syscall.ProcAttr{
			Env:   environ(role),
			Files: []uintptr{stdin.Fd(), uintptr(out), uintptr(log)},
		})
	r.Started()
	if err != nil {
		s.t.Fatal(err)
	}
	return func() int {
		var ws syscall.WaitStatus
		for {
			if _, err := syscall.Wait4(pid, &ws, 0, nil); err == nil {
				return ws.ExitStatus()
			} else if err != syscall.EINTR {
				s.t.Fatal(err)
			}
		}
	}
}

// reading collects everything from f until EOF.
func reading(f *os.File) (wait func() string) {
	var text []byte
	done := make(chan struct{})
	go func() {
		defer close(done)
		text, _ = io.ReadAll(f)
	}()
	return func() string {
		<-done
		return string(text)
	}
}

func waitDone(t *testing.T, r *ChildOutput) {
	t.Helper()
	select {
	case <-r.Done():
	case <-time.After(10 * time.Second):
		t.Fatal("the run is not done")
	}
}

// waiting counts the streams that wait for their pipes.
func waiting() (n int) {
	stacks := make([]byte, 4<<20)
	for _, g := range strings.Split(string(stacks[:runtime.Stack(stacks, true)]), "\n\n") {
		head, _, _ := strings.Cut(g, "\n")
		if strings.Contains(head, "[IO wait") && strings.Contains(g, "(*stream).read") {
			n++
		}
	}
	return n
}
