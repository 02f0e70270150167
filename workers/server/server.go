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
	// Pauses after a failed accept, doubled each time. The usual error is EMFILE (no free
	// descriptors), which ends when connections are closed.
	firstPause = 20 * time.Millisecond
	lastPause  = time.Second
)

// server accepts connections and owns their goroutines.
type server struct {
	shared
	listener    *net.TCPListener
	admission   *admission
	connections sync.WaitGroup
}

func newServer(c config, log *graceful.Log, listener *net.TCPListener, stopping,
	hurry context.Context) *server {
	return &server{
		shared:    shared{config: c, log: log, stopping: stopping, hurry: hurry},
		listener:  listener,
		admission: newAdmission(c.maxConnections),
	}
}

// serve answers clients until the stop, then the clients that had connected before it. It returns
// when the listener and every connection are closed.
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

// accept accepts connections until the stop. While one connection waits for a place, the next ones
// wait in the backlog. It returns an error only if the listener can never accept again.
func (s *server) accept() error {
	interrupted := context.AfterFunc(s.stopping, func() { _ = s.listener.SetDeadline(past) })
	defer interrupted()
	pause := firstPause
	for s.stopping.Err() == nil {
		conn, err := s.listener.AcceptTCP()
		if err == nil {
			pause = firstPause
			s.handle(conn)
			continue
		}
		switch {
		case s.stopping.Err() != nil:
			return nil
		case errors.Is(err, unix.EINVAL), errors.Is(err, unix.EBADF), errors.Is(err, unix.ENOTSOCK),
			errors.Is(err, net.ErrClosed):
			return fmt.Errorf("cannot accept on this listener: %w", err)
		case ready(s.listener) && (errors.Is(err, unix.EMFILE) || errors.Is(err, unix.ENFILE)):
			s.admission.relieve()
		}
		s.log.Fail("accept_connections", "error", err, "next_try", pause)
		wait(s.stopping, pause)
		pause = min(2*pause, lastPause)
	}
	return nil
}

// acceptQueued accepts the connections that were queued at the stop. New connections can join the
// queue meanwhile, so the number is limited to the size of the queue. The caller closes the
// listener.
func (s *server) acceptQueued() {
	interrupted := context.AfterFunc(s.hurry, func() { _ = s.listener.SetDeadline(past) })
	defer interrupted()
	most := s.backlog + 1
	if s.inherited { // another process may accept the later ones
		most = queued(s.listener)
	}
	for taken := 0; taken < most && s.hurry.Err() == nil; {
		if !ready(s.listener) {
			return
		}
		// each time: the callback of accept may set its deadline late
		_ = s.listener.SetDeadline(time.Time{})
		if conn, err := s.listener.AcceptTCP(); err == nil {
			s.handle(conn)
			taken++
			continue
		}
		wait(s.hurry, firstPause) // until a descriptor is free: idle connections are being closed
	}
}

// handle waits for a place for conn and serves it in a goroutine, which releases the place.
func (s *server) handle(conn *net.TCPConn) {
	c := newConnection(s.shared, conn)
	s.admission.admit(c, s.hurry)
	s.log.Success("accept_connections", "ip", c.ip)
	s.connections.Go(func() {
		c.serve()
		s.admission.release(c)
	})
}

// wait waits for d, or until the context ends.
func wait(until context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-until.Done():
	}
}
