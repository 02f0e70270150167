package fdledger

import (
	"errors"
	"os"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"tp0/supervisor/event"
	"tp0/supervisor/exitcode"
	"tp0/supervisor/procfs"
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

// compared returns the lines and the results of Compare.
func compared(before, after []procfs.FD, r Runtime) (lines []Line, closed, left int) {
	closed, left = Compare(before, after, nil, r, func(l Line) { lines = append(lines, l) })
	return lines, closed, left
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
		lines, closed, left := compared(tt.before, tt.after, tt.runtime)
		if closed != tt.closed || left != tt.left {
			t.Errorf(
				"%s: %d closed and %d left, want %d and %d; %+v", tt.name, closed, left, tt.closed,
				tt.left, lines,
			)
		}
	}
}

func TestResult(t *testing.T) {
	for _, tt := range []struct {
		outcome Result
		verdict event.Verdict
		code    int
	}{
		{Result{}, event.Graceful, exitcode.OK},
		{Result{Strict: true}, event.Graceful, exitcode.OK},
		{Result{Findings: 2}, event.Leaky, exitcode.OK},
		{Result{Findings: 2, Strict: true}, event.Leaky, exitcode.Leaky},
		{Result{Failed: true}, event.Graceful, exitcode.Failed},
		{
			Result{Failed: true, Findings: 1, Strict: true}, event.Leaky,
			exitcode.Failed,
		},
		{Result{Failed: true, Critical: 7}, event.Graceful, 7},
		{Result{Critical: 143, Findings: 1, Strict: true}, event.Leaky, 143},
		{Result{Critical: 7, Fault: true}, event.Leaky, exitcode.Failed},
		{Result{Critical: 7, Killed: 1}, event.Forced, exitcode.Forced},
		{Result{Fault: true}, event.Leaky, exitcode.Failed},
		{Result{Killed: 1, Failed: true, Findings: 1, Fault: true}, event.Forced, exitcode.Forced},
		{Result{Survived: 1}, event.Forced, exitcode.Forced},
	} {
		if v, c := tt.outcome.Verdict(), tt.outcome.Code(); v != tt.verdict || c != tt.code {
			t.Errorf("%+v: %s and %d, want %s and %d", tt.outcome, v, c, tt.verdict, tt.code)
		}
	}
}

// TestInternalEntries checks that the events of an internal descriptor say so, and that it counts.
func TestInternalEntries(t *testing.T) {
	var s sink
	b := New(&s)
	b.OpenedInternal(7, "pipe", "web probe")
	_ = b.Close(7, func() error { return nil })
	if !s.events[0].(event.FDOpened).Internal || !s.events[1].(event.FDClosed).Internal {
		t.Errorf("got %+v, want internal events", s.events)
	}
	if opened, closed := b.Counts(); opened != 1 || closed != 1 {
		t.Errorf("opened %d, closed %d, want 1 of each", opened, closed)
	}
}

// TestCompareLarge compares tables of 20,000 descriptors. It allocates nothing for each descriptor.
func TestCompareLarge(t *testing.T) {
	const n = 20_000
	before := make([]procfs.FD, 0, n)
	for i := range n {
		before = append(before, fd(i, "file", "/a"))
	}
	after, inherited := before[n/2:], before[:n/4]
	lines := 0
	allocs := testing.AllocsPerRun(1, func() {
		closed, left := Compare(before, after, inherited, Go, func(Line) { lines++ })
		if closed != n/4 || left != n/2 {
			t.Errorf("%d closed and %d left, want %d and %d", closed, left, n/4, n/2)
		}
	})
	if lines != 2*n { // AllocsPerRun runs the function twice
		t.Errorf("%d lines, want %d", lines/2, n)
	}
	if allocs > 100 {
		t.Errorf("%v allocations, want 100 at most", allocs)
	}
}

func BenchmarkCompare20000(b *testing.B) {
	var before []procfs.FD
	for i := range 20_000 {
		before = append(before, fd(i, "file", "/a"))
	}
	b.ReportAllocs()
	for b.Loop() {
		Compare(before, before, nil, Go, func(Line) {})
	}
}
