package control

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"tp0/supervisor/fdledger"
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

// Claim opens the control socket of a configuration. The error is a [*SecondError] if another
// supervisor already runs a child that this one runs: overlap returns those of its arguments that
// are among our children and instances. A nil overlap allows a second supervisor. With any other
// error there is no control socket, and it is not known whether there is another supervisor.
//
// A process of a user whom we do not trust does not count: every user can open an abstract name.
func Claim(
	fds fdledger.Registrar, subject Subject, overlap func(only []string) []string,
) (*Server, error) {
	name := Name(subject.Config)
	defer lockClaims(name)()
	if overlap != nil {
		for slot := range maxSlots {
			if err := checkSlot(slotName(name, slot), subject.Config, overlap); err != nil {
				return nil, err
			}
		}
	}
	var s *Server
	var err error
	for slot := range maxSlots {
		s, err = Listen(slotName(name, slot), fds, subject)
		if !errors.Is(err, unix.EADDRINUSE) {
			break
		}
	}
	return s, err
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

// checkSlot returns a [*SecondError] if the supervisor of a slot runs a child of ours. A supervisor
// that does not answer counts as one that does.
func checkSlot(name, config string, overlap func([]string) []string) error {
	ctx, cancel := context.WithTimeout(context.Background(), slotTimeout)
	defer cancel()
	c, err := dial(ctx, name)
	if err != nil {
		return nil // no supervisor has the name, or [Listen] fails too
	}
	defer c.Close()
	defer context.AfterFunc(ctx, func() { _ = c.SetDeadline(time.Now()) })()
	peer, err := peerOf(c)
	if err != nil || !trusts(peer) {
		return nil
	}
	second := &SecondError{Pid: int(peer.Pid), Config: config}
	answer, err := converse(c, askOnly)
	if err != nil {
		second.Reason = err.Error()
		return second.unlessEnded(name)
	}
	only := strings.TrimPrefix(strings.TrimPrefix(answer, answerOK), ": ")
	if only == "" {
		return second
	}
	if common := overlap(strings.Split(only, ",")); len(common) > 0 {
		second.Only = strings.Join(common, ", ")
		return second
	}
	return nil
}

// unlessEnded returns the error, or nil if no process has the name any more.
func (e *SecondError) unlessEnded(name string) error {
	ctx, cancel := context.WithTimeout(context.Background(), slotTimeout)
	defer cancel()
	c, err := dial(ctx, name)
	if errors.Is(err, errNoSupervisor) {
		return nil
	}
	if err == nil {
		c.Close()
	}
	return e
}
