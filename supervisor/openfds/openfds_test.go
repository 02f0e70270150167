package openfds

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"tp0/supervisor/api"
	"tp0/supervisor/procfs"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// openMany opens a file of a directory n times, and closes the descriptors at the end of the test.
func openMany(t *testing.T, n int) (path string) {
	t.Helper()
	path = t.TempDir() + "/many"
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for range n {
		f, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { f.Close() })
	}
	return path
}

// TestList lists the descriptors of this process and of a child: files, a socket in plain words,
// the limit, and the counts.
func TestList(t *testing.T) {
	child := exec.Command("cat")
	in, err := child.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	defer child.Wait() //nolint:errcheck // its end is all that matters
	defer in.Close()
	const many = 300
	path := openMany(t, many)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	atReady := &api.FDCount{Pid: os.Getpid(), Kinds: map[string]int{"file": 1}}
	found, err := List(t.Context(), []api.Instance{
		{Name: "a1", Child: "a", Pid: os.Getpid(), FDsAtReady: atReady}, {Name: "a2", Child: "a"},
	})
	if err != nil || len(found.Instances) != 2 || len(found.Instances[0].Processes) < 2 ||
		found.Instances[1].Processes == nil || len(found.Instances[1].Processes) != 0 {
		t.Fatalf("got %+v, %v, want two instances, the first with a child process", found, err)
	}
	if found.Instances[0].AtReady != atReady {
		t.Error("the count at ready is missing")
	}
	main := found.Instances[0].Processes[0]
	if main.Pid != os.Getpid() || main.Open != len(main.FDs) || main.Omitted != 0 ||
		main.Limit < uint64(main.Open) || main.Kinds["file"] < many || main.Error != "" {
		t.Errorf("got %d open, %d listed, %d omitted, limit %d, kinds %v, error %q", main.Open,
			len(main.FDs), main.Omitted, main.Limit, main.Kinds, main.Error)
	}
	if c := main.Common; len(c) == 0 || c[0] != (api.FDTarget{Kind: "file", Target: path,
		Open: many}) {
		t.Errorf("got the common targets %+v, want first %d of %s", c, many, path)
	}
	want := "tcp " + l.Addr().String() + " listen"
	if !slices.ContainsFunc(main.FDs, func(f api.OpenFD) bool { return f.Target == want }) {
		t.Errorf("no descriptor is %q: %+v", want, main.FDs)
	}
	if !slices.ContainsFunc(found.Instances[0].Processes, func(p api.ProcessFDs) bool {
		return p.Pid == child.Process.Pid && p.Command == "cat" && p.Open >= 3
	}) {
		t.Errorf("the child is missing: %+v", found.Instances[0].Processes)
	}
}

// TestListBounds lists more descriptors than an answer may have: all are counted.
func TestListBounds(t *testing.T) {
	path := openMany(t, 300)
	l := lister{describer{ctx: t.Context()}, 100}
	p := l.process(os.Getpid())
	if len(p.FDs) != 100 || p.Omitted != p.Open-100 || p.Kinds["file"] < 300 || l.left != 0 {
		t.Errorf("got %d listed, %d omitted of %d, kinds %v, %d left", len(p.FDs), p.Omitted,
			p.Open, p.Kinds, l.left)
	}
	if len(p.Common) == 0 || p.Common[0].Target != path {
		t.Errorf("got the common targets %+v, want %s", p.Common, path)
	}
}

// TestReadingEndsWithContext holds the turn: a second reading ends with its context.
func TestReadingEndsWithContext(t *testing.T) {
	turn <- struct{}{}
	defer func() { <-turn }()
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if _, err := Count(ctx, os.Getpid()); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want the error of the context", err)
	}
}

// TestEnded reads a process that does not exist.
func TestEnded(t *testing.T) {
	const none = 1 << 30
	l := lister{describer{ctx: t.Context()}, 100}
	if p := l.process(none); p.Open != -1 || p.Error != "the process has ended" {
		t.Errorf("got %+v", p)
	}
	if all, err := Count(t.Context(), none); err != nil || len(all) != 0 {
		t.Errorf("got %v, %v, want no process", all, err)
	}
}

// counts returns the counts of one process: the numbers of one kind.
func counts(kind string, numbers ...int) (all [][]Counted) {
	for _, n := range numbers {
		all = append(all, []Counted{{
			Pid: 7, StartTime: 1, Limit: 1000, Kinds: map[string]int{kind: n, "epoll": 1},
		}})
	}
	return all
}

// rising returns n numbers, each of them step counts equal before the next one.
func rising(n, step int) (all []int) {
	for i := range n {
		all = append(all, 5+i/step)
	}
	return all
}

// TestWatch adds counts and compares the numbers of the counts at which a leak is reported.
func TestWatch(t *testing.T) {
	nine := rising(9, 1)
	for _, tt := range []struct {
		name    string
		numbers []int
		want    string
		present string // the leaks that are not over after the last count
	}{
		{"steady", rising(40, 40), "", ""},
		{"one more in each of nine counts", nine, "", ""},
		{"one more in each of ten counts", rising(10, 1), "10: file 5 to 14 in 10", "file 5 to 14"},
		{"one more in every third count", rising(40, 3), "16: file 5 to 10 in 16", "file 5 to 10"},
		{"a fall begins anew", append(slices.Clone(nine), append([]int{3}, rising(9, 1)...)...),
			"19: file 3 to 13 in 10", "file 3 to 13"},
		{"a pool is filled once", append([]int{5, 25, 25, 26}, rising(1, 1)...), "", ""},
		{"four rises", []int{5, 6, 7, 8, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9}, "", ""},
		{"rises, then steady", []int{1, 2, 3, 4, 5, 6, 7, 7, 7, 7, 7, 7, 7, 7}, "", ""},
		{"load goes up and down", []int{5, 9, 7, 12, 8, 15, 9, 18, 9, 20, 11, 22, 12, 25, 14}, "",
			""},
		{"one report for an episode", rising(60, 1), "10: file 5 to 14 in 10", "file 5 to 14"},
		{"small falls do not end an episode", append(rising(10, 1), append([]int{13},
			rising(20, 1)[9:]...)...), "10: file 5 to 14 in 10", "file 5 to 14"},
		{"half is closed, and it begins anew",
			append(rising(10, 1), append([]int{9}, rising(14, 1)[4:]...)...),
			"10: file 5 to 14 in 10, 20: file 9 to 17 in 10", "file 9 to 17"},
		{"near the limit", []int{700, 798, 799, 800, 790, 900, 701, 800}, "3: 80 %", "801 of 1000"},
		{"near the limit again", []int{900, 600, 900}, "1: 80 %, 3: 80 %", "901 of 1000"},
		{"half is closed, and it is over", append(rising(10, 1), 9), "10: file 5 to 14 in 10", ""},
		{"less than half is closed", append(rising(10, 1), 10), "10: file 5 to 14 in 10",
			"file 5 to 14"},
		{"no longer near the limit", []int{900, 690}, "1: 80 %", ""},
		{"still near the limit", []int{900, 710}, "1: 80 %", "711 of 1000"},
	} {
		var w Watch
		var got []string
		for i, c := range counts("file", tt.numbers...) {
			for _, l := range w.Add(c) {
				for _, g := range l.Grown {
					got = append(got, fmt.Sprintf("%d: %s %d to %d in %d", i+1, g.Kind, g.From,
						g.To, g.Counts))
				}
				if l.NearLimit {
					got = append(got, fmt.Sprintf("%d: 80 %%", i+1))
				}
			}
		}
		if text := strings.Join(got, ", "); text != tt.want {
			t.Errorf("%s: got %q, want %q", tt.name, text, tt.want)
		}
		if text := presentText(&w); text != tt.present {
			t.Errorf("%s: %q is present at the end, want %q", tt.name, text, tt.present)
		}
	}
}

// presentText returns the leaks that are not over.
func presentText(w *Watch) string {
	var all []string
	for _, l := range w.Present() {
		for _, g := range l.Grown {
			all = append(all, fmt.Sprintf("%s %d to %d", g.Kind, g.From, g.To))
		}
		if l.NearLimit {
			all = append(all, fmt.Sprintf("%d of %d", l.Open(), l.Limit))
		}
	}
	return strings.Join(all, ", ")
}

// TestWatchForgets replaces a process by one with the same pid: its counts begin anew.
func TestWatchForgets(t *testing.T) {
	var w Watch
	for i, c := range counts("file", rising(18, 1)...) {
		if i >= 9 {
			c[0].StartTime = 2
		}
		if l := w.Add(c); len(l) > 0 {
			t.Errorf("count %d: got a leak %+v, want none", i+1, l)
		}
	}
	if w.Add(nil); len(w.processes) != 0 {
		t.Errorf("ended processes are kept: %v", w.processes)
	}
}

// TestCommonTargets groups descriptors.
func TestCommonTargets(t *testing.T) {
	fds := []procfs.FD{{Num: 0, Kind: "file", Target: "/dev/null"}}
	add := func(n int, kind string, target func(i int) string) {
		for i := range n {
			fds = append(fds, procfs.FD{Num: 3 + len(fds), Kind: kind, Target: target(i)})
		}
	}
	add(9, "socket", func(i int) string {
		return fmt.Sprintf("tcp 10.0.0.1:%d -> 10.0.0.2:5432", i)
	})
	add(8, "socket", func(i int) string {
		return fmt.Sprintf("tcp 10.0.0.1:80 -> 10.0.0.9:%d", i)
	})
	add(7, "file", func(i int) string { return fmt.Sprintf("/data/%d", i) })
	add(6, "file", func(int) string { return "/etc/hosts" })
	add(5, "pipe", func(i int) string { return fmt.Sprintf("pipe:[%d]", i) })
	want := "9 tcp to 10.0.0.2:5432, 8 tcp 10.0.0.1:80 from *, 7 /data/*, 6 /etc/hosts, 5 pipe"
	var got []string
	for _, c := range commonTargets(fds, nil) {
		got = append(got, fmt.Sprintf("%d %s", c.Open, c.Target))
	}
	if text := strings.Join(got, ", "); text != want {
		t.Errorf("got %s\nwant %s", text, want)
	}
	if c := commonTargets(fds, []string{"pipe"}); len(c) != 1 || c[0].Open != 5 {
		t.Errorf("got %+v, want the pipes alone", c)
	}
}
