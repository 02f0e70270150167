// Package trial runs real programs in tests: it builds a program, starts it, waits for lines of its
// output, sends signals and waits for its end. Every wait has a timeout and ends with the event.
package trial

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// Bound is the timeout of each wait. It is long enough for a busy machine.
const Bound = 20 * time.Second

// Program is a program that is built once, at its first use, with the race detector if the tests
// have it. Only Path is required. A Program is safe for concurrent use.
type Program struct {
	Path  string // of the package, relative to the test's
	Plain bool   // never with the race detector, which makes the start ten times as slow

	once sync.Once
	dir  string
	err  error
}

// Main runs the tests of a package, removes the programs, and exits. The exit code is 1 if a test
// failed or left a goroutine. Call it in TestMain.
func Main(m *testing.M, programs ...*Program) {
	code := m.Run()
	for _, p := range programs {
		p.remove()
	}
	if err := goleak.Find(); err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// remove removes the binary.
func (p *Program) remove() {
	if p.dir != "" {
		_ = os.RemoveAll(p.dir)
	}
}

// Command returns a command with the environment env and an empty working directory. Both can be
// changed before Start.
func (p *Program) Command(t testing.TB, env ...string) *exec.Cmd {
	t.Helper()
	p.once.Do(p.build)
	if p.err != nil {
		t.Fatal(p.err)
	}
	cmd := exec.Command(filepath.Join(p.dir, "program"))
	// The race detector's exit waits a second for reports of other goroutines.
	cmd.Env = append([]string{"GORACE=atexit_sleep_ms=0"}, env...)
	cmd.Dir = t.TempDir()
	return cmd
}

// Run starts the command that Command returns.
func (p *Program) Run(t testing.TB, env ...string) *Process {
	t.Helper()
	return Start(t, p.Command(t, env...))
}

// RunWithFile is like Run, with a file in the working directory of the command.
func (p *Program) RunWithFile(t testing.TB, name, content string, env ...string) *Process {
	t.Helper()
	cmd := p.Command(t, env...)
	if err := os.WriteFile(filepath.Join(cmd.Dir, name), []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return Start(t, cmd)
}

// CheckArguments runs the program with arguments, and checks its exit code and that a line of its
// output contains want.
func (p *Program) CheckArguments(t testing.TB, args []string, code int, want string) {
	t.Helper()
	cmd := p.Command(t)
	cmd.Args = append(cmd.Args, args...)
	running := Start(t, cmd)
	running.Await(want)
	if got := running.Exit(); got != code {
		t.Errorf("exit code %d with arguments %q, want %d", got, args, code)
	}
}

func (p *Program) build() {
	if p.dir, p.err = os.MkdirTemp("", "trial"); p.err != nil {
		return
	}
	if p.err = p.touch(); p.err != nil {
		return
	}
	args, cgo := []string{"build", "-o", filepath.Join(p.dir, "program"), "-ldflags",
		"-X main.version=1.2.3-trial"}, "CGO_ENABLED=0"
	if race && !p.Plain {
		args, cgo = append(args, "-race"), "CGO_ENABLED=1"
	}
	build := exec.Command("go", append(args, p.Path)...)
	build.Env = append(os.Environ(), cgo)
	if output, err := build.CombinedOutput(); err != nil {
		p.err = fmt.Errorf("cannot build %s: %w\n%s", p.Path, err, output)
	}
}

// touch calls stat for each source file of the program. go test caches the result of a test until a
// file changes that the test was built from or has accessed, and would ignore the program
// otherwise.
func (p *Program) touch() error {
	list := exec.Command("go", "list", "-deps", "-f",
		`{{if not .Standard}}{{$dir := .Dir}}{{range `+
			`.GoFiles}}{{$dir}}/{{.}}{{"\n"}}{{end}}{{end}}`, p.Path)
	output, err := list.Output()
	if err != nil {
		return fmt.Errorf("cannot list the sources of %s: %w", p.Path, err)
	}
	for name := range strings.Lines(string(output)) {
		if name = strings.TrimSpace(name); name == "" {
			continue
		}
		if _, err := os.Stat(name); err != nil {
			return fmt.Errorf("cannot stat a source of %s: %w", p.Path, err)
		}
	}
	return nil
}

// Process is a running program. One goroutine may use it.
type Process struct {
	*exec.Cmd
	t      testing.TB
	lines  lines
	next   int           // the index of the next line for Await
	ended  chan struct{} // closed once it was waited for
	waited error
}

// Start starts cmd and collects the lines of its standard output and error. It kills the process at
// the end of the test.
func Start(t testing.TB, cmd *exec.Cmd) *Process {
	t.Helper()
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stdout, cmd.Stderr = write, write
	err = cmd.Start()
	_ = write.Close()
	if err != nil {
		_ = read.Close()
		t.Fatalf("cannot start the program: %v", err)
	}
	p := &Process{Cmd: cmd, t: t, ended: make(chan struct{})}
	p.lines.more = make(chan struct{})
	go func() {
		p.lines.readAll(read)
		_ = read.Close()
		p.waited = cmd.Wait()
		close(p.ended)
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-p.ended
	})
	return p
}

// Await waits for the next line that contains all texts and returns it. The next call continues
// after that line. Await fails the test if there is no such line.
func (p *Process) Await(texts ...string) string {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), Bound)
	defer cancel()
	for {
		line, ok := p.lines.at(ctx, p.next)
		if !ok {
			p.t.Fatalf("no line with %.300q; the output:\n%s", texts, p.Output())
		}
		p.next++
		if !slices.ContainsFunc(texts, func(text string) bool {
			return !strings.Contains(line, text)
		}) {
			return line
		}
	}
}

// ExpectConfigFaults checks that the program exits with code 2 and logs one line about the
// configuration for each of want, with this text.
func (p *Process) ExpectConfigFaults(want ...string) {
	p.t.Helper()
	for _, text := range want {
		p.Await("action: config | result: fail | error: ", text)
	}
	p.Await("action: exit | result: fail")
	if code := p.Exit(); code != 2 {
		p.t.Errorf("exit code %d, want 2", code)
	}
	if n := p.Count("action: config"); n != len(want) {
		p.t.Errorf("%d lines about the configuration, want %d; the output:\n%s", n, len(want),
			p.Output())
	}
}

// Signal sends a signal.
func (p *Process) Signal(sig syscall.Signal) {
	p.t.Helper()
	if err := p.Process.Signal(sig); err != nil {
		p.t.Errorf("cannot send %v: %v", sig, err)
	}
}

// Exit waits for the end of the process, checks each line with Check and returns the exit code, or
// the negative number of the signal that killed it.
func (p *Process) Exit() int {
	p.t.Helper()
	select {
	case <-p.ended:
	case <-time.After(Bound):
		p.t.Fatalf("still running; the output:\n%s", p.Output())
	}
	for _, line := range p.Lines() {
		if err := Check(line); err != nil {
			p.t.Errorf("%v: %.300q", err, line)
		}
	}
	var exit *exec.ExitError
	if p.waited != nil && !errors.As(p.waited, &exit) {
		p.t.Fatal(p.waited)
	}
	if status := p.ProcessState.Sys().(syscall.WaitStatus); status.Signaled() {
		return -int(status.Signal())
	}
	return p.ProcessState.ExitCode()
}

// Lines returns the lines so far, and all lines after Exit.
func (p *Process) Lines() []string { return p.lines.all() }

// Output returns the lines as one text, each cut to 300 bytes.
func (p *Process) Output() string {
	var b strings.Builder
	for _, line := range p.Lines() {
		fmt.Fprintf(&b, "%.300s\n", line)
	}
	return b.String()
}

// Count returns the number of lines that contain all texts.
func (p *Process) Count(texts ...string) (n int) {
	for _, line := range p.Lines() {
		if !slices.ContainsFunc(texts, func(text string) bool {
			return !strings.Contains(line, text)
		}) {
			n++
		}
	}
	return n
}

// lines collects lines while other goroutines wait for them.
type lines struct {
	mutex sync.Mutex
	list  []string
	done  bool
	more  chan struct{} // closed and replaced with every change
}

func (l *lines) readAll(from io.Reader) {
	reader := bufio.NewReader(from)
	for {
		line, err := reader.ReadString('\n')
		l.mutex.Lock()
		if line != "" {
			l.list = append(l.list, strings.TrimSuffix(line, "\n"))
		}
		l.done = err != nil
		close(l.more)
		l.more = make(chan struct{})
		l.mutex.Unlock()
		if err != nil {
			return
		}
	}
}

// at waits for line i. It returns false if the output or ctx ends first.
func (l *lines) at(ctx context.Context, i int) (string, bool) {
	for {
		l.mutex.Lock()
		list, done, more := l.list, l.done, l.more
		l.mutex.Unlock()
		if i < len(list) {
			return list[i], true
		}
		if done {
			return "", false
		}
		select {
		case <-more:
		case <-ctx.Done():
			return "", false
		}
	}
}

func (l *lines) all() []string {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	return slices.Clone(l.list)
}
