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

	"tp0/supervisor/config"
	"tp0/supervisor/event"
	"tp0/supervisor/output"
	"tp0/supervisor/process"
	"tp0/supervisor/procfs"
)

// The run of the test is this process, which does listen.
func TestReady(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	cfg := cfgs(newConfig(kid("a", readyAt(l.Addr().String())), kid("b", after("a"))))
	late := []step{
		{"wait 999ms", ""},
		{"health", "a is starting"},
		{"wait 1ms", "a not ready, SIGTERM a"},
		{"health", "a is unready"},
		{"wait 2s", "SIGKILL a"},
	}
	playAll(t, []script{
		{"it listens", cfg, []step{
			{"", "spawn a"},
			{fmt.Sprintf("up a %d", os.Getpid()), "a ready, spawn b"},
		}},
		{"somebody else does", cfg, append([]step{
			{"", "spawn a"},
			{"up a", ""},
		}, append(late,
			step{"exit a", "a again 1"}, // not a success, whatever it says
			step{"wait 1s", "spawn a"},
			step{fmt.Sprintf("up a %d", os.Getpid()), "a ready, spawn b"})...)},
		{"a stop goes on with the ladder of one that was late", cfg, append([]step{
			{"", "spawn a"},
			{"up a", ""},
		}, append(late[:3:3],
			step{"wait 1s", ""},
			step{"TERM", ""},
			step{"wait 1s", "SIGKILL a"},
			step{"exit a", "sweep"})...)},
		{"it ends before", cfg, []step{
			{"", "spawn a"},
			{"up a", ""},
			{"exit a 1", "a again 1"},
			{"wait 1s", "spawn a"},
			{"TERM", "SIGTERM a"},
			{fmt.Sprintf("up a %d", os.Getpid()), ""}, // too late to serve
			{"exit a", "sweep"},
		}},
	})
}

// bubble runs a test with a fleet of cfgs[0].
func bubble(t *testing.T, cfgs []*config.Config, test func(*world)) {
	hub := newHub(t)
	synctest.Test(t, func(t *testing.T) {
		w := open(t, hub, cfgs...)
		defer w.finish()
		test(w)
	})
}

func (w *world) want(do, want string) {
	w.t.Helper()
	w.do(do)
	if got := w.took(); got != want {
		w.t.Errorf("%q:\n got %s\nwant %s", do, got, want)
	}
}

// told returns the events of a type.
func told[E event.Event](w *world) []E {
	synctest.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	var all []E
	for _, e := range w.events {
		if e, ok := e.(E); ok {
			all = append(all, e)
		}
	}
	return all
}

func TestRestartDelays(t *testing.T) {
	patient := func(_ *config.Child, i *config.Instance) {
		i.Policy.Restart = config.Restart{On: "always", Attempts: 5, Interval: time.Hour, Delay: time.Second, MaxDelay: 6 * time.Second}
	}
	bubble(t, cfgs(newConfig(kid("a", patient))), func(w *world) {
		w.want("", "spawn a")
		for n, policy := range []time.Duration{1, 2, 4, 6, 6} {
			w.want("up a", "a ready")
			w.want("exit a", fmt.Sprintf("a again %d", n+1))
			d := told[event.Restarting](w)[n].Delay
			if d < policy*800*time.Millisecond || d > policy*1200*time.Millisecond || d > 6*time.Second {
				w.t.Errorf("restart %d comes after %v", n+1, d)
			}
			w.want(fmt.Sprintf("wait %v", d-1), "")
			w.want("wait 1ns", "spawn a")
		}
		w.want("up a", "a ready")
		w.want("exit a", "a failed, stop: child failed: a, sweep")
	})
}

func TestBudget(t *testing.T) {
	bubble(t, cfgs(newConfig(kid("a"))), func(w *world) {
		w.want("up a", "spawn a, a ready")
		began := time.Now()
		w.want("TERM", "SIGTERM a")
		w.want("wait 1s", "")
		w.want("exit a", "sweep")
		w.want("TERM", "sweep")
		want := [][2]time.Duration{
			{deadline - reserve, deadline - reserve/4},
			{time.Second, deadline - reserve/4}, // again: what is left is killed now
		}
		if !reflect.DeepEqual(w.sweeps, want) {
			t.Errorf("sweeps: %v, want %v", w.sweeps, want)
		}
		w.f.Deliver(process.OrphanSignalled{Pid: 9, Command: "o", Signal: unix.SIGTERM, Step: 1})
		w.f.Deliver(process.OrphanSignalled{Pid: 9, Command: "o", Signal: unix.SIGKILL, Step: 2})
		w.f.Deliver(process.OrphanReaped{Pid: 9, Command: "o", Exit: event.Exit{Signal: "SIGKILL"}})
		w.do("swept")
		if got, want := w.end(), "forced 124: spawned 1, reaped 1, orphans 1, killed 1, left 0"; got != want {
			t.Errorf("got %s, want %s", got, want)
		}
		if !w.f.Deadline().Equal(began.Add(deadline)) {
			t.Errorf("deadline: %v after the signal", w.f.Deadline().Sub(began))
		}
		if c := w.f.Summary(); c.Elapsed != time.Second || c.Deadline != deadline {
			t.Errorf("%+v", c)
		}
	})
}

// A stop that fits tells what it did with names and numbers.
func TestTold(t *testing.T) {
	bubble(t, cfgs(newConfig(kid("a"), kid("b"))), func(w *world) {
		w.want("up a", "spawn a, spawn b, a ready")
		w.want("up b", "b ready")
		w.do("wait 1s")
		w.want("die b SIGSEGV", "b again 1")
		u := told[event.UnexpectedEnd](w)
		if len(u) != 1 || u[0].Child != "b" || u[0].Reason != "ended by SIGSEGV" {
			t.Errorf("unexpected: %+v", u)
		}
		w.do("wait 1s")
		w.want("up b", "spawn b, b ready")
		w.want("INT", "SIGTERM a, SIGTERM b")
		a, b := w.runs[0], w.runs[1]
		if s, want := told[event.SignalSent](w), (event.SignalSent{Child: "a", Pid: a.pid, Signal: "SIGTERM", Step: 1}); len(s) != 2 || s[0] != want {
			t.Errorf("signals: %+v", s)
		}
		w.f.Deliver(process.Signalled{Process: a.id, Pid: a.pid, Signal: unix.SIGCONT, Err: unix.EPERM})
		w.f.Deliver(process.Signalled{Process: b.id, Pid: b.pid, Signal: unix.SIGCONT, Err: unix.ESRCH}) // it has just ended
		if f := told[event.SignalFailed](w); len(f) != 1 || f[0].Child != "a" || f[0].Signal != "SIGCONT" {
			t.Errorf("failed: %+v", f)
		}
		w.do("wait 500ms")
		w.do("exit a 7")
		r := told[event.Reaped](w)
		if got := r[len(r)-1]; got.Child != "a" || !got.Stopped || got.Stop != 500*time.Millisecond || got.Elapsed != 2500*time.Millisecond || got.Exit.Code != 7 {
			t.Errorf("reaped: %+v", got)
		}
		if r[0].Stopped || r[0].Stop != 0 || r[0].Elapsed != time.Second {
			t.Errorf("reaped: %+v", r[0])
		}
		if u := told[event.UnexpectedEnd](w); len(u) != 1 {
			t.Errorf("a stop is no crash: %+v", u)
		}
		w.want("TERM", "SIGKILL b")
		w.want("TERM", "")
		meanings := []event.SignalReceived{
			{Signal: "SIGINT", Meaning: "stop; press Ctrl-C again to force"},
			{Signal: "SIGTERM", Meaning: "again: next step now"},
			{Signal: "SIGTERM", Meaning: "again: SIGKILL now"},
		}
		if r := told[event.SignalReceived](w); !slices.Equal(r, meanings) {
			t.Errorf("received: %+v", r)
		}
	})
}

// What a timer or a probe says of an earlier run is not taken for the one that
// there is now.
func TestStale(t *testing.T) {
	bubble(t, cfgs(newConfig(kid("a", readyAt("127.0.0.1:1")))), func(w *world) {
		w.want("up a", "spawn a")
		u, first := w.f.instances[0], w.f.instances[0].process.id
		w.want("exit a 1", "a again 1")
		w.want("wait 1s", "spawn a")
		w.f.mail.Put(probeDone{u, first, nil})
		w.f.mail.Put(probeDone{u, first, errors.New("too late")})
		w.want("", "")
		w.want("TERM", "SIGTERM a")
		w.f.mail.Put(timerFired{u, u.timer.generation - 1, stepTimer})
		w.want("", "")
		w.f.mail.Put(timerFired{u, u.timer.generation, stepTimer})
		w.want("", "SIGKILL a")
	})
}

// hold makes the loads that follow wait.
func (w *world) hold() (free func()) {
	gate := make(chan struct{})
	w.mu.Lock()
	w.gate = gate
	w.mu.Unlock()
	return func() { close(gate) }
}

func TestReloadWhileReading(t *testing.T) {
	all := cfgs(newConfig(kid("a")), newConfig(kid("a"), kid("b")), newConfig(kid("a"), kid("c")))
	t.Run("it is read once more", func(t *testing.T) {
		bubble(t, all, func(w *world) {
			w.want("up a", "spawn a, a ready")
			free := w.hold()
			for range 3 {
				w.want("reload 2", "")
			}
			if w.loads != 1 {
				t.Errorf("%d loads at a time", w.loads)
			}
			free()
			w.want("", "spawn c")
			if w.loads != 2 {
				t.Errorf("%d loads, want 2", w.loads)
			}
			w.want("up c", "c ready, reloaded +[c] -[] ~[] =[a]")
		})
	})
	t.Run("what ends meanwhile does not end all", func(t *testing.T) {
		bubble(t, all, func(w *world) {
			w.want("up a", "spawn a, a ready")
			free := w.hold()
			w.want("reload 1", "")
			w.want("exit a", "a completed")
			free()
			w.want("", "spawn b")
		})
	})
	t.Run("a stop meanwhile", func(t *testing.T) {
		bubble(t, all, func(w *world) {
			w.want("up a", "spawn a, a ready")
			free := w.hold()
			w.want("reload 1", "")
			w.want("reload 1", "")
			w.want("TERM", "ignored: a stop began while the file was read, SIGTERM a")
			free()
			w.want("", "")
		})
	})
	t.Run("a fault changes nothing", func(t *testing.T) {
		bubble(t, all, func(w *world) {
			w.want("up a", "spawn a, a ready")
			free := w.hold()
			w.do("reload 1")
			w.do("reload 1")
			w.loadErr = errors.New("line 1")
			free()
			w.want("", "rejected: line 1, rejected: line 1")
			w.want("health", "")
			w.want("reload 1", "spawn b")
		})
	})
}

type noRelays struct{}

func (noRelays) Prepare(output.Spec) (*output.ChildOutput, error) { return nil, unix.EROFS }

// Output that cannot be prepared is a spawn that failed, nothing else.
func TestNoOutput(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := open(t, noRelays{}, newConfig(kid("a", restart("never"))))
		defer w.finish()
		w.want("", "a not spawned, a failed, stop: child failed: a, sweep")
		if e := told[event.SpawnFailed](w); !strings.Contains(e[0].Reason, unix.EROFS.Error()) {
			t.Errorf("%+v", e)
		}
	})
}

// Health answers whoever asks, also where nobody listens any more.
func TestHealthIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := New(Options{Config: newConfig(kid("a"))}) // it does not run
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if got := f.Health(ctx).Dead; got != "the supervisor is busy" {
			t.Error(got)
		}
		f.cancel()
	})
}

// A crash tells the first of the descriptors that were seen, and how many there
// were.
func TestLastKnown(t *testing.T) {
	fds := func(n int) (all []procfs.FD) {
		for i := range n {
			all = append(all, procfs.FD{Num: i, Kind: "file", Target: fmt.Sprint("/", i)})
		}
		return all
	}
	for _, tt := range []struct {
		known *process.Inspected
		want  string
	}{
		{nil, ""},
		{&process.Inspected{FDs: fds(3)}, "0 descriptors, 2s before: "},
		{&process.Inspected{FDs: fds(5)}, "2 descriptors, 2s before: 3 /3, 4 /4"},
		{&process.Inspected{FDs: fds(11)}, "8 descriptors, 2s before: 3 /3, 4 /4, 5 /5, 6 /6, 7 /7, 8 /8, 9 /9, 10 /10"},
		{&process.Inspected{FDs: fds(13)}, "10 descriptors, 2s before: 3 /3, 4 /4, 5 /5, 6 /6, 7 /7, 8 /8, 9 /9, 10 /10, and 2 more"},
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
