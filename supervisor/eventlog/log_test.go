package eventlog

import (
	"bytes"
	"context"
	"encoding/json"
	"runtime"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"tp0/supervisor/event"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func text(t *testing.T, s Settings, events ...event.Event) string {
	t.Helper()
	var out bytes.Buffer
	l := New()
	for _, e := range events {
		l.Emit(e)
	}
	l.Start(&out, s)
	if err := l.Close(t.Context()); err != nil {
		t.Error(err)
	}
	return out.String()
}

// lines has events, and their lines without the time.
var lines = []struct {
	e    event.Event
	want string
}{
	{
		event.Spawned{Child: "client1", Pid: 14, Command: "client"},
		"[INFO]  supervisor: child spawned: child=client1 pid=14 command=client",
	},
	{
		event.Ready{Child: "server", Pid: 13, Elapsed: 5 * time.Millisecond},
		"[INFO]  supervisor: child ready: child=server pid=13 elapsed_ms=5",
	},
	{
		event.SignalReceived{Signal: "SIGTERM"},
		"[INFO]  supervisor: signal received: signal=SIGTERM",
	},
	{
		event.SignalSent{Child: "client1", Pid: 14, Signal: "SIGTERM", Step: 1},
		"[INFO]  supervisor: signal sent: child=client1 pid=14 signal=SIGTERM step=1",
	},
	{
		event.SignalSent{Orphan: "sh", Pid: 14, Signal: "SIGKILL", Step: 2},
		"[WARN]  supervisor: signal sent: orphan=sh pid=14 signal=SIGKILL step=2",
	},
	{event.FDClosed{
		Owner: "client1", Pid: 14, FD: 5, Kind: "socket",
		Target: "tcp 127.0.0.1:40312 -> 127.0.0.1:12345", By: event.ByChild, Proof: "exact",
	},
		`[INFO]  supervisor: fd closed: owner=client1 pid=14 fd=5 kind=socket target="tcp ` +
			`127.0.0.1:40312 -> 127.0.0.1:12345" by=child proof=exact`},
	{event.FDClosed{
		Owner: "server", Pid: 13, FD: 9, Kind: "file", Target: "/var/lib/echo/journal",
		By: event.ByKernel, Proof: "exact",
	},
		"[INFO]  supervisor: fd closed: owner=server pid=13 fd=9 kind=file " +
			"target=/var/lib/echo/journal by=kernel proof=exact"},
	{event.FDClosed{
		Owner: "server", Pid: 13, FD: 9, Kind: "file", Target: "/var/lib/echo/journal",
		By: event.ByKernel, Proof: "exact", Finding: "open", Harm: "the kernel closed it",
		Advice: "close it",
	},
		"[WARN]  supervisor: fd closed: owner=server pid=13 fd=9 kind=file " +
			"target=/var/lib/echo/journal by=kernel proof=exact finding=open " +
			`harm="the kernel closed it" advice="close it"`},
	{event.FDClosed{
		Owner: "server", Pid: 13, FD: 9, Kind: "file", Target: "/x", By: event.ByKernel,
		Proof: "sampled",
	},
		"[INFO]  supervisor: fd closed: owner=server pid=13 fd=9 kind=file target=/x " +
			"by=kernel proof=sampled"},
	{event.FDClosed{
		Owner: "supervisor", FD: 11, Kind: "pipe", Target: "server stdout",
		By: event.BySupervisor,
	},
		`[INFO]  supervisor: fd closed: owner=supervisor fd=11 kind=pipe target="server ` +
			`stdout" by=supervisor`},
	{event.Reaped{
		Child: "client1", Pid: 14, Stopped: true, Elapsed: time.Second,
		Stop: 3 * time.Millisecond, Closed: 1, Proof: "exact",
	},
		"[INFO]  supervisor: child reaped: child=client1 pid=14 code=0 elapsed_ms=1000 " +
			"stop_ms=3 user_ms=0 sys_ms=0 max_rss_kb=0 fds_closed=1 fds_left=0 proof=exact"},
	{event.Reaped{
		Child: "client1", Pid: 14, Exit: event.Exit{Signal: "SIGSEGV"}, Proof: "none",
	},
		"[INFO]  supervisor: child reaped: child=client1 pid=14 signal=SIGSEGV elapsed_ms=0 " +
			"user_ms=0 sys_ms=0 max_rss_kb=0 fds_closed=0 fds_left=0 proof=none"},
	{event.Reaped{
		Child: "client1", Pid: 14, Exit: event.Exit{Code: 3}, Success: true, Proof: "none",
	},
		"[INFO]  supervisor: child reaped: child=client1 pid=14 code=3 elapsed_ms=0 " +
			"user_ms=0 sys_ms=0 max_rss_kb=0 fds_closed=0 fds_left=0 proof=none"},
	{
		event.OrphanReaped{Pid: 20, Command: "sh", Exit: event.Exit{Code: 3}},
		"[INFO]  supervisor: orphan reaped: pid=20 command=sh code=3",
	},
	{event.FDClosed{
		Owner: "c", Pid: 14, FD: 4, Kind: "file", Target: "/x", By: event.ByKernel,
		Proof: "exact", Process: "sh", HeldBy: "d (pid 15)",
		Detail: event.FDDetail{
			State: "established", Unread: 1, Unsent: 2, Mode: "rw", Lock: "flock write",
			Deleted: true,
		}},
		`[INFO]  supervisor: fd closed: owner=c pid=14 fd=4 kind=file target=/x by=kernel ` +
			`proof=exact process=sh state=established unread=1 unsent=2 mode=rw lock="flock ` +
			`write" deleted=true held_by="d (pid 15)"`},
	{event.Reaped{
		Child: "c", Pid: 14, Stopped: true, Left: 1, Findings: 1, Proof: "exact",
		Tree: event.TreeCounts{
			Known: true, Threads: 4, ThreadsAtEnd: 1, Processes: 2, Forked: 3,
		},
	},
		"[WARN]  supervisor: child reaped: child=c pid=14 code=0 elapsed_ms=0 stop_ms=0 " +
			"user_ms=0 sys_ms=0 max_rss_kb=0 fds_closed=0 fds_left=1 findings=1 proof=exact " +
			"threads=4 threads_at_end=1 processes=2 forked=3"},
	{event.DescendantEnded{
		Child: "c", Pid: 15, Parent: 14, Command: "sh", InStop: true, Threads: 1,
		Lifetime: time.Second, Closed: 2, Proof: "exact",
	},
		"[DEBUG] supervisor: process ended: child=c pid=15 parent=14 command=sh code=0 " +
			"in_stop=true elapsed_ms=1000 threads=1 fds_closed=2 fds_left=0 proof=exact"},
	{event.DescendantEnded{
		Child: "c", Pid: 15, Parent: 14, Command: "sh", ExitUnknown: true, Left: 1,
		Proof: "none", Reason: "its exit was not seen",
	},
		`[DEBUG] supervisor: process ended: child=c pid=15 parent=14 command=sh end=unseen ` +
			`in_stop=false elapsed_ms=0 threads=0 fds_closed=0 fds_left=1 proof=none ` +
			`reason="its exit was not seen"`},
	{event.SignalNotHandled{Child: "c", Pid: 14, Signal: "SIGTERM", Disposition: "ignored"},
		"[WARN]  supervisor: stop signal not handled: child=c pid=14 signal=SIGTERM " +
			`disposition=ignored meaning="c ignores SIGTERM: only a later step of its stop ends ` +
			`it"`},
	{event.SignalNotHandled{Child: "c", Pid: 14, Signal: "SIGTERM", Disposition: "default"},
		"[INFO]  supervisor: stop signal not handled: child=c pid=14 signal=SIGTERM " +
			`disposition=default meaning="c has no SIGTERM handler: it ends at once without ` +
			`cleaning up"`},
	{event.SignalNotHandled{
		Child: "web", Pid: 14, Signal: "SIGTERM", Disposition: "default", Cut: 2,
	},
		"[WARN]  supervisor: stop signal not handled: child=web pid=14 signal=SIGTERM " +
			`disposition=default meaning="web has no SIGTERM handler: it ended at once, and ` +
			`requests in flight on its 2 connections were cut"`},
	{event.SlowStop{
		Child: "c", Pid: 14, Stop: time.Second, Step: 1, Signal: "SIGTERM",
		Disposition: "caught", CPU: 3 * time.Millisecond, Threads: []string{"14 runs"},
	},
		`[WARN]  supervisor: child slow to stop: child=c pid=14 stop_ms=1000 step=1 ` +
			`signal=SIGTERM disposition=caught cpu_ms=3 threads=["14 runs"]`},
	{event.SlowStop{Child: "c", Pid: 14, Step: 1, Signal: "the stop hook"},
		`[WARN]  supervisor: child slow to stop: child=c pid=14 stop_ms=0 step=1 ` +
			`signal="the stop hook" cpu_ms=0 threads=[]`},
	{event.UnexpectedEnd{
		Child: "c", Pid: 14, Reason: "ended by SIGSEGV", Core: true,
		Known: "1 descriptors, 1s before: 3 /x",
	},
		`[WARN]  supervisor: child ended unexpectedly: child=c pid=14 reason="ended by ` +
			`SIGSEGV" core=true last_known="1 descriptors, 1s before: 3 /x"`},
	{event.Restarting{
		Child: "client1", Attempt: 2, Delay: 400 * time.Millisecond,
		Reason: "exited with code 1",
	},
		`[INFO]  supervisor: child restarting: child=client1 attempt=2 delay_ms=400 ` +
			`reason="exited with code 1"`},
	{
		event.ConfigReloaded{Added: []string{"a", "b"}},
		`[INFO]  supervisor: config reloaded: added=["a", "b"] removed=[] changed=[] kept=[]`,
	},
	{event.ShutdownComplete{
		Spawned: 2, Reaped: 2, Opened: 9, Closed: 9, Left: 1, Findings: 1,
		Elapsed: 9 * time.Millisecond, Deadline: 9 * time.Second, Verdict: event.Leaky,
	},
		"[WARN]  supervisor: shutdown complete: spawned=2 reaped=2 orphans=0 killed=0 " +
			"fds_opened=9 fds_closed=9 fds_left=1 findings=1 unproven=0 killed_before=0 " +
			"fds_left_before=0 lines_dropped=0 elapsed_ms=9 deadline_ms=9000 verdict=leaky"},
	{event.ShutdownComplete{
		Spawned: 2, Reaped: 2, Unproven: 1, UnprovenNames: []string{"web (pid 7)"}, Strict: true,
		Failed: []string{"db"}, Verdict: event.Graceful,
	},
		"[INFO]  supervisor: shutdown complete: spawned=2 reaped=2 orphans=0 killed=0 " +
			"fds_opened=0 fds_closed=0 fds_left=0 findings=0 unproven=1 " +
			`unproven_processes=["web (pid 7)"] killed_before=0 fds_left_before=0 ` +
			`lines_dropped=0 failed=["db"] elapsed_ms=0 deadline_ms=0 verdict=graceful`},
}

// TestLines checks the stable part of the log.
func TestLines(t *testing.T) {
	for _, tt := range lines {
		got := text(t, Settings{Level: "debug"}, tt.e)
		_, got, _ = strings.Cut(strings.TrimSuffix(got, "\n"), " ")
		if got != tt.want {
			t.Errorf("got  %s\nwant %s", got, tt.want)
		}
	}
}

// TestUntrustedTextIsEscaped checks that no value brings an escape sequence or a line of its own
// into the log.
func TestUntrustedTextIsEscaped(t *testing.T) {
	hostile := "\x1b[2J\x9b31m\u009b\x7f\u2028\u202e\r\nsupervisor: shutdown complete\x07"
	for _, e := range []event.Event{
		event.Spawned{Child: hostile, Command: hostile},
		event.OrphanReaped{Command: hostile},
		event.UnexpectedEnd{Output: []string{hostile, hostile}, Reason: hostile},
		event.FDClosed{Target: hostile, Kind: hostile},
		event.FDClosed{
			Process: hostile, HeldBy: hostile,
			Detail: event.FDDetail{State: hostile, Lock: hostile},
		},
		event.DescendantEnded{Child: hostile, Command: hostile, Reason: hostile},
		event.SlowStop{Child: hostile, Disposition: hostile, Threads: []string{hostile, hostile}},
		event.SignalNotHandled{Child: hostile, Disposition: hostile},
		event.UnexpectedEnd{Known: hostile},
		event.OutputDropped{Dest: hostile, Reason: hostile},
		event.Warning{What: "x", Reason: hostile},
		event.SpawnDelayed{Child: hostile, Limit: hostile, Reason: hostile},
		event.ProbeSkipped{
			Child: hostile, Probe: hostile, Resource: hostile, Limit: hostile, Reason: hostile,
		},
	} {
		got := text(t, Settings{Level: "debug"}, e)
		if strings.ContainsAny(got, "\x1b\r\x07\u202e\u009b") || strings.Count(got, "\n") != 1 {
			t.Errorf("%T: got %q, want one line without control characters", e, got)
		}
	}
	encoded := text(t, Settings{Level: "info", Format: "json"}, event.Spawned{Child: hostile})
	if strings.ContainsAny(encoded, "\x1b\r\x07\x7f\u202e\u009b\u2028") {
		t.Errorf("JSON: %q", encoded)
	}
	got := text(t, Settings{Level: "info"}, event.ConfigRejected{Diagnostics: "one\n\x1b[2Jtwo"})
	if strings.ContainsAny(got, "\x1b") || strings.Count(got, "\n") < 2 {
		t.Errorf("diagnostics: %q", got)
	}
}

func TestJSON(t *testing.T) {
	got := text(
		t,
		Settings{Level: "info", Format: "json"},
		event.Ready{Child: "a\nb", Pid: 3, Elapsed: time.Second},
		event.ConfigReloaded{Kept: []string{"a"}},
	)
	lines := strings.Split(strings.TrimSpace(got), "\n")
	if len(lines) != 2 {
		t.Fatalf("%d lines: %s", len(lines), got)
	}
	var m map[string]any
	if err := json.Unmarshal([]byte(lines[0]), &m); err != nil {
		t.Fatal(err)
	}
	if m["@message"] != event.MsgReady || m["@level"] != "info" || m["@module"] != "supervisor" ||
		m["child"] != "a\nb" ||
		m["elapsed_ms"] != 1000.0 {
		t.Errorf("got %v, want the record of a ready child", m)
	}
	if _, err := time.Parse(time.RFC3339Nano, m["@timestamp"].(string)); err != nil {
		t.Error(err)
	}
}

func TestSetKeepsOrder(t *testing.T) {
	var out bytes.Buffer
	l := New()
	l.Emit(event.FDOpened{FD: 1})
	l.Set(Settings{Level: "debug"})
	l.Emit(event.FDOpened{FD: 2})
	l.Start(&out, Settings{Level: "info", FDs: event.LogChildren})
	if err := l.Close(t.Context()); err != nil {
		t.Error(err)
	}
	if got := out.String(); strings.Contains(got, "fd=1") || !strings.Contains(got, "fd=2") {
		t.Error(got)
	}
}

// blockingWriter blocks in its first write.
type blockingWriter struct {
	bytes.Buffer
	first chan struct{} // closed when the first write starts
	then  chan struct{} // the first write waits until it is closed
}

func (s *blockingWriter) Write(p []byte) (int, error) {
	select {
	case <-s.first:
	default:
		close(s.first)
		<-s.then
	}
	return s.Buffer.Write(p)
}

// TestCloseDropsQueuedEvents checks that Close drops and counts what is queued when its context
// ends, and writes the last event all the same.
func TestCloseDropsQueuedEvents(t *testing.T) {
	w := &blockingWriter{first: make(chan struct{}), then: make(chan struct{})}
	l := New()
	l.Emit(event.Ready{Child: "first"})
	l.Start(w, Settings{Level: "info"})
	<-w.first
	for range 1000 {
		l.Emit(event.Ready{Child: "late"})
	}
	l.Emit(event.ShutdownComplete{Verdict: event.Graceful})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	done := make(chan error)
	go func() { done <- l.Close(ctx) }()
	for !l.lastOnly.Load() {
		runtime.Gosched()
	}
	close(w.then)
	if err := <-done; err == nil {
		t.Error("no error")
	}
	got := w.String()
	if strings.Contains(got, "child=late") || !strings.Contains(got, "lines=1000") ||
		!strings.HasSuffix(got, "verdict=graceful\n") {
		t.Errorf("got %.400s, want 1000 dropped lines, then the last line", got)
	}
}

// TestManyDescriptors checks that the lines on the descriptors of one process are bounded, and
// that the bound is that of each process alone.
func TestManyDescriptors(t *testing.T) {
	var events []event.Event
	for fd := range maxFDLines + 3 {
		for _, pid := range []int{7, 8} {
			if pid == 7 || fd < maxFDLines {
				events = append(events, event.FDClosed{Pid: pid, FD: fd, By: event.ByChild})
			}
		}
	}
	got := text(t, Settings{Level: "info"}, append(events,
		event.Reaped{Pid: 7, FDsOmitted: 5}, event.Reaped{Pid: 8},
		event.FDClosed{Pid: 7, By: event.ByChild})...)
	if n := strings.Count(got, "fd closed"); n != 2*maxFDLines+1 {
		t.Errorf("%d descriptors are logged, want %d", n, 2*maxFDLines+1)
	}
	const want = "lines dropped: dest=log lines=8 " // with 5 that were not emitted
	if n := strings.Count(got, want); n != 1 || strings.Count(got, "lines dropped") != 1 {
		t.Errorf("%d lines with %q, want 1, and no other", n, want)
	}
}
