package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"sync/atomic"
	"syscall"
	"time"

	"tp0/workers/internal/graceful"
)

const (
	// maxLine is the largest line in bytes, without its newline.
	maxLine = 64 << 10

	// firstByteTimeout is how long, from its accept on, a client that has sent nothing at the stop
	// is waited for. A client that is connected for longer is idle.
	firstByteTimeout = 500 * time.Millisecond

	// lastWriteTimeout is the timeout of an answer after the stop was escalated.
	lastWriteTimeout = 50 * time.Millisecond

	// lingerTimeout and lingerBytes limit the wait for the client to close. If the server closes
	// while bytes of the client are unread or in flight, the kernel sends a reset, which can
	// discard the answer.
	lingerTimeout = 250 * time.Millisecond
	lingerBytes   = 1 << 20
)

var (
	errNoRequest = errors.New("the client sent nothing")
	errTooLong   = fmt.Errorf("the line has more than %d bytes", maxLine)
	errHurried   = errors.New("the stop was escalated before the whole line arrived")
	errEvicted   = errors.New("evicted: every place is taken, and another client needs one")
)

// shared is what the server and its connections have in common.
type shared struct {
	config
	log             *graceful.Log
	stopping, hurry context.Context // end with the stop, and when the stop is escalated
}

// stream is a connection of package net.
type stream interface {
	net.Conn
	syscall.Conn
	CloseWrite() error
}

// connection is the connection of one client. Its hurry ends when it is evicted, too.
type connection struct {
	shared
	conn     stream
	ip       string
	network  netip.Prefix
	accepted time.Time               // when it got its place
	whole    atomic.Bool             // the whole line has arrived
	cancel   context.CancelCauseFunc // ends hurry; serve calls it
}

func newConnection(s shared, conn stream) *connection {
	c := &connection{shared: s, conn: conn, network: network(conn.RemoteAddr())}
	if tcp, ok := conn.RemoteAddr().(*net.TCPAddr); ok {
		c.ip = tcp.IP.String()
	}
	c.hurry, c.cancel = context.WithCancelCause(s.hurry)
	return c
}

// serve answers the client and closes the connection.
func (c *connection) serve() {
	defer c.log.Close("connection", c.conn, "address", c.conn.RemoteAddr())
	defer c.cancel(nil)
	defer context.AfterFunc(c.stopping, func() { _ = c.conn.SetReadDeadline(past) })()
	defer context.AfterFunc(c.hurry, func() {
		_ = c.conn.SetReadDeadline(past)
		_ = c.conn.SetWriteDeadline(time.Now().Add(lastWriteTimeout))
	})()

	message, err := c.receive()
	switch {
	case errors.Is(err, errNoRequest):
		_ = c.conn.CloseWrite() // an error means that the client is gone
		return
	case err != nil:
		c.log.Fail("receive_message", "ip", c.ip, "error", err)
	default:
		c.whole.Store(true)
		c.log.Success("receive_message", "ip", c.ip, "msg", string(message))
		if err := c.answer(message); err != nil {
			c.log.Fail("send_message", "ip", c.ip, "error", err)
		}
	}
	c.finish()
}

// receive returns the line of the client without its newline, or the bytes before EOF. The whole
// line must arrive within the idle timeout. After the stop, receive waits for the rest of a line
// that has begun until the stop is escalated, and for a client that has sent nothing until
// firstByteTimeout; then it returns errNoRequest.
func (c *connection) receive() ([]byte, error) {
	idle := c.accepted.Add(c.idleTimeout)
	if err := c.readUntil(idle); err != nil {
		return nil, err
	}
	if c.stopping.Err() != nil { // readUntil may have replaced the deadline of the stop
		_ = c.conn.SetReadDeadline(past)
	}
	var line []byte
	chunk := make([]byte, 2048)
	for {
		n, err := c.conn.Read(chunk)
		part, _, whole := bytes.Cut(chunk[:n], []byte{'\n'})
		line = append(line, part...)
		switch {
		case len(line) > maxLine:
			return nil, errTooLong
		case whole, errors.Is(err, io.EOF):
			return line, nil
		case errors.Is(err, os.ErrDeadlineExceeded):
			if err := c.extendRead(len(line), idle); err != nil {
				return nil, err
			}
		case err != nil:
			return nil, err
		}
	}
}

// extendRead sets the next read deadline after one has expired, with got bytes received.
func (c *connection) extendRead(got int, idle time.Time) error {
	now, firstByte := time.Now(), c.accepted.Add(firstByteTimeout)
	switch {
	case errors.Is(context.Cause(c.hurry), errEvicted):
		return errEvicted
	case !now.Before(idle):
		return fmt.Errorf("no whole line within %v", c.idleTimeout)
	case got > 0, ready(c.conn):
		return c.readUntil(idle)
	case now.Before(firstByte):
		return c.readUntil(firstByte)
	}
	return errNoRequest
}

// readUntil sets the read deadline. It checks hurry afterwards, whose own deadline it may have
// replaced.
func (c *connection) readUntil(deadline time.Time) error {
	if err := c.conn.SetReadDeadline(deadline); err != nil {
		return err
	}
	switch {
	case errors.Is(context.Cause(c.hurry), errEvicted):
		return errEvicted
	case c.hurry.Err() != nil:
		return errHurried
	}
	return nil
}

func (c *connection) answer(message []byte) error {
	if err := c.conn.SetWriteDeadline(time.Now().Add(c.idleTimeout)); err != nil {
		return err
	}
	if c.hurry.Err() != nil {
		_ = c.conn.SetWriteDeadline(time.Now().Add(lastWriteTimeout))
	}
	_, err := c.conn.Write(append(message, '\n'))
	if err != nil && errors.Is(context.Cause(c.hurry), errEvicted) {
		return errEvicted
	}
	return err
}

// finish closes the sending direction, so the client gets EOF after the answer, and waits until the
// client closes.
func (c *connection) finish() {
	if c.conn.CloseWrite() != nil || c.hurry.Err() != nil {
		return
	}
	_ = c.conn.SetReadDeadline(time.Now().Add(lingerTimeout))
	_, _ = io.CopyN(io.Discard, c.conn, lingerBytes)
}
