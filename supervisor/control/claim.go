package control

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"tp0/supervisor/api"
)

// SecondError says that a supervisor already runs children of the configuration.
type SecondError struct {
	Pid    int
	Config string
	Only   string // the names that both run, separated by commas; empty: the whole configuration
	Reason string // why nothing is known about Only; empty: it is known
}

func (e *SecondError) Error() string {
	what := e.Config
	if e.Only != "" {
		what = fmt.Sprintf("%s of %s", e.Only, e.Config)
	}
	text := fmt.Sprintf("the supervisor with pid %d already runs %s. Send SIGHUP to it to apply "+
		"an edit, stop it first, or start a second one with --allow-second", e.Pid, what)
	if e.Reason != "" {
		text += fmt.Sprintf(" (it does not say which children it runs: %s)", e.Reason)
	}
	return text
}

// Claimant is a supervisor that is about to run a configuration.
type Claimant struct {
	Config string // the absolute path
	// Overlap returns those of its arguments that are among the children and instances of the
	// claimant. nil allows a second supervisor.
	Overlap func(only []string) []string
	// Ask returns the identity of the supervisor at the other end of a connection.
	Ask func(context.Context, *net.UnixConn) (api.Identity, error)
}

// Claim opens the abstract control socket of a configuration. The error is a [*SecondError] if
// another supervisor already runs a child of the claimant. With any other error there is no control
// socket, and it is not known whether there is another supervisor.
//
// A process of a user whom we do not trust does not count: every user can open an abstract name.
func Claim(c Claimant) (*net.UnixListener, error) {
	name := Name(c.Config)
	defer lockClaims(name)()
	if c.Overlap != nil {
		if err := c.checkSlots(name); err != nil {
			return nil, err
		}
	}
	var l *net.UnixListener
	var err error
	for slot := range MaxSlots {
		l, err = net.ListenUnix("unix", &net.UnixAddr{Name: SlotName(name, slot), Net: "unix"})
		if !errors.Is(err, unix.EADDRINUSE) {
			break
		}
	}
	if err != nil {
		return nil, fmt.Errorf("cannot open the control socket: %w", err)
	}
	return l, nil
}

// lockClaims makes claims of the same name wait for each other, so that of two supervisors that are
// started at the same time one starts. It returns a function that ends the claim. A claim waits for
// claimTimeout at most: every user can open the name of the lock.
func lockClaims(name string) (unlock func()) {
	end := time.Now().Add(claimTimeout)
	for {
		l, err := net.ListenUnix("unix", &net.UnixAddr{Name: name + "-claim", Net: "unix"})
		if err == nil {
			return func() { l.Close() }
		}
		if !errors.Is(err, unix.EADDRINUSE) || time.Now().After(end) {
			return func() {}
		}
		time.Sleep(claimInterval)
	}
}

const (
	claimTimeout  = 2 * time.Second
	claimInterval = 5 * time.Millisecond
	slotTimeout   = 2 * time.Second // of the answer of one supervisor
)

// checkSlots asks the supervisors of all slots. Without another supervisor it takes one socket and
// MaxSlots calls of connect(2).
func (c *Claimant) checkSlots(name string) error {
	d := newDialer()
	defer d.close()
	for slot := range MaxSlots {
		address := SlotName(name, slot)
		conn, err := d.dial(address)
		if err != nil {
			continue // no supervisor has the name, or Claim fails too
		}
		err = c.checkSlot(conn, address)
		conn.Close()
		if err != nil {
			return err
		}
	}
	return nil
}

// checkSlot returns a [*SecondError] if the supervisor of a slot runs a child of ours. A supervisor
// that does not answer counts as one that does.
func (c *Claimant) checkSlot(conn *net.UnixConn, address string) error {
	ctx, cancel := context.WithTimeout(context.Background(), slotTimeout)
	defer cancel()
	peer, err := PeerOf(conn)
	if err != nil || !peer.Trusted() {
		return nil
	}
	second := &SecondError{Pid: peer.Pid, Config: c.Config}
	id, err := c.Ask(ctx, conn)
	if err != nil {
		second.Reason = err.Error()
		return second.unlessEnded(address)
	}
	if len(id.Only) == 0 {
		return second
	}
	if common := c.Overlap(id.Only); len(common) > 0 {
		second.Only = strings.Join(common, ", ")
		return second
	}
	return nil
}

// unlessEnded returns the error, or nil if no process has the address any more.
func (e *SecondError) unlessEnded(address string) error {
	c, err := Dial(address)
	if errors.Is(err, ErrNoSupervisor) {
		return nil
	}
	if err == nil {
		c.Close()
	}
	return e
}
