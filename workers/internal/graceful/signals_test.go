package graceful

import (
	"bytes"
	"errors"
	"os"
	"os/signal"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/oklog/run"
	"go.uber.org/goleak"
	"golang.org/x/sys/unix"
)

// A goroutine of package os/signal stays once there was a Notify. The bodies that hang are let go
// of at the ends of their tests.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("os/signal.loop"),
		goleak.IgnoreTopFunction("os/signal.signal_recv"))
}

// body is the course of a program whose work is work.
func body(signals *Signals, log *Log, work func() error) func() int {
	return func() int {
		var group run.Group
		group.Add(signals.Actor(log))
		group.Add(work, func(error) {})
		if group.Run() != nil {
			return signals.End(log, ExitFailed)
		}
		return signals.End(log, 0)
	}
}

// actions are the lines without what differs from run to run.
func actions(out *bytes.Buffer) (list []string) {
	for line := range strings.Lines(out.String()) {
		_, action, _ := strings.Cut(strings.TrimSpace(line), "action: ")
		list = append(list, action)
	}
	return list
}

const (
	closed  = "close | result: success | resource: signal channel"
	success = "exit | result: success"
	failed  = "exit | result: fail"
)

// TestCourse plays the signals in the time of a bubble; the real ones are TestCatch's and those of
// the two programs.
func TestCourse(t *testing.T) {
	const drain = 3 * time.Second
	for name, test := range map[string]struct {
		signals []time.Duration // when they come
		work    func(s *Signals) error
		code    int
		elapsed time.Duration
		lines   []string
	}{
		"ends by itself": {nil, func(*Signals) error { return nil }, 0, 0,
			[]string{closed, success}},
		"fails": {nil, func(*Signals) error { return errors.New("failed") }, ExitFailed, 0,
			[]string{closed, failed}},
		"ends at the signal": {[]time.Duration{time.Second},
			func(s *Signals) error { <-s.Stopping().Done(); return nil }, 0, time.Second,
			[]string{"stop | result: in_progress | reason: SIGTERM", closed, success}},
		"drains": {[]time.Duration{time.Second},
			func(s *Signals) error { <-s.Hurrying().Done(); return nil }, 0, 4 * time.Second,
			[]string{"stop | result: in_progress | reason: SIGTERM",
				"hurry | result: in_progress | reason: end of the drain", closed, success}},
		"is hastened": {[]time.Duration{time.Second, 2 * time.Second, 2 * time.Second,
			3 * time.Second},
			func(s *Signals) error { <-s.Hurrying().Done(); return nil }, 0, 2 * time.Second,
			[]string{"stop | result: in_progress | reason: SIGTERM",
				"hurry | result: in_progress | reason: SIGTERM", closed, success}},
		"two at once": {[]time.Duration{0, 0},
			func(s *Signals) error { <-s.Hurrying().Done(); return nil }, 0, 0,
			[]string{"stop | result: in_progress | reason: SIGTERM",
				"hurry | result: in_progress | reason: SIGTERM", closed, success}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				begin := time.Now()
				s := catch(drain)
				for _, after := range test.signals {
					time.AfterFunc(after, func() { s.arrived <- unix.SIGTERM })
				}
				var out bytes.Buffer
				code := s.Main(body(s, NewLog(&out), func() error { return test.work(s) }))
				if code != test.code || time.Since(begin) != test.elapsed {
					t.Errorf("code %d after %v, want %d after %v", code, time.Since(begin),
						test.code, test.elapsed)
				}
				if got := actions(&out); !slices.Equal(got, test.lines) {
					t.Errorf("the lines are %q, want %q", got, test.lines)
				}
			})
		})
	}
}

func TestBodyThatHangs(t *testing.T) {
	for name, test := range map[string]struct {
		signals []time.Duration
		elapsed time.Duration
	}{
		"one signal":  {[]time.Duration{0}, 3*time.Second + exitTimeout},
		"two signals": {[]time.Duration{0, 2 * time.Second}, 2*time.Second + exitTimeout},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				begin := time.Now()
				s := catch(time.Minute)
				s.SetDrain(3 * time.Second)
				for _, after := range test.signals {
					time.AfterFunc(after, func() { s.arrived <- unix.SIGINT })
				}
				forever := make(chan struct{})
				defer close(forever)
				code := s.Main(func() int { <-forever; return 0 })
				if code != ExitFailed || time.Since(begin) != test.elapsed {
					t.Errorf("code %d after %v, want 1 after %v", code, time.Since(begin),
						test.elapsed)
				}
			})
		})
	}
}

// TestCatch has the process itself signalled.
func TestCatch(t *testing.T) {
	for _, sig := range []unix.Signal{unix.SIGTERM, unix.SIGINT} {
		s := Catch(time.Hour)
		if err := unix.Kill(unix.Getpid(), sig); err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		code := s.Main(body(s, NewLog(&out), func() error { <-s.Stopping().Done(); return nil }))
		want := []string{"stop | result: in_progress | reason: " + unix.SignalName(sig), closed,
			success}
		if got := actions(&out); code != 0 || !slices.Equal(got, want) {
			t.Errorf("code %d and %q, want 0 and %q", code, got, want)
		}
		// What comes after the last line must not kill, and goes nowhere.
		observer := make(chan os.Signal, 1)
		signal.Notify(observer, unix.SIGUSR1)
		for _, late := range []unix.Signal{sig, unix.SIGUSR1} {
			if err := unix.Kill(unix.Getpid(), late); err != nil {
				t.Fatal(err)
			}
		}
		<-observer
		if len(s.arrived) != 0 {
			t.Errorf("%v still arrives in the end", sig)
		}
		signal.Stop(observer)
	}
	signal.Reset(unix.SIGPIPE)
}
