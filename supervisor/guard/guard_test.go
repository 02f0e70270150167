package guard

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"reflect"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"tp0/supervisor/event"
	"tp0/supervisor/eventlog"
	"tp0/supervisor/exitcode"
	"tp0/supervisor/procfs"
)

const (
	// deadline is the deadline of the stops in the tests. Every limit on a duration adds the same
	// time again as a margin, because the machine may be busy.
	deadline = time.Second
	// timeout bounds a test.
	timeout = 60 * time.Second
	// roleVariable is the environment variable that makes the test binary a supervisor.
	roleVariable = "GUARD_TEST_ROLE"
)

func TestMain(m *testing.M) {
	if name := os.Getenv(roleVariable); name != "" {
		roles[name]()
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// roles are the supervisors of the tests.
var roles = map[string]func(){
	"blocked":          func() { supervise(Options{}, block) },
	"blocked, leaving": func() { supervise(Options{LeaveDescendants: true}, block) },
	"blocked raw":      func() { supervise(Options{}, blockRaw) },
	"late":             func() { supervise(Options{}, endLate) },
	"written":          func() { supervise(Options{}, blockAfterLastLine) },
	"writing":          func() { supervise(Options{}, blockInLastLine) },
	"in time":          func() { supervise(Options{}, endInTime) },
	"threads":          runThreads,
}

// tree is a shell script that ignores SIGTERM and has four descendants: one in a session of its
// own, whose parent is gone; one that is stopped; one that forks all the time; and one with a child
// of its own.
const tree = `trap "" TERM
sh -c 'trap "" TERM; setsid sleep 1000 & echo $!'
sleep 1000 & echo $!; kill -STOP $!
sh -c 'while :; do /bin/true; done' & echo $!
sh -c 'sleep 1000; :' & echo $!
echo $$
wait`

// supervise is a supervisor with a guard and a child, whose end is end. It prints the pids of the
// tree, and "armed" as its stop starts.
func supervise(o Options, end func(*Guard)) {
	must(unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0))
	o.Stderr, o.Exit = unix.Stderr, unix.Exit
	o.Line = func(e event.ShutdownComplete) []byte {
		return eventlog.Line(eventlog.Settings{Level: "info", Format: "json"}, e)
	}
	g := New(o)
	g.SetDeadline(deadline)
	cmd := exec.Command("/bin/sh", "-c", tree)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH")}
	cmd.SysProcAttr = &unix.SysProcAttr{Setpgid: true}
	out, err := cmd.StdoutPipe()
	must(err)
	must(cmd.Start())
	g.Emit(event.Spawned{Child: "c", Pid: cmd.Process.Pid})
	lines := bufio.NewReader(out)
	for range 5 {
		line, err := lines.ReadString('\n')
		must(err)
		fmt.Print(line)
	}
	stopStart = time.Now()
	g.Emit(event.ShutdownBegun{Reason: "a test"})
	fmt.Println("armed")
	end(g)
}

// stopStart is when the stop of this supervisor started.
var stopStart time.Time

func must(err error) {
	if err != nil {
		panic(err)
	}
}

// block waits in a system call forever, as a process loop that is blocked.
func block(*Guard) {
	runtime.LockOSThread()
	var fds [2]int
	must(unix.Pipe(fds[:]))
	_, _ = unix.Read(fds[0], make([]byte, 1))
}

// blockRaw waits in a raw system call, which Go's scheduler does not know of.
func blockRaw(*Guard) {
	var fds [2]int
	must(unix.Pipe(fds[:]))
	var b [1]byte
	_, _, _ = unix.RawSyscall(unix.SYS_READ, uintptr(fds[0]), uintptr(unsafe.Pointer(&b)), 1)
}

// endLate is an ordinary end that starts at the deadline and takes 10 ms.
func endLate(g *Guard) {
	time.Sleep(time.Until(stopStart.Add(deadline))) // the test may stop the process meanwhile
	time.Sleep(extraTime / 25)
	if g.LastLine(7, event.ShutdownComplete{}) && g.Disarm() {
		unix.Exit(7)
	}
	select {}
}

// blockAfterLastLine is an ordinary end that writes its last line and does not exit.
func blockAfterLastLine(g *Guard) {
	if !g.LastLine(7, event.ShutdownComplete{Spawned: 7}) {
		unix.Exit(1)
	}
	g.LineWritten()
	block(g)
}

// blockInLastLine is an ordinary end that cannot write its last line.
func blockInLastLine(g *Guard) {
	if !g.LastLine(7, event.ShutdownComplete{Spawned: 7}) {
		unix.Exit(1)
	}
	block(g)
}

// endInTime is an ordinary end before the deadline. Its exit comes after the deadline.
func endInTime(g *Guard) {
	if g.LastLine(8, event.ShutdownComplete{}) && g.Disarm() {
		time.Sleep(deadline + 2*MaxOverrun)
		unix.Exit(8)
	}
}

// supervisor is a supervisor that a test runs.
type supervisor struct {
	t     *testing.T
	cmd   *exec.Cmd
	pids  []int // of the tree; the child is the last one
	armed time.Time
	log   bytes.Buffer
}

// start runs the supervisor with a role until its stop starts. With a nil stderr, its standard
// error goes to log.
func start(t *testing.T, role string, stderr *os.File) *supervisor {
	t.Helper()
	s := &supervisor{t: t, cmd: exec.Command("/proc/self/exe")}
	s.cmd.Env = append(os.Environ(), roleVariable+"="+role)
	s.cmd.Stderr = &s.log
	if stderr != nil {
		s.cmd.Stderr = stderr
	}
	out, err := s.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { // kill what the guard did not kill
		for _, pid := range append(s.pids, s.cmd.Process.Pid) {
			_ = unix.Kill(pid, unix.SIGKILL)
		}
	})
	lines := bufio.NewReader(out)
	for {
		line, err := lines.ReadString('\n')
		if err != nil {
			t.Fatalf("%v: %s", err, s.log.String())
		}
		if line == "armed\n" {
			s.armed = time.Now()
			go io.Copy(io.Discard, out)
			return s
		}
		pid, err := strconv.Atoi(strings.TrimSpace(line))
		if err != nil {
			t.Fatal(err)
		}
		s.pids = append(s.pids, pid)
	}
}

// checkEnd waits for the end and checks the exit code and the duration since the stop started.
func (s *supervisor) checkEnd(code int, limit time.Duration) {
	s.t.Helper()
	kill := time.AfterFunc(timeout, func() { _ = s.cmd.Process.Kill() })
	defer kill.Stop()
	_ = s.cmd.Wait()
	took := time.Since(s.armed)
	if got := s.cmd.ProcessState.ExitCode(); got != code {
		s.t.Errorf("exit code %d, want %d: %s", got, code, s.log.String())
	}
	if took > limit {
		s.t.Errorf("the stop took %v, want at most %v", took, limit)
	}
	s.t.Logf("the stop took %v", took)
}

// alive returns the processes of the tree that live. A zombie counts as dead, since its parent may
// be a process other than the supervisor.
func (s *supervisor) alive() (all []int) {
	for _, pid := range s.pids {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err == nil && !bytes.Contains(b, []byte(") Z ")) {
			all = append(all, pid)
		}
	}
	return all
}

func (s *supervisor) lastLine() map[string]any {
	s.t.Helper()
	lines := strings.Split(strings.TrimSpace(s.log.String()), "\n")
	var e map[string]any
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &e); err != nil {
		s.t.Fatalf("%v: %q", err, s.log.String())
	}
	return e
}

// TestFires checks that the guard ends everything when the process loop is blocked.
func TestFires(t *testing.T) {
	for _, role := range []string{"blocked", "blocked raw"} {
		t.Run(role, func(t *testing.T) {
			s := start(t, role, nil)
			s.checkEnd(exitcode.Forced, 2*deadline)
			if all := s.alive(); len(all) > 0 {
				t.Errorf("%v of the tree %v live on", all, s.pids)
			}
			e := s.lastLine()
			for key, want := range map[string]any{
				"@message": "shutdown complete", "verdict": "forced",
				"spawned": 1.0, "reaped": 1.0, "unproven": 1.0, "deadline_ms": 1000.0,
			} {
				if e[key] != want {
					t.Errorf("%s is %v, want %v", key, e[key], want)
				}
			}
			if e["killed"].(float64) < 5 || e["orphans"].(float64) < 4 {
				t.Errorf("killed is %v, want at least 5; orphans is %v, want at least 4",
					e["killed"], e["orphans"])
			}
		})
	}
}

// TestLeavesDescendants checks that LeaveDescendants spares a process outside the child's group.
func TestLeavesDescendants(t *testing.T) {
	s := start(t, "blocked, leaving", nil)
	s.checkEnd(exitcode.Forced, 2*deadline)
	all := s.alive()
	if len(all) != 1 || all[0] != s.pids[0] {
		t.Errorf("%v of the tree %v live on, want %d only", all, s.pids, s.pids[0])
	}
}

// TestFullStderr fires with a standard error that is full and has no reader.
func TestFullStderr(t *testing.T) {
	var fds [2]int
	if err := unix.Pipe2(fds[:], unix.O_CLOEXEC|unix.O_NONBLOCK); err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fds[0])
	for {
		if _, err := unix.Write(fds[1], make([]byte, 4096)); err != nil {
			break
		}
	}
	if err := unix.SetNonblock(fds[1], false); err != nil {
		t.Fatal(err)
	}
	w := os.NewFile(uintptr(fds[1]), "stderr")
	defer w.Close()
	s := start(t, "blocked", w)
	s.checkEnd(exitcode.Forced, 2*deadline)
	if all := s.alive(); len(all) > 0 {
		t.Errorf("%v of the tree %v live on", all, s.pids)
	}
}

// TestWriteAfterEnd writes when no time is left, as on a machine that is too busy: to a file, with
// and without RWF_NOWAIT, and to a pipe.
func TestWriteAfterEnd(t *testing.T) {
	const text = "shutdown complete\n"
	file, err := os.Create(t.TempDir() + "/stderr")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	var pipe [2]int
	if err := unix.Pipe2(pipe[:], unix.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	reader, writer := os.NewFile(uintptr(pipe[0]), "r"), os.NewFile(uintptr(pipe[1]), "w")
	defer reader.Close()
	defer writer.Close()
	fd := int(file.Fd())
	writeOnThread(fd, []byte(text), time.Now().Add(-time.Second)) // without RWF_NOWAIT
	Write(fd, []byte(text), -time.Second)
	if b, err := os.ReadFile(file.Name()); err != nil || string(b) != text+text {
		t.Errorf("the file has %q, %v, want two lines", b, err)
	}
	Write(pipe[1], []byte(text), -time.Second)
	b := make([]byte, 100)
	if n, err := reader.Read(b); err != nil || string(b[:n]) != text {
		t.Errorf("the pipe has %q, %v, want %q", b[:n], err, text)
	}
}

// TestExtraTime stops the whole process until after its deadline. The ordinary end then gets extra
// time.
func TestExtraTime(t *testing.T) {
	s := start(t, "late", nil)
	pid := s.cmd.Process.Pid
	if err := unix.Kill(pid, unix.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	// This sleep is what the test is about: the process is stopped past its deadline.
	time.Sleep(time.Until(s.armed.Add(deadline + MaxOverrun + maxWakeDelay)))
	if err := unix.Kill(pid, unix.SIGCONT); err != nil {
		t.Fatal(err)
	}
	s.checkEnd(7, 3*deadline)
}

// TestFailed checks that the totals name the instances that have failed.
func TestFailed(t *testing.T) {
	g := New(Options{})
	defer g.Disarm()
	for _, e := range []event.Event{
		event.Spawned{Child: "b", Pid: 1 << 30}, event.Reaped{Child: "b", Pid: 1 << 30},
		event.Failed{Child: "b"},
		event.Failed{Child: "a"},
		event.Failed{Child: "started again"}, event.Spawned{Child: "started again", Pid: 1<<30 + 1},
		event.Failed{Child: "removed"}, event.ConfigReloaded{Removed: []string{"removed"}},
		event.Spawned{Child: "updated", Pid: 1<<30 + 2},
		event.Failed{Child: "updated"}, // its new process: the old one runs
	} {
		g.Emit(e)
	}
	got := g.totals.final(time.Now(), time.Hour).Failed
	if want := []string{"b", "a"}; !slices.Equal(got, want) {
		t.Errorf("failed is %v, want %v", got, want)
	}
}

// TestReapLeavesPtraceStops checks that reap collects the end of a traced process and not its stop.
func TestReapLeavesPtraceStops(t *testing.T) {
	runtime.LockOSThread() // it is the tracer
	defer runtime.UnlockOSThread()
	cmd := exec.Command("/bin/true")
	cmd.SysProcAttr = &unix.SysProcAttr{Ptrace: true} // the process stops at its execve
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	pid := cmd.Process.Pid
	await := func(what int) {
		if err := unix.Waitid(unix.P_PID, pid, nil, what|unix.WNOWAIT|unix.WALL, nil); err != nil {
			t.Fatal(err)
		}
	}
	await(unix.WSTOPPED)
	totals := newTotals()
	totals.add(event.Spawned{Pid: pid}, true)
	if !reap(totals, []int{pid}) {
		t.Error("reap found no child")
	}
	var status unix.WaitStatus
	got, err := unix.Wait4(pid, &status, unix.WNOHANG|unix.WALL, nil)
	if got != pid || err != nil || !status.Stopped() {
		t.Errorf("wait4 returned %d, %v and status %#x, want the stop of %d", got, err, status, pid)
	}
	if err := unix.Kill(pid, unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	await(unix.WEXITED)
	if reap(totals, []int{pid}); totals.sums.Reaped != 1 {
		t.Errorf("reap counted %d ends, want 1", totals.sums.Reaped)
	}
}

// runThreads is a process with several threads. It writes a line and waits for the end of its
// input.
func runThreads() {
	done := make(chan struct{})
	for range 4 {
		go func() {
			runtime.LockOSThread() // a thread of its own
			done <- struct{}{}
			select {}
		}()
		<-done
	}
	fmt.Println("ready")
	_, _ = io.Copy(io.Discard, os.Stdin)
}

// TestReapTracedThreads checks that reap collects the threads of a traced process, without which
// its end is not reported.
func TestReapTracedThreads(t *testing.T) {
	runtime.LockOSThread() // it is the tracer
	defer runtime.UnlockOSThread()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), roleVariable+"=threads")
	input, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	defer input.Close()
	output, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cmd.Wait() }() // reap has collected it
	if _, err := bufio.NewReader(output).ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	pid := cmd.Process.Pid
	threads := procfs.Threads(pid)
	for _, tid := range threads {
		if err := unix.PtraceSeize(tid); err != nil {
			t.Fatal(err)
		}
	}
	if err := unix.Kill(pid, unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	totals := newTotals()
	totals.add(event.Spawned{Pid: pid}, true)
	for end := time.Now().Add(timeout); reap(totals, []int{pid}); pause(killInterval) {
		if !time.Now().Before(end) {
			for _, tid := range threads {
				_, _ = unix.Wait4(tid, nil, unix.WNOHANG|unix.WALL, nil)
			}
			t.Fatalf("a process with %d traced threads is not reaped", len(threads))
		}
	}
	if totals.sums.Reaped != 1 || len(threads) < 4 {
		t.Errorf("reap counted %d ends of a process with %d threads, want 1 and at least 4",
			totals.sums.Reaped, len(threads))
	}
}

// TestExitsAfterLastLine fires after the last line, so the guard only exits.
func TestExitsAfterLastLine(t *testing.T) {
	s := start(t, "written", nil)
	s.checkEnd(7, 2*deadline)
	if s.log.Len() > 0 {
		t.Errorf("the guard wrote %q, want nothing", s.log.String())
	}
}

// TestWritesBlockedLastLine fires while the ordinary end cannot write its last line.
func TestWritesBlockedLastLine(t *testing.T) {
	s := start(t, "writing", nil)
	s.checkEnd(7, 2*deadline)
	if !strings.Contains(s.log.String(), `"spawned":7`) {
		t.Errorf("the guard wrote %q, want a line with \"spawned\":7", s.log.String())
	}
}

func TestDisarm(t *testing.T) {
	s := start(t, "in time", nil)
	s.checkEnd(8, timeout)
}

// TestNoDeadline arms a guard that has no deadline.
func TestNoDeadline(t *testing.T) {
	g := New(Options{Exit: func(code int) { panic(code) }})
	g.Arm()
	if at, ok := g.deadline(); ok {
		t.Errorf("the deadline is %v, want none", at)
	}
	if !g.Disarm() {
		t.Error("the guard fired")
	}
	<-g.done
}

func TestTotals(t *testing.T) {
	g := New(Options{})
	defer g.Disarm()
	kill := event.SignalSent{Pid: 7, Signal: "SIGKILL"}
	for _, e := range []event.Event{
		event.Spawned{Pid: 1 << 30}, event.Spawned{Pid: 1<<30 + 1},
		event.Reaped{Pid: 1 << 30, Left: 2, Findings: 1},
		event.FDOpened{}, event.FDOpened{},
		event.FDClosed{Owner: "supervisor"}, event.FDClosed{Owner: "c"},
		kill, // before the stop, so it does not count
		event.ShutdownBegun{},
		kill, kill, event.OrphanReaped{Pid: 7},
		event.Spawned{Pid: 1<<30 + 2}, event.Reaped{Pid: 1<<30 + 2, Proof: event.ProofSampled},
		event.Spawned{Pid: 1<<30 + 3}, event.Reaped{Pid: 1<<30 + 3, Proof: event.ProofExact},
		event.DescendantEnded{Left: 2, Findings: 1, Proof: event.ProofExact},
		event.DescendantEnded{Proof: event.ProofNone},
	} {
		g.Emit(e)
	}
	got := g.totals.final(time.Now(), time.Hour)
	got.Elapsed = 0
	want := event.ShutdownComplete{
		Spawned: 4, Reaped: 4, Orphans: 1, Killed: 1, Opened: 2, Closed: 1, Left: 2,
		Findings: 1, KilledBefore: 1, LeftBefore: 2,
		Unproven: 3, // a child, a descendant, and the child of which no end was reported
		Deadline: time.Hour, Verdict: event.Forced,
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}
