// Package notify tells the service manager that started us how we do, as
// sd_notify(3) has it: systemd with Type=notify, or whoever else gives us
// NOTIFY_SOCKET. It is a sink of the same events as the log.
package notify

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"tp0/supervisor/event"
	"tp0/supervisor/fdledger"
	"tp0/supervisor/mailbox"
	"tp0/supervisor/termtext"
)

// Environment is what a service manager told us. The zero value is that of
// somebody whom none started.
type Environment struct {
	Socket   string        // NOTIFY_SOCKET; empty: nobody wants to know
	Watchdog time.Duration // it wants a sign of life so often; 0: none
}

// TakeEnvironment reads the environment and clears it: what is said by our children is not
// said by us, and one that notifies gets a socket of ours. Call it before
// anything is started.
func TakeEnvironment() (Environment, error) {
	const socket, usec, pid = "NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"
	defer func() {
		for _, name := range []string{socket, usec, pid} {
			_ = os.Unsetenv(name)
		}
	}()
	e := Environment{Socket: os.Getenv(socket)}
	if e.Socket != "" && e.Socket[0] != '/' && e.Socket[0] != '@' {
		return Environment{},
			fmt.Errorf("%s is %q: want a path, or the name of an abstract socket (@name)", socket,
				e.Socket)
	}
	if whose := os.Getenv(pid); whose != "" && whose != strconv.Itoa(os.Getpid()) {
		return e, nil // another process is to be watched
	}
	if text := os.Getenv(usec); text != "" {
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil || n <= 0 || n > int64(time.Duration(1<<62)/time.Microsecond) {
			return e, fmt.Errorf("%s is %q: want a number of microseconds", usec, text)
		}
		e.Watchdog = time.Duration(n) * time.Microsecond
	}
	return e, nil
}

const (
	mostBeats = 100                    // signs of life a second, however impatient the manager is
	again     = 50 * time.Millisecond  // after it had no room for a message
	lastTry   = 100 * time.Millisecond // for what is left when all ends
)

// Sender is the service manager. A nil one takes everything and does nothing.
type Sender struct {
	fd    int
	to    *unix.SockaddrUnix
	books fdledger.Registrar
	warn  func(error)
	every time.Duration // 0: it wants no sign of life
	alive func(context.Context) error
	texts *mailbox.Queue[string]
	quit  chan struct{}

	mu        sync.Mutex
	ready     bool // we said so
	reloading bool
	stopping  bool
	closed    bool

	// These belong to Run, and to Close once that is over.
	unsent []string
	failed bool // to tell; said once
}

// NewSender prepares to tell a manager; nil: there is none. alive is asked for the
// watchdog, and may be called once Run is; warn hears once why the manager
// cannot be told.
func NewSender(e Environment, books fdledger.Registrar, alive func(context.Context) error,
	warn func(error)) (*Sender, error) {
	if e.Socket == "" {
		return nil, nil
	}
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("cannot make a socket to notify by: %w", err)
	}
	books.Opened(fd, "socket", "unix notify")
	m := &Sender{
		fd: fd, to: &unix.SockaddrUnix{Name: e.Socket}, books: books, warn: warn, alive: alive,
		texts: mailbox.New[string](), quit: make(chan struct{}),
	}
	if e.Watchdog > 0 {
		m.every = max(e.Watchdog/2, time.Second/mostBeats)
	}
	return m, nil
}

// Emit tells of what a manager wants to know, soon. It never waits.
func (m *Sender) Emit(e event.Event) {
	if m == nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock() // what is told is told in order
	if text := m.text(e); text != "" && !m.closed {
		m.texts.Put(text)
	}
}

// text is what an event means to a manager, if anything.
func (m *Sender) text(e event.Event) string {
	switch e := e.(type) {
	case event.AllReady:
		text := status("%s ready", count(e.Children))
		if !m.ready {
			m.ready = true
			text = "READY=1\n" + text
		}
		return text
	case event.Restarting:
		return status("%s restarts: %s", e.Child, e.Reason)
	case event.Failed:
		return status("%s failed: %s", e.Child, e.Reason)
	case event.ConfigEdited:
		return m.reload()
	case event.ConfigReloaded:
		return m.reloaded("reloaded")
	case event.ConfigRejected:
		return m.reloaded("the new configuration was rejected")
	case event.ReloadIgnored:
		return m.reloaded("a reload was ignored: " + e.Reason)
	case event.ReloadHalted:
		return m.reloaded("the reload of " + e.Child + " is halted: " + e.Reason)
	case event.SignalReceived:
		switch e.Signal {
		case "SIGHUP":
			return m.reload()
		case "SIGUSR1":
			return ""
		}
		return m.stop(e.Signal)
	case event.ShutdownBegun:
		return m.stop(e.Reason)
	case event.ShutdownComplete:
		return status("%s: %d spawned, %d reaped, %d killed, %d descriptors left", e.Verdict,
			e.Spawned, e.Reaped, e.Killed, e.Left)
	}
	return ""
}

func count(n int) string {
	if n == 1 {
		return "1 child"
	}
	return fmt.Sprint(n, " children")
}

// reload begins one. The time lets a manager tell answers of this reload from
// those of an earlier one (systemd.service(5), Type=notify-reload).
func (m *Sender) reload() string {
	if m.stopping {
		return ""
	}
	m.reloading = true
	var now unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &now)
	return fmt.Sprintf("RELOADING=1\nMONOTONIC_USEC=%d\n%s", now.Nano()/1000, status("reloading"))
}

func (m *Sender) reloaded(how string) string {
	if !m.reloading || m.stopping {
		return ""
	}
	m.reloading = false
	if !m.ready {
		return status("%s", how)
	}
	return "READY=1\n" + status("%s", how)
}

func (m *Sender) stop(why string) string {
	if m.stopping {
		return ""
	}
	m.stopping = true
	return "STOPPING=1\n" + status("stopping: %s", why)
}

// status is a line for people. A newline in it would be another assignment.
func status(format string, args ...any) string {
	return "STATUS=" + termtext.Spaces(fmt.Sprintf(format, args...))
}

// Run tells the manager, until Stop. Its sign of life comes twice in the time
// that the manager grants, and is one of ours that are asked: who does not
// answer is dead, and the manager finds that out.
func (m *Sender) Run() error {
	var beat <-chan time.Time
	if m.every > 0 {
		t := time.NewTicker(m.every)
		defer t.Stop()
		beat = t.C
		m.beat()
	}
	for {
		var retry <-chan time.Time
		if m.send(); len(m.unsent) > 0 {
			retry = time.After(again)
		}
		select {
		case <-m.quit:
			return nil
		case <-m.texts.Wake():
		case <-retry:
		case <-beat:
			m.beat()
		}
	}
}

func (m *Sender) beat() {
	ctx, cancel := context.WithTimeout(context.Background(), m.every)
	defer cancel()
	if m.alive(ctx) == nil {
		m.unsent = append(m.unsent, "WATCHDOG=1")
	}
}

// send sends what it can. A manager that has no room is asked again; one that is
// not there hears of nothing.
func (m *Sender) send() {
	m.unsent = append(m.unsent, m.texts.Take()...)
	for len(m.unsent) > 0 {
		err := unix.Sendto(m.fd, []byte(m.unsent[0]), unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL, m.to)
		if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.ENOBUFS) {
			if n := len(m.unsent); n > mostUnsent {
				m.unsent = m.unsent[n-mostUnsent:]
			}
			return
		}
		m.unsent = m.unsent[1:]
		if err != nil && !m.failed {
			m.failed = true
			m.warn(fmt.Errorf("cannot tell %s: %w", m.to.Name, err))
		}
	}
}

// mostUnsent bounds what waits for a manager that reads nothing.
const mostUnsent = 1000

// Stop ends Run. It must be called once, if Run is.
func (m *Sender) Stop() { close(m.quit) }

// Close sends what is left and gives the socket up. What is told afterwards is
// not heard. Call it when Run is over, or never was.
func (m *Sender) Close() {
	if m == nil {
		return
	}
	m.mu.Lock()
	m.closed = true
	m.mu.Unlock() // the books tell of it, and we are told of all that they tell
	m.send()
	for late := time.Now().Add(lastTry); len(m.unsent) > 0 && time.Now().Before(late); m.send() {
		time.Sleep(time.Millisecond)
	}
	_ = m.books.Close(m.fd, func() error { return unix.Close(m.fd) })
}
