// Package sockets opens the sockets of listen blocks and keeps them open between the processes
// of a child. Connections that arrive while no process runs wait in the backlog.
package sockets

import (
	"fmt"

	"golang.org/x/sys/unix"

	"tp0/supervisor/config"
	"tp0/supervisor/fdledger"
)

// Set contains the open sockets by address. It is not safe for concurrent use.
type Set struct {
	ledger fdledger.Registrar
	open   map[string]*socket
}

// New returns an empty set.
func New(ledger fdledger.Registrar) *Set {
	return &Set{ledger: ledger, open: map[string]*socket{}}
}

// Open opens the sockets that are not open yet, and sets the mode, the owner and the backlog of
// the others.
// On an error it restores the previous state of all of them.
func (s *Set) Open(want []config.Listen) error {
	var undo []func()
	for _, l := range want {
		k, exists := s.open[l.Address()]
		var err error
		if !exists {
			if err = s.add(l); err == nil {
				undo = append(undo, func() { s.close(l.Address()) })
			}
		} else if before := k.Listen; before != l {
			undo = append(undo, func() { _ = k.update(before) })
			err = k.update(l)
		}
		if err != nil {
			for _, f := range undo {
				f()
			}
			return fmt.Errorf("cannot open the socket %q on %q: %w", l.Name, l.Address(), err)
		}
	}
	return nil
}

// Take calls Open and returns the descriptors in the order of want. The set still owns them: the
// caller must not close them.
func (s *Set) Take(want []config.Listen) ([]int, error) {
	if err := s.Open(want); err != nil {
		return nil, err
	}
	fds := make([]int, len(want))
	for i, l := range want {
		fds[i] = s.open[l.Address()].fd
	}
	return fds, nil
}

// Keep closes the sockets for which needed returns false. Processes that inherited such a socket
// have their own copy of it.
func (s *Set) Keep(needed func(address string) bool) {
	for address := range s.open {
		if !needed(address) {
			s.close(address)
		}
	}
}

// Empty reports whether no socket is open.
func (s *Set) Empty() bool { return len(s.open) == 0 }

func (s *Set) add(l config.Listen) error {
	k := &socket{Listen: l}
	err := k.open()
	if err == nil {
		s.open[l.Address()] = k
		s.ledger.Opened(k.fd, "socket", k.target())
	}
	return err
}

func (s *Set) close(address string) {
	k := s.open[address]
	delete(s.open, address)
	k.file.Remove()
	_ = s.ledger.Close(k.fd, func() error { return unix.Close(k.fd) })
}
