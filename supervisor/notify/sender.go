package notify

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"tp0/supervisor/event"
	"tp0/supervisor/fdledger"
	"tp0/supervisor/mailbox"
)

const (
	minKeepAlive  = 10 * time.Millisecond  // shortest interval, however short the watchdog is
	retryInterval = 50 * time.Millisecond  // after the manager's queue was full
	flushTimeout  = 100 * time.Millisecond // of Close
	maxUnsent     = 1000                   // datagrams; the oldest are dropped above it
)

// Sender reports to the service manager. It is a sink of the same events as the log. A nil
// Sender ignores all calls.
type Sender struct {
	fd        int
	address   string // of the service manager
	to        *unix.SockaddrUnix
	ledger    fdledger.Registrar
	warn      func(error)
	interval  time.Duration // between two keep-alives; 0 disables them
	alive     func(context.Context) error
	datagrams *mailbox.Queue[string]
	quit      chan struct{}

	mu     sync.Mutex
	state  state
	closed bool

	// The goroutine in Run owns these; Close does once Run has returned.
	unsent []string
	failed bool // warn was called
}

// NewSender opens a socket to the service manager. It returns nil if there is no service
// manager. alive checks the supervisor before each keep-alive; it may be called as soon as Run
// is. warn is called once, with the first error of a send.
func NewSender(
	e Environment, ledger fdledger.Registrar,
	alive func(context.Context) error, warn func(error),
) (*Sender, error) {
	if e.Socket == "" {
		return nil, nil
	}
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("cannot open a socket to the service manager: %w", err)
	}
	ledger.Opened(fd, "socket", "unix notify")
	m := &Sender{
		fd: fd, address: e.Socket, to: &unix.SockaddrUnix{
			Name: e.Socket,
		}, ledger: ledger, warn: warn, alive: alive,
		datagrams: mailbox.New[string](), quit: make(chan struct{}),
	}
	if e.Watchdog > 0 {
		m.interval = max(e.Watchdog/2, minKeepAlive)
	}
	return m, nil
}

// Emit queues the message about an event. It does not block.
func (m *Sender) Emit(e event.Event) {
	if m == nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock() // until the datagram is queued, to keep the order of the events
	if text := m.state.datagram(e); text != "" && !m.closed {
		m.datagrams.Put(text)
	}
}

// Run sends the queued datagrams and the keep-alives until Stop is called. It sends a keep-alive
// twice in each watchdog interval, and only if alive reports no error: a supervisor that does
// not respond sends none, and the service manager restarts it.
func (m *Sender) Run() error {
	var tick <-chan time.Time
	if m.interval > 0 {
		t := time.NewTicker(m.interval)
		defer t.Stop()
		tick = t.C
		m.keepAlive()
	}
	for {
		var retry <-chan time.Time
		if m.send(); len(m.unsent) > 0 {
			retry = time.After(retryInterval)
		}
		select {
		case <-m.quit:
			return nil
		case <-m.datagrams.Wake():
		case <-retry:
		case <-tick:
			m.keepAlive()
		}
	}
}

func (m *Sender) keepAlive() {
	ctx, cancel := context.WithTimeout(context.Background(), m.interval)
	defer cancel()
	if m.alive(ctx) == nil {
		m.unsent = append(m.unsent, "WATCHDOG=1")
	}
}

// send sends until the queue of the service manager is full; Run then tries again. A datagram
// that fails for another reason is dropped, and the first such error is passed to warn.
func (m *Sender) send() {
	m.unsent = append(m.unsent, m.datagrams.Take()...)
	for len(m.unsent) > 0 {
		err := unix.Sendto(m.fd, []byte(m.unsent[0]), unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL, m.to)
		if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.ENOBUFS) {
			if n := len(m.unsent); n > maxUnsent {
				m.unsent = m.unsent[n-maxUnsent:]
			}
			return
		}
		m.unsent = m.unsent[1:]
		if err != nil && !m.failed {
			m.failed = true
			m.warn(fmt.Errorf("cannot notify the service manager at %s: %w", m.address, err))
		}
	}
}

// Stop ends Run. Call it once, and only if Run was called.
func (m *Sender) Stop() { close(m.quit) }

// Close sends the queued datagrams for at most flushTimeout and closes the socket. Later events
// are ignored. Call it after Run has returned, or without Run.
func (m *Sender) Close() {
	if m == nil {
		return
	}
	m.mu.Lock()
	m.closed = true
	m.mu.Unlock() // the ledger emits an event for the close below, and Emit locks
	m.send()
	for end := time.Now().Add(flushTimeout); len(m.unsent) > 0 && time.Now().Before(end); m.send() {
		time.Sleep(time.Millisecond)
	}
	_ = m.ledger.Close(m.fd, func() error { return unix.Close(m.fd) })
}
