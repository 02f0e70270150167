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

	"tp0/supervisor/fixture/attacker"
)

// TestMain also runs the processes of the tests: RELAY_TEST_ROLE selects one.
func TestMain(m *testing.M) {
	attacker.Run()
	if role := os.Getenv("RELAY_TEST_ROLE"); role != "" {
		play, ok := roles[role]
		if !ok {
			fmt.Fprintln(os.Stderr, "unknown role", role)
			os.Exit(2)
		}
		os.Exit(play(os.Args[1:]))
	}
	// Open the descriptors of the runtime's poller before any test counts descriptors.
	r, w, err := os.Pipe()
	if err != nil {
		panic(err)
	}
	r.Close()
	w.Close()
	goleak.VerifyTestMain(m)
}

// environ returns the environment of a role. Without GORACE the race detector delays each exit by a
// second.
func environ(role string) []string {
	return append(os.Environ(), "RELAY_TEST_ROLE="+role, "GORACE=atexit_sleep_ms=0")
}

var roles = map[string]func(args []string) int{
	"lines":       playLines,
	"flood":       playFlood,
	"parent":      playParent,
	"keep-stdout": keepStdoutOpen,
	"relay":       playRelay,
}

const lineWidth = 100 // bytes, newline included

// playLines prints args[0] numbered lines with the mark args[2] on the descriptor args[1].
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

// increment adds one to the eight digits of a numbered line.
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

// playParent starts keepStdoutOpen, which inherits everything, and exits.
func playParent([]string) int {
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = environ("keep-stdout")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	if err := cmd.Start(); err != nil {
		return 1
	}
	fmt.Println("the parent is done")
	return 0
}

// keepStdoutOpen keeps its standard output open until EOF on its standard input.
func keepStdoutOpen([]string) int {
	fmt.Print("keep-stdout runs")
	io.Copy(io.Discard, os.Stdin)
	return 0
}

// playRelay relays lines to broken standard streams. It exits with 7 if it survives and the losses
// were reported.
func playRelay(args []string) int {
	if args[0] == "notify" {
		signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
	}
	var mu sync.Mutex
	reasons := map[string]string{}
	h := NewRelay(Options{Stdout: os.Stdout, Stderr: os.Stderr, FDs: noLedger{},
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

type noLedger struct{}

func (l noLedger) OpenedInternal(fd int, kind, target string) {
	l.Opened(fd, kind, target)
}

func (noLedger) Opened(int, string, string)             {}
func (noLedger) Close(fd int, close func() error) error { return close() }

// ledger checks that each descriptor that is opened is closed exactly once.
type ledger struct {
	t    *testing.T
	mu   sync.Mutex
	open map[int]string
	ever []string
}

func newLedger(t *testing.T) *ledger { return &ledger{t: t, open: map[int]string{}} }

func (b *ledger) OpenedInternal(fd int, kind, target string) {
	b.Opened(fd, kind, target)
}

func (b *ledger) Opened(fd int, kind, target string) {
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

func (b *ledger) Close(fd int, close func() error) error {
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

func (b *ledger) has(entry string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, e := range b.open {
		if e == entry {
			return true
		}
	}
	return false
}

// descriptors returns the numbers and targets of the open descriptors of this process.
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

// drops collects the calls of Options.Dropped.
type drops struct {
	mu    sync.Mutex
	all   []drop
	first chan struct{} // closed by the first call
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

// A testRelay is a relay whose standard streams are pipes.
type testRelay struct {
	*Relay
	t        *testing.T
	ledger   *ledger
	drops    *drops
	out, log *os.File // the read ends of the standard streams
	ours     []*os.File
	before   string
	closed   bool
}

// newTestRelay returns a relay with blocking pipes (as a shell opens them) or non-blocking ones (as
// os.Pipe does). At the end of the test the relay is closed, and no descriptor may be left open.
func newTestRelay(t *testing.T, blocking bool) *testRelay {
	t.Helper()
	s := &testRelay{t: t, ledger: newLedger(t), drops: &drops{first: make(chan struct{})},
		before: descriptors(t)}
	var ends [2]*os.File
	for i := range ends {
		var p [2]int
		if err := unix.Pipe2(p[:], unix.O_CLOEXEC); err != nil {
			t.Fatal(err)
		}
		for j, fd := range p {
			if j == 0 || !blocking { // the end of the test is always polled
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
	s.Relay = NewRelay(Options{Stdout: ends[0], Stderr: ends[1], FDs: s.ledger,
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
		if len(s.ledger.open) != 0 {
			t.Errorf("still in the ledger: %v", s.ledger.open)
		}
	})
	return s
}

// shut closes the relay and its ends of the pipes, so that readers get EOF.
func (s *testRelay) shut() {
	s.t.Helper()
	s.closed = true
	if err := s.Close(within(s.t, 10*time.Second)); err != nil {
		s.t.Errorf("cannot close the relay: %v", err)
	}
	s.ours[1].Close()
	s.ours[3].Close()
}

func within(t *testing.T, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	t.Cleanup(cancel)
	return ctx
}

func (s *testRelay) prepare(spec Spec) *ChildOutput {
	s.t.Helper()
	r, err := s.Prepare(spec)
	if err != nil {
		s.t.Fatal(err)
	}
	return r
}

// started prepares and starts an output whose writers are the test itself.
func (s *testRelay) started(spec Spec) (*ChildOutput, *os.File, *os.File) {
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

// spawn starts the test binary in a role with the descriptors of r, and returns a function that
// waits for its exit code.
func (s *testRelay) spawn(r *ChildOutput, role string, stdin *os.File,
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

// reading reads f until EOF in a goroutine. The result waits for it.
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
		t.Fatal("the output has not ended")
	}
}

// waitQuiet waits until the streams of r have read their pipes and wait for more.
func waitQuiet(t *testing.T, r *ChildOutput) {
	t.Helper()
	end := time.Now().Add(10 * time.Second)
	for _, st := range r.streams {
		for !quiet(t, st) {
			if time.Now().After(end) {
				t.Fatalf("a stream does not wait for its pipe")
			}
			runtime.Gosched()
		}
	}
}

func quiet(t *testing.T, st *stream) bool {
	t.Helper()
	left, err := unix.IoctlGetInt(st.fd, unix.TIOCINQ)
	if err != nil {
		t.Fatal(err)
	}
	st.mu.Lock()
	defer st.mu.Unlock()
	return left == 0 && !st.held
}
