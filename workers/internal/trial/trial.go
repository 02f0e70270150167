// Package trial drives real programs in tests: it builds one, starts it, waits for lines of its
// output, signals it and waits for its end. Everything waits with a bound, and no longer than for
// the event itself.
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
)

// Bound is how long any one wait may last. It is for a busy machine: a wait that comes near it has
// failed.
const Bound = 20 * time.Second

// Program is a program that is built once, when it is first needed, with the race detector if the
// tests have it too. Only Path has to be set. It may be used by many tests at once.
type Program struct {
	Path  string // of the package, relative to the test's
	Plain bool   // never with the race detector, which makes the start ten times as slow

	once sync.Once
	dir  string
	err  error
}

// Remove removes what was built. It is for the end of TestMain.
func (p *Program) Remove() {
	if p.dir != "" {
		_ = os.RemoveAll(p.dir)
	}
}

// Command prepares the program with nothing in its environment but env, in an empty folder that is
// its working directory. Both can be changed before Start.
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

// Run is Start of Command.
func (p *Program) Run(t testing.TB, env ...string) *Process {
	t.Helper()
	return Start(t, p.Command(t, env...))
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

// touch looks at each source of the program. It is for the cache of go test, which takes the result
// of the last time unless something changed that the test itself is made of or has looked at: the
// program would not count.
func (p *Program) touch() error {
	list := exec.Command("go", "list", "-deps", "-f",
		`{{if not .Standard}}{{$dir := .Dir}}{{range .GoFiles}}{{$dir}}/{{.}}{{"\n"}}{{end}}{{end}}`, p.Path)
	output, err := list.Output()
	if err != nil {
		return fmt.Errorf("cannot list the sources of %s: %w", p.Path, err)
	}
	for name := range strings.Lines(string(output)) {
		if name = strings.TrimSpace(name); name == "" {
			continue
		}
		if _, err := os.Stat(name); err != nil {
			return fmt.Errorf("cannot look at a source of %s: %w", p.Path, err)
		}
	}
	return nil
}

// Process is a program that runs. Its methods are for one goroutine.
type Process struct {
	*exec.Cmd
	t      testing.TB
	lines  lines
	next   int           // the first line that Await has not passed yet
	ended  chan struct{} // closed once it was waited for
	waited error
}

// Start starts cmd, whose standard output and error become the lines. When the test ends and it
// still runs, it is killed.
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

// Await returns the next line that has all the texts in it, and passes it and those before it. The
// test ends if there is none.
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

// Signal sends a signal.
func (p *Process) Signal(sig syscall.Signal) {
	p.t.Helper()
	if err := p.Process.Signal(sig); err != nil {
		p.t.Errorf("cannot send %v: %v", sig, err)
	}
}

// Exit waits for the end and returns the exit code, or minus the signal that killed it. It then
// checks each line as Check does.
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

// Lines are the lines until now; after Exit they are all.
func (p *Process) Lines() []string { return p.lines.all() }

// Output is the same as one text to be shown, its very long lines cut.
func (p *Process) Output() string {
	var b strings.Builder
	for _, line := range p.Lines() {
		fmt.Fprintf(&b, "%.300s\n", line)
	}
	return b.String()
}

// Count is how many of the lines have all the texts in them.
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

// lines grow at the end while others wait for more.
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

// at waits for the line i; false if there will be none, or ctx is done.
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
