package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"tp0/workers/internal/graceful"
)

const (
	// After a failed accept the next one waits, longer each time. Out of descriptors (EMFILE) is
	// the usual reason, and then only time helps.
	firstPause = 20 * time.Millisecond
	lastPause  = time.Second
)

// past is a deadline that is over, to take a goroutine out of an Accept or a Read.
var past = time.Unix(1, 0)

// server accepts connections and owns their goroutines.
type server struct {
	config
	log             *graceful.Log
	listener        *net.TCPListener
	stopping, hurry context.Context
	slots           chan struct{} // holds one for each connection, so that it is full at the bound
	connections     sync.WaitGroup
}

func newServer(c config, log *graceful.Log, listener *net.TCPListener, stopping,
	hurry context.Context) *server {
	return &server{
		config: c, log: log, listener: listener, stopping: stopping, hurry: hurry,
		slots: make(chan struct{}, c.maxConnections),
	}
}

// serve answers clients until the end begins, then those that had come until then, and returns when
// the listener and every connection is closed.
func (s *server) serve() error {
	fields := append(graceful.Number(s.listener), "address", s.listener.Addr())
	if s.inherited {
		fields = append(fields, "inherited", true)
	}
	s.log.Success("listen", fields...)
	s.log.Progress("accept_connections")
	err := s.accept()
	if err != nil {
		s.log.Fail("accept_connections", "error", err)
	} else {
		s.acceptQueued()
	}
	err = errors.Join(err, s.log.Close("listener", s.listener, "address", s.listener.Addr()))
	s.connections.Wait()
	s.log.Success("close", "resource", "goroutine group", "group", "connections")
	return err
}

// accept takes connections until the end begins, and none beyond the bound: those wait in the
// backlog. The only error is that of a listener which will never accept again.
func (s *server) accept() error {
	interrupted := context.AfterFunc(s.stopping, func() { _ = s.listener.SetDeadline(past) })
	defer interrupted()
	pause := firstPause
	for s.takeSlot(s.stopping) {
		conn, err := s.listener.AcceptTCP()
		if err == nil {
			pause = firstPause
			s.handle(conn)
			continue
		}
		<-s.slots
		switch {
		case s.stopping.Err() != nil:
			return nil
		case errors.Is(err, unix.EINVAL), errors.Is(err, unix.EBADF), errors.Is(err, unix.ENOTSOCK),
			errors.Is(err, net.ErrClosed):
			return fmt.Errorf("cannot accept on this listener: %w", err)
		}
		s.log.Fail("accept_connections", "error", err, "next_try", pause)
		wait(s.stopping, pause)
		pause = min(2*pause, lastPause)
	}
	return nil
}

// acceptQueued takes the connections that were established before the end began and not yet
// accepted. New ones may join the queue meanwhile, so that their number is bounded by what it could
// hold; the listener is closed right afterwards.
func (s *server) acceptQueued() {
	interrupted := context.AfterFunc(s.hurry, func() { _ = s.listener.SetDeadline(past) })
	defer interrupted()
	most := s.backlog + 1
	if s.inherited { // others may accept from it too, and those who come later are for them
		most = queued(s.listener)
	}
	for taken := 0; taken < most && s.takeSlot(s.hurry); {
		if !ready(s.listener) {
			<-s.slots
			return
		}
		// each time: the one that interrupted accept may come late
		_ = s.listener.SetDeadline(time.Time{})
		if conn, err := s.listener.AcceptTCP(); err == nil {
			s.handle(conn)
			taken++
			continue
		}
		<-s.slots
		wait(s.hurry, firstPause) // for a descriptor to be had: idle connections are being closed
	}
}

// takeSlot waits for room for one more connection; false if until ended first.
func (s *server) takeSlot(until context.Context) bool {
	if until.Err() != nil {
		return false
	}
	select {
	case s.slots <- struct{}{}:
		return true
	case <-until.Done():
		return false
	}
}

// handle serves conn in a goroutine that gives the slot back.
func (s *server) handle(conn *net.TCPConn) {
	c := newConnection(s, conn)
	s.log.Success("accept_connections", "ip", c.ip)
	s.connections.Go(func() {
		c.serve()
		<-s.slots
	})
}

// wait returns after d, or as soon as until is done.
func wait(until context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-until.Done():
	}
}
