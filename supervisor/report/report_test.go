package report

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"go.uber.org/goleak"

	"tp0/supervisor/event"
	"tp0/supervisor/fixture/attacker"
)

func TestMain(m *testing.M) {
	attacker.Run()
	goleak.VerifyTestMain(m)
}

// timedRecorder is a recorder whose clock the test moves.
type timedRecorder struct {
	*Recorder
	clock time.Time
}

func newTimedRecorder() *timedRecorder {
	t := &timedRecorder{Recorder: NewRecorder(), clock: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
	t.now = func() time.Time { return t.clock }
	return t
}

// after emits events a number of ms after the previous ones.
func (t *timedRecorder) after(ms float64, events ...event.Event) {
	t.clock = t.clock.Add(time.Duration(ms * 1e6))
	for _, e := range events {
		t.Emit(e)
	}
}

func facts(elapsed time.Duration) Facts {
	return Facts{
		Version: "v1", Host: "host", Config: "/supervisor.hcl",
		Complete: event.ShutdownComplete{
			Elapsed: elapsed, Deadline: time.Second, Verdict: event.Leaky,
		},
	}
}

// endOfServer records the end of the server and of two orphans.
func endOfServer(t *timedRecorder) {
	t.after(1, event.SignalSent{Child: "server", Pid: 10, Signal: "SIGTERM", Step: 1})
	t.after(2,
		event.FDClosed{
			Owner: "server", Pid: 10, FD: 5, Kind: "socket", Target: "tcp [::]:1 listen",
			By: event.ByChild, Proof: "exact",
		},
		event.FDClosed{
			Owner: "server", Pid: 10, FD: 1, Kind: "pipe", By: event.ByKernel, Proof: "exact",
			NotCounted: "standard stream",
		},
		event.FDClosed{
			Owner: "server", Pid: 15, FD: 6, Kind: "file", Target: "/log", By: event.ByKernel,
			Proof: "exact", Process: "sh", HeldBy: "sh (pid 20)",
			Detail: event.FDDetail{Mode: "w", Unread: 3, Deleted: true}},
		event.Reaped{
			Child: "server", Pid: 10, Stopped: true, Stop: 2 * time.Millisecond, Closed: 1, Left: 1,
			Proof: "exact",
		},
		event.DescendantEnded{
			Child: "server", Pid: 15, Parent: 1, Command: "late", ExitUnknown: true,
		})
	t.after(
		1, event.SignalSent{Orphan: "daemon", Pid: 30, Signal: "SIGTERM", Step: 1},
		event.OrphanReaped{Pid: 31, Command: "other"},
	)
	t.after(3, event.OrphanReaped{Pid: 30, Command: "daemon", Exit: event.Exit{Code: 1}},
		event.FDClosed{
			Owner: "supervisor", FD: 7, Kind: "pipe", Target: "server stdout",
			By: event.BySupervisor,
		},
		event.Warning{What: "pid file not removed", Reason: "gone"})
}

// fullStop returns the report of a stop that has an entry in every list.
func fullStop() *Document {
	t := newTimedRecorder()
	t.after(
		0, event.Spawned{Child: "server", Pid: 10, Command: "server"},
		event.Spawned{Child: "client", Pid: 11, Command: "client"},
		event.Spawned{Child: "job", Pid: 12, Command: "job"},
		event.Ready{Child: "server", Pid: 10, Elapsed: time.Millisecond},
	)
	t.after(
		5, event.Reaped{Child: "job", Pid: 12, Exit: event.Exit{Code: 3}},
		event.Failed{Child: "job", Reason: "exited with code 3"},
	)
	t.after(
		100, event.SignalReceived{Signal: "SIGHUP", Meaning: "reload"},
		event.SignalReceived{Signal: "SIGTERM"},
	)
	t.after(1, event.SignalSent{Child: "client", Pid: 11, Signal: "SIGTERM", Step: 1})
	t.after(20, event.SignalSent{Child: "client", Pid: 11, Signal: "SIGKILL", Step: 2},
		event.SlowStop{
			Child: "client", Pid: 11, Step: 1, Signal: "SIGTERM", Disposition: "ignored",
			Threads: []string{"11 futex"},
		})
	t.after(1, event.ProofUnavailable{
		Child: "client", Pid: 11, Proof: "sampled", Reason: "it is traced",
	},
		event.DescendantEnded{
			Child: "client", Pid: 14, Parent: 11, Command: "sh", Lifetime: time.Second,
		},
		event.Reaped{
			Child: "client", Pid: 11, Exit: event.Exit{Signal: "SIGKILL"}, Stopped: true,
			Stop: 21500 * time.Microsecond, Proof: "sampled",
			Tree: event.TreeCounts{Known: true, Threads: 3},
		})
	endOfServer(t)
	f := facts(30 * time.Millisecond)
	f.Group = map[string]string{"server": "server", "client": "client", "job": "job"}
	f.DependsOn = map[string][]string{"client": {"server"}}
	return t.Report(f)
}

func TestDocument(t *testing.T) {
	d := fullStop()
	if d.Signal != "SIGTERM" || d.Elapsed != 30 || d.Deadline != 1000 || d.Verdict != event.Leaky ||
		d.Omitted != 0 {
		t.Errorf("got the document %+v", d)
	}
	if len(d.Children) != 2 || d.Children[0].Child != "client" || d.Children[1].Child != "server" {
		t.Fatalf("children: %+v", d.Children)
	}
	c, s := d.Children[0], d.Children[1]
	if want := []Step{{1, "SIGTERM", 1}, {2, "SIGKILL", 21}}; !slices.Equal(c.Steps, want) {
		t.Errorf("steps %+v", c.Steps)
	}
	if *c.Ended != 22 || *c.Stop != 21.5 || c.Spawned != -105 || c.Exit.Signal != "SIGKILL" ||
		c.NoProof != "it is traced" ||
		c.Ready != nil || c.Tree.Threads != 3 || len(c.Slow) != 1 || len(c.Processes) != 1 ||
		c.Processes[0].Exit == nil {
		t.Errorf("client: %+v", c)
	}
	if *s.Ready != 1 || len(s.Closed) != 1 || len(s.Left) != 2 || len(counted(s.Left)) != 1 ||
		s.LeftN != 1 ||
		len(s.Processes) != 1 || s.Processes[0].Exit != nil {
		t.Errorf("server: %+v", s)
	}
	if f := s.Left[1]; f.Pid != 15 || f.HeldBy != "sh (pid 20)" || f.Mode != "w" || f.Unread != 3 ||
		!f.Deleted || f.At != 25 {
		t.Errorf("got the descriptor %+v of a descendant", f)
	}
	if len(d.Before) != 1 || d.Before[0] != (EarlierEnd{"job", 12, 0, -100, event.Exit{Code: 3}}) {
		t.Errorf("before: %+v", d.Before)
	}
	if len(d.Orphans) != 2 || *d.Orphans[0].Ended != 29 || d.Orphans[0].Exit.Code != 1 ||
		len(d.Orphans[1].Steps) != 0 {
		t.Errorf("orphans: %+v", d.Orphans)
	}
	if len(d.Own) != 1 || len(d.Signals) != 1 || len(d.Warnings) != 2 ||
		d.Warnings[0].Child != "job" || d.Warnings[0].At != -100 {
		t.Errorf("own %+v, signals %+v, warnings %+v", d.Own, d.Signals, d.Warnings)
	}
}

// TestBudget checks that the budget has no gaps and follows the order of the stop.
func TestBudget(t *testing.T) {
	d := fullStop()
	var who []string
	at, share := 0.0, 0.0
	for _, s := range d.Budget {
		who = append(who, s.Who)
		if s.From != at {
			t.Errorf("the budget has a gap before %+v", s)
		}
		at = s.To
		share += s.Share
	}
	if at != d.Elapsed || math.Abs(share-1) > 0.001 {
		t.Errorf("the budget ends at %v ms, want %v; the shares add up to %v, want 1",
			at, d.Elapsed, share)
	}
	want := []string{self, "client", self, "server", self, "daemon", self}
	if !slices.Equal(who, want) {
		t.Errorf("got the budget %v, want %v", who, want)
	}
	if top := totals(d.Budget)[0]; top.Who != "client" || top.Took != 21 || top.Steps != 2 {
		t.Errorf("got the largest total %+v, want client with 21 ms and 2 steps", top)
	}
}

// TestBudgetOfParallelStops checks that the budget lists only the slower one of two children that
// are stopped at the same time.
func TestBudgetOfParallelStops(t *testing.T) {
	r := newTimedRecorder()
	r.after(
		0, event.Spawned{Child: "a", Pid: 1}, event.Spawned{Child: "b", Pid: 2},
		event.SignalReceived{Signal: "SIGINT"},
	)
	r.after(1, event.SignalSent{Child: "a", Pid: 1, Signal: "SIGTERM", Step: 1})
	r.after(1, event.Reaped{Child: "a", Pid: 1})
	r.after(1, event.SignalSent{Child: "b", Pid: 2, Signal: "SIGTERM", Step: 1})
	f := facts(9 * time.Millisecond)
	f.Group = map[string]string{"a": "a", "b": "b"}
	d := r.Report(f) // b was never reaped
	if len(d.Budget) != 2 || d.Budget[1].Who != "b" || d.Budget[1].From != 3 ||
		d.Budget[1].To != 9 || d.Children[1].Ended != nil {
		t.Errorf("got the budget %+v, want b from 3 to 9 ms", d.Budget)
	}
}

// TestMemoryBeforeTheStop checks that the recorder does not grow before the stop: a supervisor runs
// for months.
func TestMemoryBeforeTheStop(t *testing.T) {
	r := NewRecorder()
	lifeOf := func(name string, pid int) {
		r.Emit(event.Spawned{Child: name, Pid: pid})
		r.Emit(event.Ready{Child: name, Pid: pid})
		r.Emit(event.FDOpened{FD: 3})
		r.Emit(event.SignalSent{Child: name, Pid: pid, Signal: "SIGTERM", Step: 1})
		r.Emit(event.SignalSent{Orphan: "o", Pid: pid + 1, Signal: "SIGTERM", Step: 1})
		r.Emit(event.OrphanReaped{Pid: pid + 1})
		r.Emit(event.FDClosed{Owner: name, Pid: pid})
		r.Emit(event.FDClosed{Owner: "supervisor"})
		r.Emit(event.Reaped{Child: name, Pid: pid})
		r.Emit(event.Restarting{Child: name})
		r.Emit(event.Warning{What: "w"})
		r.Emit(event.Failed{Child: name})
	}
	for i := range 1000 {
		lifeOf("restarted", 1+i)
	}
	if len(r.instances) != 1 || r.endedInstances != 1 ||
		len(r.running)+len(r.processes)+len(r.orphans) != 0 ||
		len(r.livingOrphans)+len(r.ownFDs)+r.entries != 0 ||
		len(r.warnings) != maxEarlyWarnings {
		t.Fatalf("got %+v, want one ended instance", r)
	}
	lifeOf("removed", 1)
	r.Emit(event.ConfigReloaded{Removed: []string{"removed", "unknown"}})
	if len(r.instances) != 1 || r.endedInstances != 1 {
		t.Errorf("%d instances, %d ended, want 1 of each", len(r.instances), r.endedInstances)
	}
	for i := range maxEndedInstances + 100 {
		lifeOf(fmt.Sprint("name", i), 1)
	}
	if len(r.instances) != maxEndedInstances || r.endedInstances != maxEndedInstances {
		t.Errorf("%d instances are kept, %d ended", len(r.instances), r.endedInstances)
	}
	r.Emit(event.Spawned{Child: "restarted", Pid: 1})
	// The last end was long before, so it did not begin the stop.
	r.now = func() time.Time { return time.Now().Add(time.Second) }
	r.Emit(event.ShutdownBegun{Reason: "child failed"})
	d := r.Report(facts(0))
	if len(d.Children) != 1 || d.Children[0].Restarts != 1000 ||
		len(d.Before) != maxEndedInstances-1 ||
		d.Reason != "child failed" {
		t.Errorf("%d children in the stop, %d ended before", len(d.Children), len(d.Before))
	}
}

// TestSignalsOutsideTheStop checks that a reload_signal before the stop is not a step, and that a
// signal which exec forwarded is one: the command can end because of it.
func TestSignalsOutsideTheStop(t *testing.T) {
	for _, passed := range []bool{false, true} {
		r := NewRecorder()
		r.Emit(event.Spawned{Child: "c", Pid: 1})
		r.Emit(event.SignalReceived{Signal: "SIGHUP", Forwarded: passed})
		r.Emit(event.SignalSent{Child: "c", Pid: 1, Signal: "SIGHUP"})
		r.Emit(event.SignalReceived{Signal: "SIGTERM"})
		r.Emit(event.SignalSent{Child: "c", Pid: 1, Signal: "SIGTERM", Step: 1})
		d := r.Report(facts(0))
		want := 1
		if passed {
			want = 2
		}
		if len(d.Children) != 1 || len(d.Children[0].Steps) != want {
			t.Errorf("passed %v: %+v", passed, d.Children)
		}
	}
}

// TestMaxEntries checks that entries beyond the limit are left out and counted.
func TestMaxEntries(t *testing.T) {
	r := NewRecorder()
	r.Emit(event.Spawned{Child: "c", Pid: 1})
	r.Emit(event.SignalReceived{Signal: "SIGTERM"})
	for i := range maxEntries + 9 {
		r.Emit(
			event.FDClosed{
				Owner: "c", Pid: 1, FD: i, Target: strings.Repeat("x", 20), By: event.ByChild,
			},
		)
	}
	d := r.Report(facts(time.Second))
	if n := len(d.Children[0].Closed); n != maxEntries-1 || d.Omitted != 10 {
		t.Errorf("%d kept, %d left out", n, d.Omitted)
	}
	var page bytes.Buffer
	if err := Page(&page, d); err != nil {
		t.Fatal(err)
	}
	back, err := Read(&page)
	if err != nil || len(back.Children[0].Closed) != maxEntries-1 {
		t.Errorf("the document in the page is not complete: %v", err)
	}
}

// TestHostileTexts checks that texts which children chose have no effect in a page or a terminal.
func TestHostileTexts(t *testing.T) {
	const hostile = "</script><script>alert(1)</script>" +
		"<img src=x onerror=alert(1)>\"'`{{.}}\x1b[2J\xff\u202e\n"
	r := NewRecorder()
	r.Emit(event.Spawned{Child: hostile, Pid: 1, Command: hostile})
	r.Emit(event.Spawned{Child: "gone", Pid: 9, Command: hostile})
	r.Emit(event.Reaped{Child: "gone", Pid: 9})
	r.Emit(event.SignalNotHandled{Child: hostile, Pid: 1, Signal: "SIGTERM"})
	r.Emit(event.ShutdownBegun{Reason: hostile})
	r.Emit(event.SignalSent{Child: hostile, Pid: 1, Signal: "SIGTERM", Step: 1})
	for _, by := range []string{event.ByChild, event.ByKernel} {
		r.Emit(event.FDClosed{
			Owner: hostile, Pid: 1, Kind: hostile, Target: hostile, By: by,
			Process: hostile, HeldBy: hostile,
			Finding: hostile, Harm: hostile, Advice: hostile,
		})
	}
	r.Emit(event.SlowStop{Child: hostile, Pid: 1, Threads: []string{hostile}})
	r.Emit(event.DescendantEnded{Child: hostile, Pid: 2, Command: hostile, Reason: hostile})
	r.Emit(event.SignalSent{Orphan: hostile, Pid: 3, Signal: "SIGKILL", Step: 2})
	r.Emit(event.Warning{What: hostile, Reason: hostile})
	f := facts(time.Second)
	f.Host, f.Config = hostile, hostile
	d := r.Report(f)
	var page, text bytes.Buffer
	if err := Page(&page, d); err != nil {
		t.Fatal(err)
	}
	shown, _, _ := strings.Cut(page.String(), jsonElement)
	for _, bad := range []string{"<script", "<img", "\x1b", "\u202e", "ZgotmplZ"} {
		if i := strings.Index(shown, bad); i >= 0 {
			t.Errorf("%q in %q", bad, shown[max(0, i-80):i+80])
		}
	}
	if p := page.String(); strings.Count(p, "<script") != 1 || !utf8.ValidString(p) {
		t.Error("the page has another script, or is not UTF-8")
	}
	back, err := Read(&page)
	if err != nil {
		t.Fatal(err)
	}
	a, _ := json.Marshal(d)
	b, _ := json.Marshal(back)
	if !bytes.Equal(a, b) {
		t.Error("the document in the page differs")
	}
	if err := Text(&text, back); err != nil {
		t.Fatal(err)
	}
	for i, line := range strings.Split(text.String(), "\n") {
		if strings.ContainsFunc(line, func(r rune) bool {
			return r < ' ' || r == 0x7f || r == '\u202e'
		}) {
			t.Errorf("line %d has a control character: %q", i, line)
		}
	}
}

// TestPageNeedsNothingElse checks that the page refers to no other file and has no script.
func TestPageNeedsNothingElse(t *testing.T) {
	var page bytes.Buffer
	if err := Page(&page, fullStop()); err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{
		"http:", "https:", "//", "@import", "url(", "<link", "<img", "<iframe", " onload=",
		"javascript",
	} {
		for line := range strings.SplitSeq(page.String(), "\n") {
			if i := strings.Index(line, bad); i >= 0 {
				t.Errorf("%q in %.200s", bad, line)
			}
		}
	}
	for _, want := range []string{
		"default-src 'none'", "prefers-color-scheme: dark", "left open: fd 6",
		"closed by server: fd 5", "orphan", "SIGKILL at 21",
		"<summary>Warnings", "<summary>Children", "<summary>Orphans",
		"<summary>Ended before the stop", "<summary>Left open, no finding",
		"<summary>Closed by the children", "<summary>Closed by the supervisor",
		"<summary>Not counted", "<summary>Since the start",
	} {
		if !strings.Contains(page.String(), want) {
			t.Errorf("no %q in the page", want)
		}
	}
}

func TestText(t *testing.T) {
	text := printed(t, fullStop())
	for _, want := range []string{
		"leaky: exit code 0 after 30 of 1000 ms\n",
		"in this stop: 2 processes, 2 ended, 0 killed, 2 orphans, 0 findings, 0 left open\n",
		"server                 15   6   file  /log    mode w, 3 bytes unread, deleted, by sh, " +
			"held by sh (pid 20)  exact\n",
		"client             11   21  70.0 %  2\n",
		"\nclient ignores SIGTERM: SIGKILL ended it after 21.5 ms\n",
		"client    11   TERM KILL  1      21.5     SIGKILL  0       0               sampled\n",
		"daemon   30   TERM     26     29        code 1\n",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
}

func printed(t *testing.T, d *Document) string {
	t.Helper()
	var text bytes.Buffer
	if err := Text(&text, d); err != nil {
		t.Fatal(err)
	}
	return text.String()
}

func TestRead(t *testing.T) {
	for _, tt := range []struct{ text, want string }{
		{"", "no report of a stop"},
		{"hello", "no report of a stop"},
		{"[]", "no report of a stop"},
		{"null", "it has no schema"},
		{"{}", "it has no schema"},
		{`{"schema": 0}`, "it has no schema"},
		{
			`{"schema": 2, "children": 7}`,
			"written by a newer supervisor: it has schema 2, and this one reads 1",
		},
		{`{"schema": 1, "children": 7}`, "no report of a stop"},
		{`{"schema": 1, "layers": []}`, "no report of a stop: it has no children"},
		{`{"schema": 1, "children": [`, "no report of a stop, or a truncated one"},
		{`<html>` + jsonElement + `{"schema": 1</script>`, "no report of a stop"},
		{strings.Repeat("[", 1e6), "no report of a stop"},
	} {
		if _, err := Read(strings.NewReader(tt.text)); err == nil ||
			!strings.Contains(err.Error(), tt.want) {
			t.Errorf("%.40q: got %v, want %q", tt.text, err, tt.want)
		}
	}
	endless := endless{}
	if _, err := Read(endless); err == nil || !strings.Contains(err.Error(), "larger than") {
		t.Errorf("endless input: got %v, want an error about its size", err)
	}
	d, err := Read(
		strings.NewReader(
			`{"schema": 1, "children": [{"steps": null}], "budget": [{}], "orphans": [{}]}`,
		),
	)
	if err != nil {
		t.Fatal(err)
	}
	if err := Text(&bytes.Buffer{}, d); err != nil {
		t.Error(err)
	}
	if err := Page(&bytes.Buffer{}, d); err != nil {
		t.Error(err)
	}
}

type endless struct{}

func (endless) Read(b []byte) (int, error) { return len(b), nil }

// many is the stop of n children.
func many(n int) *Document {
	t := newTimedRecorder()
	for i := range n {
		t.after(0, event.Spawned{Child: fmt.Sprint("c", i), Pid: 1000 + i, Command: "c"})
	}
	t.after(1, event.SignalReceived{Signal: "SIGTERM"})
	for i := range n {
		t.after(
			0.01,
			event.SignalSent{Child: fmt.Sprint("c", i), Pid: 1000 + i, Signal: "SIGTERM", Step: 1},
		)
	}
	for i := range n {
		for fd := range 5 {
			t.after(
				0,
				event.FDClosed{
					Owner: fmt.Sprint("c", i), Pid: 1000 + i, FD: fd, Kind: "socket",
					Target: "tcp 127.0.0.1:40312 -> 127.0.0.1:12345", By: event.ByChild,
					Proof: "exact",
				},
			)
		}
		t.after(
			0.1,
			event.Reaped{
				Child: fmt.Sprint("c", i), Pid: 1000 + i, Stopped: true,
				Stop: time.Duration(100*n+90*i) * time.Microsecond, Closed: 5, Proof: "exact",
			},
		)
	}
	return t.Report(facts(time.Second))
}

func TestThousandChildren(t *testing.T) {
	d := many(1000)
	c := newChart(d)
	if len(c.Lanes) != 1+unfoldedLanes || len(c.Folded) != maxLanes-unfoldedLanes ||
		c.Hidden != 1000-maxLanes {
		t.Errorf("%d lanes, %d folded, %d hidden", len(c.Lanes), len(c.Folded), c.Hidden)
	}
	if c.Lanes[len(c.Lanes)-1].Name != "c999" {
		t.Errorf("the last lane is %s, want the slowest child, c999", c.Lanes[len(c.Lanes)-1].Name)
	}
	// The other two are the lane of the supervisor and the axis.
	if n := strings.Count(page(t, d), `class="lane `); n != maxLanes+2 {
		t.Errorf("%d lanes in the page", n)
	}
}

// TestEqualLanes checks that the limit of lanes also holds for stops of equal duration.
func TestEqualLanes(t *testing.T) {
	d := many(300)
	for i := range d.Children {
		*d.Children[i].Stop = 1
	}
	if c := newChart(d); len(c.Lanes)+len(c.Folded) != 1+maxLanes || c.Hidden != 300-maxLanes {
		t.Errorf("%d lanes, %d folded, %d hidden", len(c.Lanes), len(c.Folded), c.Hidden)
	}
}

func BenchmarkPage(b *testing.B) {
	d := many(1000)
	for b.Loop() {
		var page bytes.Buffer
		if err := Page(&page, d); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkEmit(b *testing.B) {
	r := NewRecorder()
	r.Emit(event.Spawned{Child: "c", Pid: 1})
	var e event.Event = event.FDClosed{Owner: "c", Pid: 1}
	for b.Loop() {
		r.Emit(e)
	}
}
