package fdledger

import (
	"bufio"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"tp0/supervisor/event"
	"tp0/supervisor/exitcode"
	"tp0/supervisor/fixture/needs"
	"tp0/supervisor/procfs"
	"tp0/supervisor/sockdiag"
)

type sink struct{ events []event.Event }

func (s *sink) Emit(e event.Event) { s.events = append(s.events, e) }

func TestLedgerBalances(t *testing.T) {
	var s sink
	b := New(&s)
	if err := b.Baseline(); err != nil {
		t.Fatal(err)
	}
	fd, err := unix.Open(os.DevNull, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	check(t, b, "not in the ledger")
	b.Opened(fd, "file", os.DevNull)
	check(t, b)
	if e := b.Entries(); len(e) != 1 || e[0] != (Entry{fd, "file", os.DevNull}) {
		t.Errorf("entries: %v", e)
	}
	if err := b.Close(fd, func() error { return unix.Close(fd) }); err != nil {
		t.Fatal(err)
	}
	check(t, b)
	if opened, closed := b.Counts(); opened != 1 || closed != 1 {
		t.Errorf("opened %d, closed %d", opened, closed)
	}
	want := []event.Event{
		event.FDOpened{FD: fd, Kind: "file", Target: os.DevNull},
		event.FDClosed{
			Owner: "supervisor", FD: fd, Kind: "file", Target: os.DevNull, By: event.BySupervisor,
		},
	}
	if !slices.Equal(s.events, want) {
		t.Errorf("events: %+v", s.events)
	}
}

func TestLedgerFindsFaults(t *testing.T) {
	b := New(&sink{})
	if err := b.Baseline(); err != nil {
		t.Fatal(err)
	}
	const none = 12345
	b.Opened(none, "pipe", "no such")
	check(t, b, "in the ledger, but not open")
	b.Opened(none, "pipe", "again")
	check(t, b, "in the ledger, but not open", "the ledger has it as")
	failed := errors.New("close failed")
	if err := b.Close(none, func() error { return failed }); err != failed {
		t.Errorf("got %v", err)
	}
	_ = b.Close(none, func() error { return nil })
	check(t, b, "the ledger has it as", "the ledger does not have it")
}

// check checks that the ledger has the differences want, in any order.
func check(t *testing.T, b *Ledger, want ...string) {
	t.Helper()
	diff, err := b.Check()
	if err != nil {
		t.Fatal(err)
	}
	if len(diff) != len(want) {
		t.Fatalf("differences %q, want %q", diff, want)
	}
	for _, w := range want {
		if !slices.ContainsFunc(diff, func(d string) bool { return strings.Contains(d, w) }) {
			t.Errorf("differences %q, want one with %q", diff, w)
		}
	}
}

func fd(num int, kind, target string) procfs.FD {
	return procfs.FD{Num: num, Kind: kind, Target: target}
}

func TestCompare(t *testing.T) {
	std := []procfs.FD{
		fd(0, "file", "/dev/null"), fd(1, "pipe", "pipe:[1]"), fd(2, "pipe", "pipe:[2]"),
	}
	runtime := []procfs.FD{
		fd(3, "epoll", ""), fd(4, "eventfd", ""), fd(5, "file", "/sys/fs/cgroup/cpu.max"),
	}
	own := []procfs.FD{fd(6, "socket", "a"), fd(7, "file", "/b"), fd(8, "epoll", "")}
	for _, tt := range []struct {
		name          string
		before, after []procfs.FD
		runtime       Runtime
		closed, left  int
	}{
		{"nothing", nil, nil, Unknown, 0, 0},
		{"standard streams do not count", std, std, Unknown, 0, 0},
		{"closed standard streams do not count", std, nil, Unknown, 0, 0},
		{"the descriptors of Go's runtime do not count", runtime, runtime, Go, 0, 0},
		{
			"the files that Go reads at its start do not count", nil,
			[]procfs.FD{fd(3, "file", "/proc/7/cgroup")}, Go, 0, 0,
		},
		{"in a C program they count", runtime, runtime, Unknown, 0, 3},
		{
			"a second epoll is the application's", slices.Concat(runtime, own),
			slices.Concat(runtime, own), Go, 0, 3,
		},
		{"closed and left", own, own[:1], Unknown, 2, 1},
		{"opened after the stop began", nil, own[:1], Unknown, 0, 1},
	} {
		lines, closed, left := Compare(tt.before, tt.after, nil, tt.runtime)
		if closed != tt.closed || left != tt.left {
			t.Errorf(
				"%s: %d closed and %d left, want %d and %d; %+v", tt.name, closed, left, tt.closed,
				tt.left, lines,
			)
		}
	}
}

func TestRuntimes(t *testing.T) {
	var r Runtimes
	for range 2 { // detected, then cached
		if got, _ := r.Of(os.Getpid()); got != Go {
			t.Errorf("runtime of this test: %q, want go", got)
		}
	}
	if got, _ := r.Of(0); got != Unknown {
		t.Errorf("runtime of pid 0: %q, want none", got)
	}
}

func TestRuntimeByName(t *testing.T) {
	for path, want := range map[string]Runtime{
		"/usr/bin/python3.11":                     Python,
		"/usr/bin/python":                         Python,
		"/usr/bin/python3.11 (deleted)":           Python,
		"/usr/lib/jvm/java-17-openjdk/bin/java":   Java,
		"/usr/bin/node":                           Node,
		"/usr/bin/pythonista":                     Unknown,
		"/srv/python3/3.11":                       Unknown,
		"/srv/nodes":                              Unknown,
		"/usr/lib/jvm/java-17-openjdk/bin/javac":  Unknown,
		"/usr/lib/node/server":                    Unknown,
		"/usr/local/java/bin/nobody knows (java)": Unknown,
	} {
		if got := runtimeByName(path); got != want {
			t.Errorf("runtime of %s: %q, want %q", path, got, want)
		}
	}
}

// TestIdleInterpreters checks that no descriptor of an interpreter counts whose program does
// nothing.
func TestIdleInterpreters(t *testing.T) {
	java := filepath.Join(t.TempDir(), "Idle.java")
	source := `public class Idle { public static void main(String[] a) throws Exception {
		var s = new java.net.ServerSocket(0); s.close(); new java.security.SecureRandom().nextInt();
		System.out.println("up"); System.in.read(); } }`
	if err := os.WriteFile(java, []byte(source), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		runtime Runtime
		build   []string
		run     []string
	}{
		{
			Python, nil,
			[]string{
				"python3", "-c",
				`import sys, random, secrets; secrets.token_bytes(1); print("up", flush=True); ` +
					`sys.stdin.read()`,
			},
		},
		{Node, nil, []string{"node", "-e", `require("crypto").randomBytes(1)
			const s = require("net").createServer().listen(0, () => s.close(() => {
				require("fs").writeSync(1, "up\n"); setTimeout(() => {}, 60000) }))`}},
		{Java, []string{"javac", java}, []string{"java", "-cp", filepath.Dir(java), "Idle"}},
	} {
		t.Run(string(tt.runtime), func(t *testing.T) {
			needs.Check(t, string(tt.runtime))
			if tt.build != nil {
				if out, err := exec.Command(
					tt.build[0], tt.build[1:]...,
				).CombinedOutput(); err != nil {
					t.Fatalf("%v: %v: %s", tt.build, err, out)
				}
			}
			fds, runtime := tableOf(t, tt.run)
			if runtime != tt.runtime {
				t.Fatalf("runtime of %v: %q, want %q", tt.run, runtime, tt.runtime)
			}
			if lines, _, left := Compare(nil, fds, nil, runtime); left != 0 {
				t.Errorf("%d of its descriptors count: %+v", left, lines)
			}
		})
	}
}

// inherited returns the descriptors that the process which started this test passes on to its
// descendants.
func inherited(t *testing.T) map[int]bool {
	fds, err := procfs.OwnFDs()
	if err != nil {
		t.Fatal(err)
	}
	all := map[int]bool{}
	for _, f := range fds {
		if flags, err := unix.FcntlInt(uintptr(f.Num), unix.F_GETFD, 0); err == nil &&
			flags&unix.FD_CLOEXEC == 0 {
			all[f.Num] = !f.IsStandard()
		}
	}
	return all
}

// tableOf starts a program that prints a line, and returns its descriptors and its runtime.
func tableOf(t *testing.T, argv []string) ([]procfs.FD, Runtime) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}()
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil || line != "up\n" {
		t.Fatalf("%v says %q, %v", argv, line, err)
	}
	fds, err := procfs.ReadFDs(cmd.Process.Pid, cmd.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	sockets, err := sockdiag.List()
	if err != nil {
		t.Fatal(err)
	}
	procfs.Resolve(fds, sockets)
	ours := inherited(t)
	fds = slices.DeleteFunc(fds, func(f procfs.FD) bool { return ours[f.Num] })
	var r Runtimes
	return fds, first(r.Of(cmd.Process.Pid))
}

func file(num int, target, mode string) procfs.FD {
	return procfs.FD{
		Num: num, Kind: "file", Target: target, Detail: procfs.FDDetail{Mode: mode},
	}
}

var unixPair = procfs.FD{
	Num: 9, Kind: "socket", Target: "unix (unnamed)",
	Detail: procfs.FDDetail{State: "established"},
}

// programs have descriptors beside those of their runtime; left is the number that counts.
var programs = []struct {
	runtime Runtime
	fds     []procfs.FD
	left    int
}{
	{Python, []procfs.FD{file(3, "/dev/urandom", "r"), fd(4, "epoll", ""), unixPair}, 3},
	{
		Java,
		[]procfs.FD{
			file(3, "/j/lib/modules", "r"), file(4, "/a.jar", "r"), file(5, "/b.jar", "r"),
		},
		0,
	},
	{
		Java,
		[]procfs.FD{
			file(3, "/a.jar", "rw"), fd(4, "epoll", ""), fd(5, "eventfd", ""), unixPair,
		},
		4,
	},
	{
		Java,
		[]procfs.FD{
			file(3, "/dev/random", "r"), file(4, "/dev/urandom", "r"),
			file(5, "/dev/urandom", "r"),
		},
		1,
	},
	{
		Java,
		[]procfs.FD{
			fd(3, "memfd", "/memfd:java_heap (deleted)"),
			fd(4, "memfd", "/memfd:mine (deleted)"),
		},
		1,
	},
	{
		Node,
		slices.Concat(
			many(10, "epoll", 4), many(20, "eventfd", 4), many(30, "pipe", 9),
			many(40, "io_uring", 7),
		),
		4,
	},
	{Unknown, []procfs.FD{file(3, "/lib/x86_64-linux-gnu/libc.so.6", "r")}, 0},
	{
		Unknown,
		[]procfs.FD{
			file(3, "/lib/libc.so.6", "rw"), file(4, "/etc/ld.so.cache", "r"),
			file(5, "/srv/x.so", "r"), file(6, "/srv/notes.some", "r"),
		},
		3,
	},
	{
		Node,
		[]procfs.FD{
			file(3, "/dev/null", "w"), file(4, "/dev/null", "r"), file(5, "/x.js", "r"),
		},
		2,
	},
}

// TestProgramDescriptors checks that the descriptors of a program count, even those of kinds that
// its runtime has too.
func TestProgramDescriptors(t *testing.T) {
	for _, tt := range programs {
		if lines, _, left := Compare(nil, tt.fds, nil, tt.runtime); left != tt.left {
			t.Errorf("%s: %d left, want %d: %+v", tt.runtime, left, tt.left, lines)
		}
	}
}

func many(first int, kind string, n int) []procfs.FD {
	all := make([]procfs.FD, n)
	for i := range all {
		all[i] = fd(first+i, kind, "")
	}
	return all
}

func TestResult(t *testing.T) {
	for _, tt := range []struct {
		outcome Result
		verdict event.Verdict
		code    int
	}{
		{Result{}, event.Graceful, exitcode.OK},
		{Result{Strict: true}, event.Graceful, exitcode.OK},
		{Result{FDsLeft: 2, LeftProven: 2}, event.Leaky, exitcode.OK},
		{Result{FDsLeft: 2, LeftProven: 2, Strict: true}, event.Leaky, exitcode.Leaky},
		{Result{FDsLeft: 2, Strict: true}, event.Leaky, exitcode.OK},
		{Result{Failed: true}, event.Graceful, exitcode.Failed},
		{
			Result{Failed: true, FDsLeft: 1, LeftProven: 1, Strict: true}, event.Leaky,
			exitcode.Failed,
		},
		{Result{Failed: true, Critical: 7}, event.Graceful, 7},
		{Result{Critical: 143, FDsLeft: 1, LeftProven: 1, Strict: true}, event.Leaky, 143},
		{Result{Critical: 7, Fault: true}, event.Leaky, exitcode.Failed},
		{Result{Critical: 7, Killed: 1}, event.Forced, exitcode.Forced},
		{Result{Fault: true}, event.Leaky, exitcode.Failed},
		{Result{Killed: 1, Failed: true, FDsLeft: 1, Fault: true}, event.Forced, exitcode.Forced},
		{Result{Survived: 1}, event.Forced, exitcode.Forced},
	} {
		if v, c := tt.outcome.Verdict(), tt.outcome.Code(); v != tt.verdict || c != tt.code {
			t.Errorf("%+v: %s and %d, want %s and %d", tt.outcome, v, c, tt.verdict, tt.code)
		}
	}
}

func first(r Runtime, _ error) Runtime { return r }
