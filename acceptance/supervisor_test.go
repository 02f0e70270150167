package acceptance

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// limit is how long a test waits for one event. It is longer than any deadline of the tests.
const limit = 60 * time.Second

// entry is one line of the supervisor's log.
type entry map[string]any

// matches reports whether e has the message and the values: keys has a key before each value.
func (e entry) matches(message string, keys ...any) bool {
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

// expect checks values of e: keys has a key before each wanted value.
func (e entry) expect(t *testing.T, keys ...any) {
	t.Helper()
	for i := 0; i+1 < len(keys); i += 2 {
		key := keys[i].(string)
		if got, want := fmt.Sprint(e[key]), fmt.Sprint(keys[i+1]); got != want {
			t.Errorf("%s: %s is %s, want %s in %v", e["@message"], key, got, want, e)
		}
	}
}

// int returns a number of e, 0 if it has none.
func (e entry) int(key string) int {
	n, _ := e[key].(float64)
	return int(n)
}

// supervisor is a supervisor under test.
type supervisor struct {
	t           *testing.T
	cmd         *exec.Cmd
	config      string
	output      *lines // of the children
	log         *lines
	pid         int
	exited      chan struct{}
	streamsRead []chan struct{} // closed once a stream is read to its end
}

// lines reads a stream to its end, line by line.
type lines struct {
	mu      sync.Mutex
	all     []string
	changed chan struct{} // closed when there is more, and made anew
	done    bool
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
		close(l.changed)
		l.changed = make(chan struct{})
		l.mu.Unlock()
		if err != nil {
			return
		}
	}
}

func newLines() *lines { return &lines{changed: make(chan struct{})} }

// find returns the first line at or after index i for which fits returns true, and the index
// behind it.
func (l *lines) find(i int, fits func(string) bool) (string, int, error) {
	late := time.After(limit)
	for {
		l.mu.Lock()
		all, more, done := l.all, l.changed, l.done
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
			return "", i, errors.New("not in time")
		}
	}
}

// count returns the number of lines read so far. A line that is already written can be
// missing, so count is no position to search from before the test has awaited the previous
// event.
func (l *lines) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.all)
}

// entries returns the log entries of the lines from from to to.
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

// header selects a log that tests can parse.
const header = "log_format = \"json\"\n"

// withHeader puts the header before a configuration. Unless hcl has a level of its own, the log has
// every event, so that tests can count them.
func withHeader(hcl string) string {
	if strings.Contains(hcl, "log_level") {
		return header + hcl
	}
	return header + "log_level = \"debug\"\n" + hcl
}

// allFindings makes every leaked descriptor a finding.
const allFindings = "shutdown { findings = \"all\" }\n"

// start starts a supervisor with a configuration.
func start(t *testing.T, hcl string, args ...string) *supervisor {
	t.Helper()
	s := prepare(t, hcl, args...)
	s.launch()
	return s
}

func prepare(t *testing.T, hcl string, args ...string) *supervisor {
	t.Helper()
	s := &supervisor{t: t, config: filepath.Join(t.TempDir(), "supervisor.hcl"), output: newLines(),
		log: newLines(), exited: make(chan struct{})}
	s.write(hcl)
	s.cmd = exec.Command(filepath.Join(bin, "supervisor"),
		append([]string{"run", "--config", s.config}, args...)...)
	s.cmd.Env = append(os.Environ(), "PATH="+bin+":/usr/bin:/bin")
	return s
}

func (s *supervisor) write(hcl string) {
	s.t.Helper()
	next := s.config + ".next"
	if err := os.WriteFile(next, []byte(withHeader(hcl)), 0o600); err != nil {
		s.t.Fatal(err)
	}
	if err := os.Rename(next, s.config); err != nil {
		s.t.Fatal(err)
	}
}

func (s *supervisor) launch() {
	s.t.Helper()
	if s.cmd.Stdout == nil {
		s.cmd.Stdout = s.readInto(s.output)
	}
	if s.cmd.Stderr == nil {
		s.cmd.Stderr = s.readInto(s.log)
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

// pipeOutput makes standard output a pipe, and returns its read end.
func (s *supervisor) pipeOutput() *os.File {
	r, w, err := os.Pipe()
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { r.Close() })
	s.cmd.Stdout = w
	return r
}

// readInto returns a pipe to write to. Its lines are read into l.
func (s *supervisor) readInto(l *lines) *os.File {
	r, w, err := os.Pipe()
	if err != nil {
		s.t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		l.read(r)
		close(done)
	}()
	s.streamsRead = append(s.streamsRead, done)
	s.t.Cleanup(func() {
		_ = r.SetReadDeadline(time.Now().Add(time.Second)) // a process that survived may hold it
		<-done
		r.Close()
	})
	return w
}

// awaitEntryFrom returns the next matching log entry at or after index i, and the index behind
// it.
func (s *supervisor) awaitEntryFrom(i int, message string, keys ...any) (entry, int) {
	s.t.Helper()
	var e entry
	_, next, err := s.log.find(i, func(line string) bool {
		e = nil
		return json.Unmarshal([]byte(line), &e) == nil && e.matches(message, keys...)
	})
	if err != nil {
		s.t.Fatalf("no log entry %q %v: %v", message, keys, err)
	}
	return e, next
}

func (s *supervisor) awaitEntry(message string, keys ...any) entry {
	s.t.Helper()
	e, _ := s.awaitEntryFrom(0, message, keys...)
	return e
}

// count returns the number of matching log entries.
func (s *supervisor) count(message string, keys ...any) (n int) {
	for line := range strings.SplitSeq(s.log.text(), "\n") {
		var e entry
		if json.Unmarshal([]byte(line), &e) == nil && e.matches(message, keys...) {
			n++
		}
	}
	return n
}

func (s *supervisor) awaitLine(text string) {
	s.t.Helper()
	if _, _, err := s.output.find(0, func(line string) bool {
		return strings.Contains(line, text)
	}); err != nil {
		s.t.Fatalf("no line with %q: %v", text, err)
	}
}

// expectText checks that the log has a text that is not an entry. The supervisor has ended.
func (s *supervisor) expectText(text string) {
	s.t.Helper()
	if log := s.log.text(); !strings.Contains(log, text) {
		s.t.Errorf("the log has no %q:\n%s", text, log)
	}
}

func (s *supervisor) signal(sig syscall.Signal) {
	s.t.Helper()
	if err := s.cmd.Process.Signal(sig); err != nil {
		s.t.Fatal(err)
	}
}

// exitCode waits for the end of the supervisor and of its streams, and returns the exit code.
func (s *supervisor) exitCode() int {
	s.t.Helper()
	late := time.After(limit)
	for _, ended := range append(s.streamsRead, s.exited) {
		select {
		case <-ended:
		case <-late:
			s.t.Fatal("the supervisor or one of its streams does not end")
		}
	}
	return s.cmd.ProcessState.ExitCode()
}

// expectStop waits for the end and checks what must hold for each stop: the exit code, the
// last line of the log, and a balanced fd ledger.
func (s *supervisor) expectStop(code int, verdict string) entry {
	s.t.Helper()
	if got := s.exitCode(); got != code {
		s.t.Errorf("exit code %d, want %d", got, code)
	}
	e := s.awaitEntry("shutdown complete")
	all := strings.Split(strings.TrimSpace(s.log.text()), "\n")
	if last := all[len(all)-1]; !strings.Contains(last, `"shutdown complete"`) {
		s.t.Errorf("got the last line %s", last)
	}
	if e["verdict"] != verdict {
		s.t.Errorf("verdict %v, want %s", e["verdict"], verdict)
	}
	s.expectTotals(e)
	return e
}

// expectTotals checks that the totals of a complete stop are equal, and agree with the log.
func (s *supervisor) expectTotals(e entry) {
	s.t.Helper()
	if e.int("spawned") != e.int("reaped") || e.int("fds_opened") != e.int("fds_closed") {
		s.t.Errorf("got %v, want spawned = reaped and fds_opened = fds_closed", e)
	}
	if n := s.count("child reaped"); n != e.int("reaped") {
		s.t.Errorf("reaped=%d, want the %d entries \"child reaped\"", e.int("reaped"), n)
	}
	if n := s.count("fd closed", "owner", "supervisor"); n != e.int("fds_closed") {
		s.t.Errorf("fds_closed=%d, want the %d entries \"fd closed\"", e.int("fds_closed"), n)
	}
	if n := s.count("internal fault"); n > 0 {
		s.t.Errorf("%d internal faults, want 0", n)
	}
}

// expectForced sends SIGTERM to a supervisor whose children do not stop, and checks the promise
// on such a stop: it ends within 250 ms of the deadline, or later only by as much as an idle
// process is woken late. Where the machine is too busy to finish by the deadline, the last guard
// ends the stop. Then complete is false, and the totals need not be equal. A negative killed stands
// for any number.
func (s *supervisor) expectForced(deadline time.Duration, killed int) (complete bool) {
	s.t.Helper()
	late := make(chan time.Duration, 1)
	go func() { late <- latestWakeUp(s.exited) }()
	s.signal(unix.SIGTERM)
	if got := s.exitCode(); got != 124 {
		s.t.Errorf("exit code %d, want 124", got)
	}
	e := s.awaitEntry("shutdown complete")
	e.expect(s.t, "verdict", "forced", "deadline_ms", deadline.Milliseconds())
	if killed >= 0 {
		e.expect(s.t, "killed", killed)
	}
	took := time.Duration(e.int("elapsed_ms")) * time.Millisecond
	if most := deadline + 250*time.Millisecond + <-late; took > most {
		s.t.Errorf("the stop took %v, want at most %v", took, most)
	}
	if took >= deadline && e.int("fds_opened") != e.int("fds_closed") {
		return false
	}
	s.expectTotals(e)
	return true
}

// freePort returns a port on which nothing listens, and which no other test of this run gets. It is
// below the range of ports that the kernel chooses (ip_local_port_range, ip(7)), so no connection
// of another test takes it while it is free.
func freePort(t *testing.T) string {
	t.Helper()
	const first, ports = 10_000, 20_000
	for range ports {
		port := strconv.Itoa(first + rand.IntN(ports))
		if _, taken := takenPorts.LoadOrStore(port, true); taken {
			continue
		}
		if l, err := net.Listen("tcp", ":"+port); err == nil {
			l.Close()
			return port
		}
	}
	t.Fatal("no port is free")
	return ""
}

var takenPorts sync.Map // by number, those that freePort returned

// fixture returns a child block that runs a fixture.
func fixture(name, program, more string) string {
	words := strings.Fields(program)
	return fmt.Sprintf("child %q {\n  command = \"fixture\"\n  args = [%s]\n%s\n}\n", name,
		`"`+strings.Join(words, `", "`)+`"`, more)
}
