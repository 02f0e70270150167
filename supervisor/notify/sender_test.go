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

	"golang.org/x/sys/unix"

	"tp0/supervisor/event"
)

const limit = 10 * time.Second

// ledger maps the open descriptors to their targets.
type ledger map[int]string

func (l ledger) OpenedInternal(fd int, kind, target string) {
	l.Opened(fd, kind, target)
}

func (l ledger) Opened(fd int, _, target string) { l[fd] = target }

func (l ledger) Close(fd int, close func() error) error {
	delete(l, fd)
	return close()
}

// serviceManager opens the socket that systemd would open.
func serviceManager(t *testing.T, name string) *net.UnixConn {
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

// received returns the next datagram.
func received(t *testing.T, c *net.UnixConn) string {
	t.Helper()
	_ = c.SetReadDeadline(time.Now().Add(limit))
	b := make([]byte, 4096)
	n, err := c.Read(b)
	if err != nil {
		t.Fatal(err)
	}
	return string(b[:n])
}

// TestSenderReportsEvents checks the datagram of each event, and that other events send none.
func TestSenderReportsEvents(t *testing.T) {
	for _, name := range []string{"@" + t.Name(), filepath.Join(t.TempDir(), "notify")} {
		c := serviceManager(t, name)
		b := ledger{}
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
			{event.ConfigReloaded{}, ""}, // no reload was reported
			{event.ConfigEdited{}, `RELOADING=1\nMONOTONIC_USEC=\d+\nSTATUS=reloading`},
			{event.ConfigReloaded{}, `READY=1\nSTATUS=reloaded`},
			{event.SignalReceived{Signal: "SIGHUP"}, `RELOADING=1\n(?s:.*)`},
			{event.ReloadHalted{Child: "a", Reason: "it failed"},
				`READY=1\nSTATUS=reload halted at a: it failed`},
			{event.ConfigReloaded{}, `STATUS=reloaded`}, // a restart completed the update
			{event.ConfigReloaded{}, ""},
			{event.Failed{Child: "a", Reason: "too often"}, `STATUS=a failed: too often`},
			{event.SignalReceived{Signal: "SIGTERM"}, `STOPPING=1\nSTATUS=stopping: SIGTERM`},
			{event.SignalReceived{Signal: "SIGTERM"}, ""}, // already stopping
			{event.ShutdownBegun{Reason: "x"}, ""},
			{event.SignalReceived{Signal: "SIGHUP"}, ""},
			{event.ShutdownComplete{Spawned: 2, Reaped: 2, Verdict: event.Graceful},
				`STATUS=graceful: 2 spawned, 2 reaped, 0 killed, 0 descriptors leaked`},
		} {
			m.Emit(step.e)
			if step.want == "" {
				continue // an unexpected datagram would be read instead of the next one
			}
			if got := received(t, c); !regexp.MustCompile("^" + step.want + "$").MatchString(got) {
				t.Errorf("%T: %q, want %s", step.e, got, step.want)
			}
		}
		m.Stop()
		<-ended
		if m.Close(); len(b) != 0 {
			t.Errorf("still in the ledger: %v", b)
		}
		m.Emit(event.AllReady{}) // ignored after Close
	}
}

// TestNoServiceManager checks that a nil Sender ignores all calls.
func TestNoServiceManager(t *testing.T) {
	m, err := NewSender(Environment{}, ledger{}, nil, nil)
	if m != nil || err != nil {
		t.Fatalf("%v, %v", m, err)
	}
	m.Emit(event.AllReady{})
	m.Close()
}

// TestMissingSocket checks that a failed send is reported once and does not block.
func TestMissingSocket(t *testing.T) {
	var faults []error
	m, err := NewSender(Environment{Socket: "@" + t.Name()}, ledger{}, nil,
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

// TestWatchdog checks that no keep-alive is sent while the supervisor does not respond.
func TestWatchdog(t *testing.T) {
	c := serviceManager(t, "@"+t.Name())
	checks := make(chan error)
	m, err := NewSender(Environment{Socket: "@" + t.Name(), Watchdog: 20 * time.Millisecond},
		ledger{}, func(context.Context) error { return <-checks }, func(err error) { t.Error(err) })
	if err != nil {
		t.Fatal(err)
	}
	ended := run(m)
	for range 3 {
		checks <- nil
		if got := received(t, c); got != "WATCHDOG=1" {
			t.Errorf("%q", got)
		}
	}
	checks <- errors.New("no response")
	checks <- nil // a keep-alive for the failed check would arrive before this one
	if got := received(t, c); got != "WATCHDOG=1" {
		t.Errorf("%q", got)
	}
	go func() {
		for range checks {
			return
		}
	}()
	m.Stop()
	checks <- errors.New("the end")
	<-ended
	close(checks)
	_ = c.SetReadDeadline(time.Now())
	if n, err := c.Read(make([]byte, 10)); err == nil {
		t.Errorf("%d bytes more", n)
	}
	m.Close()
}

// TestFullQueue checks that datagrams wait in order while the manager's queue is full.
func TestFullQueue(t *testing.T) {
	c := serviceManager(t, "@"+t.Name())
	m, err := NewSender(Environment{Socket: "@" + t.Name()}, ledger{}, nil,
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
		if got := received(t, c); got != "x" {
			t.Errorf("%q", got)
		}
	}
	for _, want := range []string{"READY=1\nSTATUS=1 child ready", "STATUS=a restarts: b"} {
		if got := received(t, c); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	m.Stop()
	<-ended
	m.Close()
}

// TestCloseFlushes checks that Close sends what Run did not.
func TestCloseFlushes(t *testing.T) {
	c := serviceManager(t, "@"+t.Name())
	m, err := NewSender(Environment{Socket: "@" + t.Name()}, ledger{}, nil,
		func(err error) { t.Error(err) })
	if err != nil {
		t.Fatal(err)
	}
	m.Emit(event.ShutdownComplete{Verdict: event.Graceful})
	m.Close()
	if got := received(t, c); !strings.HasPrefix(got, "STATUS=graceful") {
		t.Errorf("%q", got)
	}
}

// TestShortWatchdog checks the lower bound of the keep-alive interval.
func TestShortWatchdog(t *testing.T) {
	m, err := NewSender(Environment{Socket: "@" + t.Name(), Watchdog: time.Microsecond}, ledger{},
		nil, func(error) {})
	if err != nil || m.interval < 10*time.Millisecond {
		t.Errorf("%v, %v", m.interval, err)
	}
	m.Close()
}

func TestTakeEnvironment(t *testing.T) {
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
