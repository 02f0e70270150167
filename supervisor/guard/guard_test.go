package guard

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"tp0/supervisor/event"
	"tp0/supervisor/eventlog"
	"tp0/supervisor/exitcode"
)

const (
	// deadline is that of the stops in here. What is asserted about the time has
	// the same length again as a margin: the machine may be busy.
	deadline = time.Second
	// limit is when a test gives up.
	limit = 60 * time.Second
	// part says in the environment what a process of a test does.
	part = "GUARD_TEST_PART"
)

func TestMain(m *testing.M) {
	if name := os.Getenv(part); name != "" {
		parts[name]()
		os.Exit(1)
	}
	os.Exit(m.Run())
}

var parts = map[string]func(){
	"stuck":   func() { supervise(Options{}, stuck) },
	"leave":   func() { supervise(Options{LeaveDescendants: true}, stuck) },
	"raw":     func() { supervise(Options{}, stuckRaw) },
	"late":    func() { supervise(Options{}, endLate) },
	"said":    func() { supervise(Options{}, stuckAfterLastLine) },
	"saying":  func() { supervise(Options{}, stuckInLastLine) },
	"nothing": func() { supervise(Options{}, endBefore) },
}

// tree is a process that ignores SIGTERM, with four below it: one in a session of
// its own, whose parent is gone; one that is stopped; one that makes others all
// the time; and one in between.
const tree = `trap "" TERM
sh -c 'trap "" TERM; setsid sleep 1000 & echo $!'
sleep 1000 & echo $!; kill -STOP $!
sh -c 'while :; do /bin/true; done' & echo $!
sh -c 'sleep 1000; :' & echo $!
echo $$
wait`

// supervise is a supervisor: a guard, a child and its process tree, and something
// that keeps it from ending them. It prints the pids, and "armed" as its stop begins.
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
	begun = time.Now()
	g.Emit(event.ShutdownBegun{Reason: "a test"})
	fmt.Println("armed")
	end(g)
}

// begun is when the stop of this part began.
var begun time.Time

func must(err error) {
	if err != nil {
		panic(err)
	}
}

// stuck is a process loop that waits in a system call for ever.
func stuck(*Guard) {
	runtime.LockOSThread()
	var fds [2]int
	must(unix.Pipe(fds[:]))
	_, _ = unix.Read(fds[0], make([]byte, 1))
}

// stuckRaw waits in one that Go's scheduler does not know of.
func stuckRaw(*Guard) {
	var fds [2]int
	must(unix.Pipe(fds[:]))
	var b [1]byte
	_, _, _ = unix.RawSyscall(unix.SYS_READ, uintptr(fds[0]), addressOf(&b), 1)
}

// endLate is an ordinary end, which begins at the deadline and takes a moment.
func endLate(g *Guard) {
	time.Sleep(time.Until(begun.Add(deadline))) // the process may be stopped before this line
	time.Sleep(again / 25)
	if g.LastLine(7, event.ShutdownComplete{}) && g.Disarm() {
		unix.Exit(7)
	}
	select {}
}

// stuckAfterLastLine is an ordinary end that cannot exit.
func stuckAfterLastLine(g *Guard) {
	if !g.LastLine(7, event.ShutdownComplete{Spawned: 7}) {
		unix.Exit(1)
	}
	g.LineWritten()
	stuck(g)
}

// stuckInLastLine is an ordinary end whose last line is held up.
func stuckInLastLine(g *Guard) {
	if !g.LastLine(7, event.ShutdownComplete{Spawned: 7}) {
		unix.Exit(1)
	}
	stuck(g)
}

// endBefore is an ordinary end in time.
func endBefore(g *Guard) {
	if g.LastLine(8, event.ShutdownComplete{}) && g.Disarm() {
		time.Sleep(deadline + 2*MaxDuration)
		unix.Exit(8)
	}
}

// victim is a supervisor of a test.
type victim struct {
	t    *testing.T
	cmd  *exec.Cmd
	pids []int // of the tree; the child is the last one
	at   time.Time
	log  bytes.Buffer
}

func start(t *testing.T, name string, stderr *os.File) *victim {
	t.Helper()
	v := &victim{t: t, cmd: exec.Command("/proc/self/exe")}
	v.cmd.Env = append(os.Environ(), part+"="+name)
	v.cmd.Stderr = &v.log
	if stderr != nil {
		v.cmd.Stderr = stderr
	}
	out, err := v.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := v.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { // where the guard did not do it
		for _, pid := range append(v.pids, v.cmd.Process.Pid) {
			_ = unix.Kill(pid, unix.SIGKILL)
		}
	})
	lines := bufio.NewReader(out)
	for {
		line, err := lines.ReadString('\n')
		if err != nil {
			t.Fatalf("%v: %s", err, v.log.String())
		}
		if line == "armed\n" {
			v.at = time.Now()
			go io.Copy(io.Discard, out)
			return v
		}
		pid, err := strconv.Atoi(strings.TrimSpace(line))
		if err != nil {
			t.Fatal(err)
		}
		v.pids = append(v.pids, pid)
	}
}

// ends waits for the end, and holds its exit code and its time to what they should be.
func (v *victim) ends(code int, within time.Duration) {
	v.t.Helper()
	late := time.AfterFunc(limit, func() { _ = v.cmd.Process.Kill() })
	defer late.Stop()
	_ = v.cmd.Wait()
	took := time.Since(v.at)
	if got := v.cmd.ProcessState.ExitCode(); got != code {
		v.t.Errorf("exit code %d, want %d: %s", got, code, v.log.String())
	}
	if took > within {
		v.t.Errorf("it took %v", took)
	}
	v.t.Logf("over after %v", took)
}

// dead reports which of the tree are gone. One that is a zombie of a foreign
// parent counts.
func (v *victim) alive() (all []int) {
	for _, pid := range v.pids {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err == nil && !bytes.Contains(b, []byte(") Z ")) {
			all = append(all, pid)
		}
	}
	return all
}

func (v *victim) lastLine() map[string]any {
	v.t.Helper()
	lines := strings.Split(strings.TrimSpace(v.log.String()), "\n")
	var e map[string]any
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &e); err != nil {
		v.t.Fatalf("%v: %q", err, v.log.String())
	}
	return e
}

// The loop is stuck, so the guard ends everything.
func TestFires(t *testing.T) {
	for _, name := range []string{"stuck", "raw"} {
		t.Run(name, func(t *testing.T) {
			v := start(t, name, nil)
			v.ends(exitcode.Forced, 2*deadline)
			if all := v.alive(); len(all) > 0 {
				t.Errorf("alive: %v of %v", all, v.pids)
			}
			e := v.lastLine()
			for key, want := range map[string]any{
				"@message": "shutdown complete", "verdict": "forced", "spawned": 1.0, "reaped": 1.0, "deadline_ms": 1000.0,
			} {
				if e[key] != want {
					t.Errorf("%s is %v, want %v", key, e[key], want)
				}
			}
			if e["killed"].(float64) < 5 || e["orphans"].(float64) < 4 {
				t.Errorf("%v", e)
			}
		})
	}
}

// What is below a child is none of our business with Leave, unless it is in its group.
func TestLeaves(t *testing.T) {
	v := start(t, "leave", nil)
	v.ends(exitcode.Forced, 2*deadline)
	all := v.alive()
	if len(all) != 1 || all[0] != v.pids[0] {
		t.Errorf("alive: %v of %v", all, v.pids)
	}
}

// Nobody reads our standard error, and it is full.
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
	v := start(t, "stuck", w)
	v.ends(exitcode.Forced, 2*deadline)
	if all := v.alive(); len(all) > 0 {
		t.Errorf("alive: %v", all)
	}
}

// The whole process stood still past its deadline: the ordinary end gets time
// once more.
func TestStandsStill(t *testing.T) {
	v := start(t, "late", nil)
	pid := v.cmd.Process.Pid
	if err := unix.Kill(pid, unix.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	time.Sleep(time.Until(v.at.Add(deadline + MaxDuration + late))) // this is what the test is about
	if err := unix.Kill(pid, unix.SIGCONT); err != nil {
		t.Fatal(err)
	}
	v.ends(7, 3*deadline)
}

// The last line was said, and the exit does not come.
func TestExitsAfterLastLine(t *testing.T) {
	v := start(t, "said", nil)
	v.ends(7, 2*deadline)
	if v.log.Len() > 0 {
		t.Errorf("it says %q", v.log.String())
	}
}

// The last line is held up by whatever is before it: the guard writes it.
func TestWritesTheLastLineThatIsHeldUp(t *testing.T) {
	v := start(t, "saying", nil)
	v.ends(7, 2*deadline)
	if !strings.Contains(v.log.String(), `"spawned":7`) {
		t.Errorf("it says %q", v.log.String())
	}
}

func TestDisarmed(t *testing.T) {
	v := start(t, "nothing", nil)
	v.ends(8, limit)
}

// A guard whose stop has no deadline yet, or has not begun, does nothing.
func TestWaits(t *testing.T) {
	g := New(Options{Exit: func(code int) { panic(code) }})
	g.Arm()
	if _, ok := g.deadline(); ok {
		t.Error("there is a deadline")
	}
	if !g.Disarm() {
		t.Error("it fired")
	}
	<-g.done
}

func TestTotals(t *testing.T) {
	g := New(Options{})
	defer g.Disarm()
	for _, e := range []event.Event{
		event.Spawned{Pid: 1 << 30}, event.Spawned{Pid: 1<<30 + 1}, event.Reaped{Pid: 1 << 30, Left: 2},
		event.FDOpened{}, event.FDOpened{}, event.FDClosed{Owner: "supervisor"}, event.FDClosed{Owner: "c"},
		event.SignalSent{Pid: 7, Signal: "SIGKILL"}, // before the stop
		event.ShutdownBegun{},
		event.SignalSent{Pid: 7, Signal: "SIGKILL"}, event.SignalSent{Pid: 7, Signal: "SIGKILL"}, event.OrphanReaped{Pid: 7}, event.DescendantEnded{Left: 1},
	} {
		g.Emit(e)
	}
	g.SetDeadline(time.Hour)
	got := g.totals(time.Now())
	got.Elapsed = 0
	want := event.ShutdownComplete{Spawned: 2, Reaped: 2, Orphans: 1, Killed: 1, Opened: 2, Closed: 1, Left: 3, Deadline: time.Hour, Verdict: event.Forced}
	if got != want {
		t.Errorf("%+v", got)
	}
}

func addressOf(b *[1]byte) uintptr { return uintptr(unsafe.Pointer(b)) }
