package notify

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"tp0/supervisor/event"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const limit = 10 * time.Second

type books map[int]string

func (b books) Opened(fd int, _, target string) { b[fd] = target }

func (b books) Close(fd int, close func() error) error {
	delete(b, fd)
	return close()
}

// manager listens as systemd does.
func manager(t *testing.T, name string) *net.UnixConn {
	t.Helper()
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: name, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func run(m *Sender) (ended chan struct{}) {
	ended = make(chan struct{})
	go func() {
		_ = m.Run()
		close(ended)
	}()
	return ended
}

func said(t *testing.T, c *net.UnixConn) string {
	t.Helper()
	_ = c.SetReadDeadline(time.Now().Add(limit))
	b := make([]byte, 4096)
	n, err := c.Read(b)
	if err != nil {
		t.Fatal(err)
	}
	return string(b[:n])
}

// What a manager hears of a life, and that it hears nothing else.
func TestLife(t *testing.T) {
	for _, name := range []string{"@" + t.Name(), filepath.Join(t.TempDir(), "notify")} {
		c := manager(t, name)
		b := books{}
		m, err := NewSender(Environment{Socket: name}, b, nil, func(err error) { t.Error(err) })
		if err != nil {
			t.Fatal(err)
		}
		if len(b) != 1 {
			t.Errorf("%v", b)
		}
		ended := run(m)
		for _, step := range []struct {
			e    event.Event
			want string // a regular expression; empty: nothing
		}{
			{event.Ready{Child: "a"}, ""},
			{event.SignalReceived{Signal: "SIGUSR1"}, ""},
			{event.SignalReceived{Signal: "SIGHUP"},
				`RELOADING=1\nMONOTONIC_USEC=\d+\nSTATUS=reloading`},
			// not ready yet
			{event.ConfigRejected{Diagnostics: "two\nlines"},
				`STATUS=the new configuration was rejected`},
			{event.AllReady{Children: 3}, `READY=1\nSTATUS=3 children ready`},
			{event.Restarting{Child: "a", Reason: "exited\nREADY=0"},
				`STATUS=a restarts: exited READY=0`},
			{event.AllReady{Children: 1}, `STATUS=1 child ready`},
			{event.ConfigReloaded{}, ""}, // nobody asked for it
			{event.ConfigEdited{}, `RELOADING=1\nMONOTONIC_USEC=\d+\nSTATUS=reloading`},
			{event.ConfigReloaded{}, `READY=1\nSTATUS=reloaded`},
			{event.SignalReceived{Signal: "SIGHUP"}, `RELOADING=1\n(?s:.*)`},
			{event.ReloadHalted{Child: "a", Reason: "it failed"},
				`READY=1\nSTATUS=the reload of a is halted: it failed`},
			{event.Failed{Child: "a", Reason: "too often"}, `STATUS=a failed: too often`},
			{event.SignalReceived{Signal: "SIGTERM"}, `STOPPING=1\nSTATUS=stopping: SIGTERM`},
			{event.SignalReceived{Signal: "SIGTERM"}, ""}, // once more
			{event.ShutdownBegun{Reason: "x"}, ""},
			{event.SignalReceived{Signal: "SIGHUP"}, ""},
			{event.ShutdownComplete{Spawned: 2, Reaped: 2, Verdict: event.Graceful},
				`STATUS=graceful: 2 spawned, 2 reaped, 0 killed, 0 descriptors left`},
		} {
			m.Emit(step.e)
			if step.want == "" {
				continue // what came would be read in the place of the next
			}
			if got := said(t, c); !regexp.MustCompile("^" + step.want + "$").MatchString(got) {
				t.Errorf("%T: %q, want %s", step.e, got, step.want)
			}
		}
		m.Stop()
		<-ended
		if m.Close(); len(b) != 0 {
			t.Errorf("left in the books: %v", b)
		}
		m.Emit(event.AllReady{}) // into the void
	}
}

// Nobody is there: nothing happens.
func TestNobody(t *testing.T) {
	m, err := NewSender(Environment{}, books{}, nil, nil)
	if m != nil || err != nil {
		t.Fatalf("%v, %v", m, err)
	}
	m.Emit(event.AllReady{})
	m.Close()
}

// A manager that does not listen is told of once, and holds nothing up.
func TestDeafManager(t *testing.T) {
	var faults []error
	m, err := NewSender(Environment{Socket: "@" + t.Name()}, books{}, nil,
		func(err error) { faults = append(faults, err) })
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		m.Emit(event.Restarting{Child: "a"})
	}
	m.Close()
	if len(faults) != 1 || !strings.Contains(faults[0].Error(), "@"+t.Name()) {
		t.Errorf("%v", faults)
	}
}

// A sign of life is one: it stops when those that are asked do not answer.
func TestWatchdog(t *testing.T) {
	c := manager(t, "@"+t.Name())
	asked := make(chan error)
	m, err := NewSender(Environment{Socket: "@" + t.Name(), Watchdog: 20 * time.Millisecond},
		books{}, func(context.Context) error { return <-asked }, func(err error) { t.Error(err) })
	if err != nil {
		t.Fatal(err)
	}
	ended := run(m)
	for range 3 {
		asked <- nil
		if got := said(t, c); got != "WATCHDOG=1" {
			t.Errorf("%q", got)
		}
	}
	asked <- errors.New("dead")
	asked <- nil // had the dead one been told, it would come first, and then this
	if got := said(t, c); got != "WATCHDOG=1" {
		t.Errorf("%q", got)
	}
	go func() {
		for range asked {
			return
		}
	}()
	m.Stop()
	asked <- errors.New("the end")
	<-ended
	close(asked)
	_ = c.SetReadDeadline(time.Now())
	if n, err := c.Read(make([]byte, 10)); err == nil {
		t.Errorf("%d bytes more", n)
	}
	m.Close()
}

// A manager that has no room for a moment hears of everything all the same, and
// in order.
func TestFullManager(t *testing.T) {
	c := manager(t, "@"+t.Name())
	m, err := NewSender(Environment{Socket: "@" + t.Name()}, books{}, nil,
		func(err error) { t.Error(err) })
	if err != nil {
		t.Fatal(err)
	}
	full := 0
	for unix.Sendto(m.fd, []byte("x"), unix.MSG_DONTWAIT, m.to) == nil {
		full++
	}
	ended := run(m)
	m.Emit(event.AllReady{Children: 1})
	m.Emit(event.Restarting{Child: "a", Reason: "b"})
	for range full {
		if got := said(t, c); got != "x" {
			t.Errorf("%q", got)
		}
	}
	for _, want := range []string{"READY=1\nSTATUS=1 child ready", "STATUS=a restarts: b"} {
		if got := said(t, c); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	m.Stop()
	<-ended
	m.Close()
}

// One that is not told of in Run is told at the end, within a bound.
func TestTheLastWord(t *testing.T) {
	c := manager(t, "@"+t.Name())
	m, err := NewSender(Environment{Socket: "@" + t.Name()}, books{}, nil,
		func(err error) { t.Error(err) })
	if err != nil {
		t.Fatal(err)
	}
	m.Emit(event.ShutdownComplete{Verdict: event.Graceful})
	m.Close()
	if got := said(t, c); !strings.HasPrefix(got, "STATUS=graceful") {
		t.Errorf("%q", got)
	}
}

// An impatient manager does not keep us busy.
func TestImpatientManager(t *testing.T) {
	m, err := NewSender(Environment{Socket: "@" + t.Name(), Watchdog: time.Microsecond}, books{},
		nil, func(error) {})
	if err != nil || m.every < 10*time.Millisecond {
		t.Errorf("%v, %v", m.every, err)
	}
	m.Close()
}

func TestTake(t *testing.T) {
	me := fmt.Sprint(os.Getpid())
	for _, c := range []struct {
		socket, usec, pid string
		want              Environment
		fault             string
	}{
		{"", "", "", Environment{}, ""},
		{"/run/n", "", "", Environment{Socket: "/run/n"}, ""},
		{"@n", "2000000", me, Environment{"@n", 2 * time.Second}, ""},
		{"@n", "2000000", "", Environment{"@n", 2 * time.Second}, ""},
		{"@n", "2000000", "1x", Environment{Socket: "@n"}, ""},
		{"n", "", "", Environment{}, `NOTIFY_SOCKET is "n"`},
		{"@n", "soon", me, Environment{Socket: "@n"}, `WATCHDOG_USEC is "soon"`},
		{"@n", "-1", me, Environment{Socket: "@n"}, "WATCHDOG_USEC"},
		{"@n", "99999999999999999999", me, Environment{Socket: "@n"}, "WATCHDOG_USEC"},
	} {
		t.Setenv("NOTIFY_SOCKET", c.socket)
		t.Setenv("WATCHDOG_USEC", c.usec)
		t.Setenv("WATCHDOG_PID", c.pid)
		got, err := TakeEnvironment()
		if got != c.want || c.fault == "" && err != nil || c.fault != "" &&
			(err == nil || !strings.Contains(err.Error(), c.fault)) {
			t.Errorf("%+v: %+v, %v", c, got, err)
		}
		for _, name := range []string{"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"} {
			if value, ok := os.LookupEnv(name); ok {
				t.Errorf("%s is still %q", name, value)
			}
		}
	}
}
