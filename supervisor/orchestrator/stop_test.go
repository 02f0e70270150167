package orchestrator

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"

	"tp0/supervisor/api"
	"tp0/supervisor/config"
	"tp0/supervisor/event"
	"tp0/supervisor/findings"
	"tp0/supervisor/output"
	"tp0/supervisor/process"
	"tp0/supervisor/procfs"
)

// TestReadyByListening uses the pid of the test itself, which listens on the address.
func TestReadyByListening(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	cfg := configs(newConfig(child("a", readyAt(l.Addr().String())), child("b", after("a"))))
	late := []step{
		{"wait 999ms", ""},
		{"health", "a is starting"},
		{"wait 1ms", "a not ready, SIGTERM a"},
		{"health", "a is unready"},
		{"wait 2s", "SIGKILL a"},
	}
	runScripts(t, []script{
		{"the child listens", cfg, []step{
			{"", "spawn a"},
			{fmt.Sprintf("spawned a %d", os.Getpid()), "a ready, spawn b"},
		}},
		{"another process listens", cfg, append([]step{
			{"", "spawn a"},
			{"spawned a", ""},
		}, append(late,
			step{"exit a", "a restart 1"}, // exit code 0 after a ready timeout is a failure
			step{"wait 1s", "spawn a"},
			step{fmt.Sprintf("spawned a %d", os.Getpid()), "a ready, spawn b"})...)},
		{"a stop continues the stop sequence after a ready timeout", cfg, append([]step{
			{"", "spawn a"},
			{"spawned a", ""},
		}, append(late[:3:3],
			step{"wait 1s", ""},
			step{"TERM", ""},
			step{"wait 1s", "SIGKILL a"},
			step{"exit a", "cleanup"})...)},
		{"the process ends before it is ready", cfg, []step{
			{"", "spawn a"},
			{"spawned a", ""},
			{"exit a 1", "a restart 1"},
			{"wait 1s", "spawn a"},
			{"TERM", "SIGTERM a"},
			{fmt.Sprintf("spawned a %d", os.Getpid()), ""}, // the stop has begun
			{"exit a", "cleanup"},
		}},
	})
}

func TestRestartDelays(t *testing.T) {
	patient := policy(func(p *config.Policy) {
		p.Restart = config.Restart{
			On: "always", Attempts: 5, Interval: time.Hour,
			Delay: time.Second, MaxDelay: 6 * time.Second,
		}
	})
	withHarness(t, configs(newConfig(child("a", patient))), func(h *harness) {
		h.want("", "spawn a")
		for n, seconds := range []time.Duration{1, 2, 4, 6, 6} {
			h.want("spawned a", "a ready")
			h.want("exit a", fmt.Sprintf("a restart %d", n+1))
			d := eventsOf[event.Restarting](h)[n].Delay
			least, most := seconds*800*time.Millisecond, seconds*1200*time.Millisecond
			if most = min(most, 6*time.Second); d < least || d > most {
				h.t.Errorf("restart %d: got a delay of %v, want %v to %v", n+1, d, least, most)
			}
			h.want(fmt.Sprintf("wait %v", d-1), "")
			h.want("wait 1ns", "spawn a")
		}
		h.want("spawned a", "a ready")
		h.want("exit a", "a failed, stop: a failed, and on_failure is \"shutdown\", cleanup")
	})
}

func TestBudget(t *testing.T) {
	withHarness(t, configs(newConfig(child("a"))), func(h *harness) {
		h.want("spawned a", "spawn a, a ready")
		began := time.Now()
		h.want("TERM", "SIGTERM a")
		h.want("wait 1s", "")
		h.want("exit a", "cleanup")
		h.want("TERM", "cleanup")
		want := [][2]time.Duration{
			{deadline - reserve, deadline - reserve/4},
			{time.Second, deadline - reserve/4}, // the second request kills orphans now
		}
		if !reflect.DeepEqual(h.cleanups, want) {
			t.Errorf("cleanups: got %v, want %v", h.cleanups, want)
		}
		h.o.Deliver(process.OrphanSignalled{Pid: 9, Command: "o", Signal: unix.SIGTERM, Step: 1})
		h.o.Deliver(process.OrphanSignalled{Pid: 9, Command: "o", Signal: unix.SIGKILL, Step: 2})
		h.o.Deliver(process.OrphanReaped{Pid: 9, Command: "o", Exit: event.Exit{Signal: "SIGKILL"}})
		h.do("cleaned-up")
		const end = "forced 124: spawned 1, reaped 1, orphans 1, killed 1, left 0"
		if got := h.end(); got != end {
			t.Errorf("got %s, want %s", got, end)
		}
		if !h.o.Deadline().Equal(began.Add(deadline)) {
			got := h.o.Deadline().Sub(began)
			t.Errorf("deadline: got %v after the signal, want %v", got, deadline)
		}
		if c := h.o.Summary(); c.Elapsed != time.Second || c.Deadline != deadline {
			t.Errorf("summary: got %+v, want 1 s of %v", c, deadline)
		}
	})
}

// messages returns the messages about an instance.
func messages(events []event.Event, name string) (all []string) {
	for _, e := range events {
		if r := e.Record(); slices.Contains(r.Fields, any(name)) {
			all = append(all, r.Message)
		}
	}
	return all
}

// TestEventFields checks the fields of the events of a crash and of a stop.
func TestEventFields(t *testing.T) {
	withHarness(t, configs(newConfig(child("a"), child("b"))), func(h *harness) {
		h.want("spawned a", "spawn a, spawn b, a ready")
		h.want("spawned b", "b ready")
		h.do("wait 1s")
		h.want("exit-by b SIGSEGV", "b restart 1")
		u := eventsOf[event.UnexpectedEnd](h)
		if len(u) != 1 || u[0].Child != "b" || u[0].Reason != "ended by SIGSEGV" {
			t.Errorf("unexpected ends: got %+v, want one of b by SIGSEGV", u)
		}
		if got := messages(h.events, "b"); !slices.Equal(got[len(got)-3:], []string{
			event.MsgReaped, event.MsgUnexpectedEnd, event.MsgRestarting,
		}) {
			t.Errorf("got %q, want the end, then why, then what follows", got)
		}
		h.do("wait 1s")
		h.want("spawned b", "spawn b, b ready")
		h.want("INT", "SIGTERM a, SIGTERM b")
		a, b := h.processes[0], h.processes[1]
		sent := event.SignalSent{Child: "a", Pid: a.pid, Signal: "SIGTERM", Step: 1}
		if s := eventsOf[event.SignalSent](h); len(s) != 2 || s[0] != sent {
			t.Errorf("signals: got %+v, want two, the first %+v", s, sent)
		}
		failed := process.Signalled{Signal: unix.SIGCONT}
		failed.Process, failed.Pid, failed.Err = a.id, a.pid, unix.EPERM
		h.o.Deliver(failed)
		failed.Process, failed.Pid, failed.Err = b.id, b.pid, unix.ESRCH // it has just ended
		h.o.Deliver(failed)
		f := eventsOf[event.SignalFailed](h)
		if len(f) != 1 || f[0].Child != "a" || f[0].Signal != "SIGCONT" {
			t.Errorf("failed signals: got %+v, want one of a", f)
		}
		h.do("wait 500ms")
		h.do("exit a 7")
		r := eventsOf[event.Reaped](h)
		got := r[len(r)-1]
		const stop, elapsed = 500 * time.Millisecond, 2500 * time.Millisecond
		if got.Child != "a" || got.Exit.Code != 7 || got.Stop != stop || got.Elapsed != elapsed {
			t.Errorf("reaped: got %+v, want code 7 of a, stopped in %v", got, stop)
		}
		if !got.Stopped || r[0].Stopped || r[0].Stop != 0 || r[0].Elapsed != time.Second {
			t.Errorf("reaped: got %+v, want a crash after 1 s", r[0])
		}
		if u := eventsOf[event.UnexpectedEnd](h); len(u) != 1 {
			t.Errorf("unexpected ends: got %+v, want none in the stop", u[1:])
		}
		h.want("TERM", "SIGKILL b")
		h.want("TERM", "")
		meanings := []event.SignalReceived{
			{Signal: "SIGINT", Meaning: "stop; press Ctrl-C again to force"},
			{Signal: "SIGTERM", Meaning: "again: next step now"},
			{Signal: "SIGTERM", Meaning: "again: SIGKILL now"},
		}
		if r := eventsOf[event.SignalReceived](h); !slices.Equal(r, meanings) {
			t.Errorf("received signals: got %+v, want %+v", r, meanings)
		}
	})
}

// TestRequestsTogether has several requests for the stop arrive before the first one is handled.
// Each of them takes the step that its message names.
func TestRequestsTogether(t *testing.T) {
	for _, c := range []struct {
		signals []unix.Signal
		want    string
	}{
		{[]unix.Signal{unix.SIGINT, unix.SIGTERM}, "SIGTERM b, SIGTERM a, SIGKILL b"},
		{[]unix.Signal{unix.SIGINT, unix.SIGTERM, unix.SIGQUIT},
			"SIGTERM b, SIGTERM a, SIGKILL b, SIGKILL a"},
	} {
		withHarness(t, configs(newConfig(child("a"), child("b", after("a")))),
			func(h *harness) {
				h.want("spawned a", "spawn a, a ready, spawn b")
				h.want("spawned b", "b ready")
				answer := make(chan api.Status)
				h.o.mail.Put(statusRequest{answer}) // the orchestrator waits until it is read
				for _, s := range c.signals {
					h.signal(s)
				}
				<-answer
				if got := h.actions(); got != c.want {
					t.Errorf("%v: got %s, want %s", c.signals, got, c.want)
				}
			})
	}
}

// TestStaleMessages checks that results of an earlier process and of an earlier timer are ignored.
func TestStaleMessages(t *testing.T) {
	withHarness(t, configs(newConfig(child("a", neverReady))), func(h *harness) {
		h.want("spawned a", "spawn a")
		inst, first := h.o.instances[0], h.o.instances[0].process.id
		h.want("exit a 1", "a restart 1")
		h.want("wait 1s", "spawn a")
		h.o.mail.Put(probeDone{inst, first, nil})
		h.o.mail.Put(probeDone{inst, first, errors.New("too late")})
		h.want("", "")
		h.want("TERM", "SIGTERM a")
		h.o.mail.Put(timerFired{inst, inst.timer.generation - 1, stepTimer})
		h.want("", "")
		h.o.mail.Put(timerFired{inst, inst.timer.generation, stepTimer})
		h.want("", "SIGKILL a")
	})
}

func TestReloadWhileReading(t *testing.T) {
	all := configs(
		newConfig(child("a")),
		newConfig(child("a"), child("b")),
		newConfig(child("a"), child("c")),
	)
	t.Run("the file is read once more", func(t *testing.T) {
		withHarness(t, all, func(h *harness) {
			h.want("spawned a", "spawn a, a ready")
			release := h.holdLoads()
			for range 3 {
				h.want("reload 2", "")
			}
			if h.loader.loads != 1 {
				t.Errorf("got %d loads at a time, want 1", h.loader.loads)
			}
			release()
			h.want("", "spawn c")
			if h.loader.loads != 2 {
				t.Errorf("got %d loads, want 2", h.loader.loads)
			}
			h.want("spawned c", "c ready, reloaded +[c] -[] ~[] =[a]")
		})
	})
	t.Run("the end of the last child does not end the supervisor", func(t *testing.T) {
		withHarness(t, all, func(h *harness) {
			h.want("spawned a", "spawn a, a ready")
			release := h.holdLoads()
			h.want("reload 1", "")
			h.want("exit a", "a completed")
			release()
			h.want("", "spawn b")
		})
	})
	t.Run("a stop", func(t *testing.T) {
		withHarness(t, all, func(h *harness) {
			h.want("spawned a", "spawn a, a ready")
			release := h.holdLoads()
			h.want("reload 1", "")
			h.want("reload 1", "")
			h.want("TERM", "ignored: a stop began while the file was read, SIGTERM a")
			release()
			h.want("", "")
		})
	})
	t.Run("a fault changes nothing", func(t *testing.T) {
		withHarness(t, all, func(h *harness) {
			h.want("spawned a", "spawn a, a ready")
			release := h.holdLoads()
			h.do("reload 1")
			h.do("reload 1")
			h.loader.err = errors.New("line 1")
			release()
			h.want("", "rejected: line 1, rejected: line 1")
			h.want("health", "")
			h.want("reload 1", "spawn b")
		})
	})
}

// noRelays is a relay that fails.
type noRelays struct{}

func (noRelays) Prepare(output.Spec) (*output.ChildOutput, error) { return nil, unix.EROFS }

// TestNoOutput checks that an output that cannot be prepared makes a failed spawn.
func TestNoOutput(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t, noRelays{}, newConfig(child("a", never)))
		defer h.finish()
		h.want("", "a not spawned, a failed, "+
			"stop: a failed, and on_failure is \"shutdown\", cleanup")
		if e := eventsOf[event.SpawnFailed](h); !strings.Contains(e[0].Reason, unix.EROFS.Error()) {
			t.Errorf("got %+v, want the reason %v", e, unix.EROFS)
		}
	})
}

// TestHealthIsBounded checks that Health answers also if Supervise does not run.
func TestHealthIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := New(Options{Config: newConfig(child("a"))})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if got := o.Health(ctx).Dead; got != "the supervisor is busy" {
			t.Errorf("got %q, want the supervisor to be busy", got)
		}
		o.cancel()
	})
}

// TestKnownFDs checks that the report of a crash names maxKnownFDs descriptors, and counts all.
func TestKnownFDs(t *testing.T) {
	fds := func(n int) (all []procfs.FD) {
		for i := range n {
			all = append(all, procfs.FD{Num: i, Kind: "file", Target: fmt.Sprint("/", i)})
		}
		return all
	}
	const before = "2s before its end it had "
	const eight = "3 /3, 4 /4, 5 /5, 6 /6, 7 /7, 8 /8, 9 /9, 10 /10"
	for _, tt := range []struct {
		known *process.Inspected
		want  string
	}{
		{nil, ""},
		{&process.Inspected{FDs: fds(3)}, ""},
		{&process.Inspected{FDs: fds(5)}, before + "2 descriptors open: 3 /3, 4 /4."},
		{&process.Inspected{FDs: fds(11)}, before + "8 descriptors open: " + eight + "."},
		{
			&process.Inspected{FDs: fds(13)},
			before + "10 descriptors open: " + eight + ", and 2 more.",
		},
	} {
		synctest.Test(t, func(t *testing.T) {
			if tt.known != nil {
				tt.known.At = time.Now()
				time.Sleep(2 * time.Second)
			}
			if got := (&instance{inspect: inspection{last: tt.known}}).knownFDs(); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

// TestCutConnections checks that listeners, unix sockets and sockets that others hold do not count.
func TestCutConnections(t *testing.T) {
	socket := func(n int, target, state string) procfs.FD {
		return procfs.FD{
			Num: n, Kind: "socket", Target: target, Detail: procfs.FDDetail{State: state},
		}
	}
	fds := process.FDResult{
		After: []procfs.FD{
			socket(3, "tcp 0.0.0.0:80 listen", "listen"),
			socket(4, "tcp 10.0.0.1:80 -> 10.0.0.2:4000", "established"),
			socket(5, "tcp 10.0.0.1:80 -> 10.0.0.2:4001", "established"),
			socket(6, "tcp 10.0.0.1:80 -> 10.0.0.2:4002", "close-wait"),
			socket(7, "unix /run/x.sock", "established"),
		},
		Holders: map[int]string{5: "sh (pid 20)"},
	}
	if n := cutConnections(fds); n != 1 {
		t.Errorf("%d connections were cut, want 1", n)
	}
}

// countingSink counts the events about descriptors.
type countingSink struct{ all, findings int }

func (s *countingSink) Emit(e event.Event) {
	f := e.(event.FDClosed)
	if s.all++; f.Finding != "" {
		s.findings++
	}
}

// TestManyFDEvents checks that the events about the descriptors of a process are bounded, that each
// finding has one before, and that the counts have all descriptors.
func TestManyFDEvents(t *testing.T) {
	const n = 3 * maxFDEvents
	fds := process.FDResult{Proof: event.ProofExact}
	for i := range n {
		f := procfs.FD{Num: i + 3, Kind: "file", Target: "/f"}
		if i >= n-10 {
			f.Target = "/finding"
		}
		fds.After = append(fds.After, f)
	}
	var sink countingSink
	o := &Orchestrator{opt: Options{Sink: &sink}}
	allowed, err := findings.ParsePattern("file:/f")
	if err != nil {
		t.Fatal(err)
	}
	policy := findings.Policy{Level: findings.All, Allow: []findings.Pattern{allowed}}
	got := o.reportFDs(policy, event.FDClosed{Owner: "a", Pid: 7}, fds)
	want := fdCounts{left: n, findings: 10, omitted: n - 10 - maxFDEvents}
	if got != want || sink.all != maxFDEvents+10 || sink.findings != 10 {
		t.Errorf("got %+v and %+v, want %+v", got, sink, want)
	}
}
