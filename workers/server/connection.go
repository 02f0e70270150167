package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"time"
)

const (
	// maxLine is how many bytes a line may have, its end not counted.
	maxLine = 64 << 10

	// youth is how long a client is waited for, from its accept on, that has sent nothing when the
	// end begins: it may have been about to. One that is older was idle.
	youth = 100 * time.Millisecond

	// lastTry is how long an answer may still take once the end is hastened: one that the socket
	// can take at once goes out.
	lastTry = 50 * time.Millisecond

	// linger bounds the wait for the client to close too, in time and bytes. Closed before, with
	// bytes from the client unread or on their way, the kernel sends a reset that can overtake the
	// answer.
	linger      = 250 * time.Millisecond
	lingerBytes = 1 << 20
)

var (
	errNotAsked = errors.New("nothing was asked")
	errTooLong  = fmt.Errorf("the line has more than %d bytes", maxLine)
	errHurried  = errors.New("the rest of the line did not come before the end")
)

// connection is one client's: a line comes in, the same goes out.
type connection struct {
	*server
	conn     *net.TCPConn
	ip       string
	accepted time.Time
}

func newConnection(s *server, conn *net.TCPConn) *connection {
	return &connection{server: s, conn: conn, ip: conn.RemoteAddr().(*net.TCPAddr).IP.String(),
		accepted: time.Now()}
}

// serve answers the client, half-closes and closes.
func (c *connection) serve() {
	defer c.log.Close("connection", c.conn, "address", c.conn.RemoteAddr())
	defer context.AfterFunc(c.stopping, func() { _ = c.conn.SetReadDeadline(past) })()
	defer context.AfterFunc(c.hurry, func() {
		_ = c.conn.SetReadDeadline(past)
		_ = c.conn.SetWriteDeadline(time.Now().Add(lastTry))
	})()

	message, err := c.receive()
	switch {
	case errors.Is(err, errNotAsked):
		_ = c.conn.CloseWrite() // fails only if the client is gone, which is as good
		return
	case err != nil:
		c.log.Fail("receive_message", "ip", c.ip, "error", err)
	default:
		c.log.Success("receive_message", "ip", c.ip, "msg", string(message))
		if err := c.answer(message); err != nil {
			c.log.Fail("send_message", "ip", c.ip, "error", err)
		}
	}
	c.part()
}

// receive returns the client's line without its end, or what came before the client's EOF. All of
// it has to come within the idle timeout. After the end has begun, a line of which a part is there
// is waited for until the hurry; a client that has sent nothing by then, in its youth excepted,
// gives errNotAsked.
func (c *connection) receive() ([]byte, error) {
	idle := c.accepted.Add(c.idleTimeout)
	if err := c.readUntil(idle); err != nil {
		return nil, err
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
			if err := c.readOn(len(line), idle); err != nil {
				return nil, err
			}
		case err != nil:
			return nil, err
		}
	}
}

// readOn decides after a read deadline what is left to wait for with got bytes received.
func (c *connection) readOn(got int, idle time.Time) error {
	now, young := time.Now(), c.accepted.Add(youth)
	switch {
	case !now.Before(idle):
		return fmt.Errorf("no whole line within %v", c.idleTimeout)
	case got > 0, ready(c.conn):
		return c.readUntil(idle)
	case now.Before(young):
		return c.readUntil(young)
	}
	return errNotAsked
}

// readUntil sets the read deadline, in a way that cannot undo the one of the hurry.
func (c *connection) readUntil(deadline time.Time) error {
	if err := c.conn.SetReadDeadline(deadline); err != nil {
		return err
	}
	if c.hurry.Err() != nil {
		return errHurried
	}
	return nil
}

func (c *connection) answer(message []byte) error {
	if err := c.conn.SetWriteDeadline(time.Now().Add(c.idleTimeout)); err != nil {
		return err
	}
	if c.hurry.Err() != nil {
		_ = c.conn.SetWriteDeadline(time.Now().Add(lastTry))
	}
	_, err := c.conn.Write(append(message, '\n'))
	return err
}

// part half-closes, so that the client sees the end of its answer, and waits for the client to
// close as well.
func (c *connection) part() {
	if c.conn.CloseWrite() != nil || c.hurry.Err() != nil {
		return
	}
	_ = c.conn.SetReadDeadline(time.Now().Add(linger))
	_, _ = io.CopyN(io.Discard, c.conn, lingerBytes)
}
