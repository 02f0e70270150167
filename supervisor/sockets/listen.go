// Package sockets opens the sockets that children listen on, and keeps them open
// from one run to the next: who connects while there is none waits in the
// backlog.
package sockets

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"tp0/supervisor/config"
	"tp0/supervisor/fdledger"
)

// Set are those that are open, by their addresses. One goroutine at a time
// may use them.
type Set struct {
	books fdledger.Registrar
	open  map[string]*socket
}

// socket is one that is open.
type socket struct {
	config.Listen
	fd     int
	device uint64 // of the file of a unix socket, and its inode
	inode  uint64
}

// New makes an empty set.
func New(books fdledger.Registrar) *Set {
	return &Set{books: books, open: map[string]*socket{}}
}

// Open opens what is not open yet, and gives the others the mode and the
// backlog that are wanted now: all of it, or nothing is changed.
func (s *Set) Open(want []config.Listen) error {
	var undo []func()
	for _, l := range want {
		k, there := s.open[l.Address()]
		var err error
		if !there {
			if err = s.add(l); err == nil {
				undo = append(undo, func() { s.close(l.Address()) })
			}
		} else if before := k.Listen; before != l {
			undo = append(undo, func() { _ = k.adjust(before) })
			err = k.adjust(l)
		}
		if err != nil {
			for _, do := range undo {
				do()
			}
			return fmt.Errorf("cannot open the socket %q on %q: %w", l.Name, l.Address(), err)
		}
	}
	return nil
}

// Take is Open, and returns the descriptors in the order of want.
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

// Keep closes all but those that are needed. A run that has one of these keeps
// its own copy.
func (s *Set) Keep(needed func(address string) bool) {
	for address := range s.open {
		if !needed(address) {
			s.close(address)
		}
	}
}

// Empty reports whether nothing is open.
func (s *Set) Empty() bool { return len(s.open) == 0 }

func (s *Set) add(l config.Listen) error {
	k := &socket{Listen: l}
	var err error
	if l.Unix != "" {
		err = k.openUnix()
	} else {
		err = k.openTCP()
	}
	if err == nil {
		s.open[l.Address()] = k
		s.books.Opened(k.fd, "socket", k.target())
	}
	return err
}

func (s *Set) close(address string) {
	k := s.open[address]
	delete(s.open, address)
	k.unlink()
	_ = s.books.Close(k.fd, func() error { return unix.Close(k.fd) })
}

// target is what the books say, in the words of procfs.
func (k *socket) target() string {
	if k.Unix != "" {
		return "unix " + k.Unix + " listen"
	}
	return "tcp " + k.TCP + " listen"
}

// adjust gives an open socket another mode and another backlog: listen(2) on
// one that listens already just sets the number.
func (k *socket) adjust(l config.Listen) error {
	if l.Unix != "" && l.Mode != k.Mode {
		if !k.ours() {
			return errors.New("somebody replaced its file")
		}
		if err := unix.Chmod(l.Unix, uint32(l.Mode)); err != nil {
			return err
		}
	}
	k.Listen = l
	return unix.Listen(k.fd, l.Backlog)
}
