package acceptance

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// limit is how long anything may take before a test gives up on it. It is far
// longer than any deadline in here.
const limit = 60 * time.Second

// entry is one line of the supervisor's log.
type entry map[string]any

func (e entry) is(message string, keys ...any) bool {
	if e["@message"] != message {
		return false
	}
	for i := 0; i+1 < len(keys); i += 2 {
		if fmt.Sprint(e[keys[i].(string)]) != fmt.Sprint(keys[i+1]) {
			return false
		}
	}
	return true
}

func (e entry) int(key string) int {
	n, _ := e[key].(float64)
	return int(n)
}

// super is a supervisor under test.
type super struct {
	t      *testing.T
	cmd    *exec.Cmd
	config string
	output *lines // of the children
	log    *lines
	pid    int
	exited chan struct{}
	read   []chan struct{} // closed once a stream is read to its end
}

// lines is a stream that is read to its end, line by line.
type lines struct {
	mu   sync.Mutex
	all  []string
	more chan struct{} // closed when there is more, and made anew
	done bool
}

func (l *lines) read(r io.Reader) {
	in := bufio.NewReader(r)
	for {
		s, err := in.ReadString('\n')
		l.mu.Lock()
		if s != "" {
			l.all = append(l.all, strings.TrimSuffix(s, "\n"))
		}
		l.done = err != nil
		close(l.more)
		l.more = make(chan struct{})
		l.mu.Unlock()
		if err != nil {
			return
		}
	}
}

func newLines() *lines { return &lines{more: make(chan struct{})} }

// from returns the first line at or after i that fits, and the index behind it.
func (l *lines) from(i int, fits func(string) bool) (string, int, error) {
	late := time.After(limit)
	for {
		l.mu.Lock()
		all, more, done := l.all, l.more, l.done
		l.mu.Unlock()
		for ; i < len(all); i++ {
			if fits(all[i]) {
				return all[i], i + 1, nil
			}
		}
		if done {
			return "", i, errors.New("the stream ended")
		}
		select {
		case <-more:
		case <-late:
			return "", i, errors.New("nothing came in time")
		}
	}
}

// count is how many there are by now.
func (l *lines) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.all)
}

// entries are the log entries of some of the lines.
func (l *lines) entries(from, to int) (all []entry) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, line := range l.all[from:to] {
		var e entry
		if json.Unmarshal([]byte(line), &e) == nil {
			all = append(all, e)
		}
	}
	return all
}

func (l *lines) text() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Join(l.all, "\n")
}

// header makes the log one that a test can read.
const header = "log_format = \"json\"\n"

// start runs a supervisor on a configuration.
func start(t *testing.T, hcl string, args ...string) *super {
	t.Helper()
	s := prepare(t, hcl, args...)
	s.launch()
	return s
}

func prepare(t *testing.T, hcl string, args ...string) *super {
	t.Helper()
	s := &super{t: t, config: filepath.Join(t.TempDir(), "supervisor.hcl"), output: newLines(), log: newLines(), exited: make(chan struct{})}
	s.write(hcl)
	s.cmd = exec.Command(filepath.Join(bin, "supervisor"), append([]string{"run", "--config", s.config}, args...)...)
	s.cmd.Env = append(os.Environ(), "PATH="+bin+":/usr/bin:/bin")
	return s
}

func (s *super) write(hcl string) {
	s.t.Helper()
	next := s.config + ".next"
	if err := os.WriteFile(next, []byte(header+hcl), 0o600); err != nil {
		s.t.Fatal(err)
	}
	if err := os.Rename(next, s.config); err != nil {
		s.t.Fatal(err)
	}
}

func (s *super) launch() {
	s.t.Helper()
	if s.cmd.Stdout == nil {
		s.cmd.Stdout = s.pipe(s.output)
	}
	if s.cmd.Stderr == nil {
		s.cmd.Stderr = s.pipe(s.log)
	}
	if err := s.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	for _, w := range []io.Writer{s.cmd.Stdout, s.cmd.Stderr} {
		w.(*os.File).Close()
	}
	s.pid = s.cmd.Process.Pid
	go func() {
		_ = s.cmd.Wait()
		close(s.exited)
	}()
	s.t.Cleanup(func() {
		_ = s.cmd.Process.Kill()
		<-s.exited
		if s.t.Failed() {
			s.t.Logf("log:\n%s\noutput:\n%.4000s", s.log.text(), s.output.text())
		}
	})
}

// pipe returns the end to write to; what comes is read into l.
func (s *super) pipe(l *lines) *os.File {
	r, w, err := os.Pipe()
	if err != nil {
		s.t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		l.read(r)
		close(done)
	}()
	s.read = append(s.read, done)
	s.t.Cleanup(func() {
		_ = r.SetReadDeadline(time.Now().Add(time.Second)) // a process that survived may hold it
		<-done
		r.Close()
	})
	return w
}

// wait returns the next log entry after the index that fits.
func (s *super) waitFrom(i int, message string, keys ...any) (entry, int) {
	s.t.Helper()
	var e entry
	_, next, err := s.log.from(i, func(line string) bool {
		e = nil
		return json.Unmarshal([]byte(line), &e) == nil && e.is(message, keys...)
	})
	if err != nil {
		s.t.Fatalf("no log entry %q %v: %v", message, keys, err)
	}
	return e, next
}

func (s *super) wait(message string, keys ...any) entry {
	s.t.Helper()
	e, _ := s.waitFrom(0, message, keys...)
	return e
}

// count says how many log entries fit.
func (s *super) count(message string, keys ...any) (n int) {
	for line := range strings.SplitSeq(s.log.text(), "\n") {
		var e entry
		if json.Unmarshal([]byte(line), &e) == nil && e.is(message, keys...) {
			n++
		}
	}
	return n
}

func (s *super) prints(text string) {
	s.t.Helper()
	if _, _, err := s.output.from(0, func(line string) bool { return strings.Contains(line, text) }); err != nil {
		s.t.Fatalf("no line with %q: %v", text, err)
	}
}

func (s *super) signal(sig syscall.Signal) {
	s.t.Helper()
	if err := s.cmd.Process.Signal(sig); err != nil {
		s.t.Fatal(err)
	}
}

// code waits for the end, of its streams too, and returns the exit code.
func (s *super) code() int {
	s.t.Helper()
	late := time.After(limit)
	for _, ended := range append(s.read, s.exited) {
		select {
		case <-ended:
		case <-late:
			s.t.Fatal("it does not end")
		}
	}
	return s.cmd.ProcessState.ExitCode()
}

// ends waits for the end and checks what must hold of each: the exit code, the
// last line of the log, and books that balance.
func (s *super) ends(code int, verdict string) entry {
	s.t.Helper()
	if got := s.code(); got != code {
		s.t.Errorf("exit code %d, want %d", got, code)
	}
	e := s.wait("shutdown complete")
	all := strings.Split(strings.TrimSpace(s.log.text()), "\n")
	if last := all[len(all)-1]; !strings.Contains(last, `"shutdown complete"`) {
		s.t.Errorf("the last line is %s", last)
	}
	if e["verdict"] != verdict {
		s.t.Errorf("verdict %v, want %s", e["verdict"], verdict)
	}
	if e.int("spawned") != e.int("reaped") || e.int("fds_opened") != e.int("fds_closed") {
		s.t.Errorf("the books do not balance: %v", e)
	}
	if n := s.count("child reaped"); n != e.int("reaped") {
		s.t.Errorf("%d runs reaped, %d lines say so", e.int("reaped"), n)
	}
	if n := s.count("fd closed", "owner", "supervisor"); n != e.int("fds_closed") {
		s.t.Errorf("%d descriptors closed, %d lines say so", e.int("fds_closed"), n)
	}
	if n := s.count("internal fault"); n > 0 {
		s.t.Errorf("%d internal faults", n)
	}
	return e
}

// free returns a TCP port that nobody uses.
func free(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	return port
}

// fixture is a child block that runs one of the fixtures.
func fixture(name, program, more string) string {
	words := strings.Fields(program)
	return fmt.Sprintf("child %q {\n  command = \"fixture\"\n  args = [%s]\n%s\n}\n", name, `"`+strings.Join(words, `", "`)+`"`, more)
}
