package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"
	"time"

	"tp0/workers/internal/graceful"
)

// maxExcess is the largest number of bytes of an answer beyond its message. It bounds the memory
// for an answer without a newline.
const maxExcess = 64 << 10

var (
	errConnect = errors.New("cannot connect")
	errWrong   = errors.New("wrong answer")

	// past is a deadline that interrupts a Read or Write at once.
	past = time.Unix(1, 0)
)

// budget limits all attempts of one message.
const budget = 2 * time.Second

// requester sends messages to the server.
type requester struct {
	address         string // host:port
	log             *graceful.Log
	stopping, hurry context.Context // end with the stop, and when the stop is escalated
}

// request sends message over a new connection and checks the answer, within the given time. The
// stop interrupts the connect at once, and the wait for the answer only when it is escalated. The
// error wraps errConnect if the connection failed, and errWrong if the answer is not message.
func (r *requester) request(message string, until time.Time) (err error) {
	connecting, cancel := context.WithDeadline(r.stopping, until)
	defer cancel()
	conn, err := r.connect(connecting)
	if err != nil {
		return fmt.Errorf("%w: %w", errConnect, err)
	}
	defer func() {
		// A failed close makes the request fail.
		err = errors.Join(err, r.log.Close("connection", conn, "address", conn.RemoteAddr()))
	}()
	if err := conn.SetDeadline(until); err != nil {
		return err
	}
	defer context.AfterFunc(r.hurry, func() { _ = conn.SetDeadline(past) })()

	if _, err := io.WriteString(conn, message+"\n"); err != nil {
		return fmt.Errorf("cannot send the message: %w", err)
	}
	answer, err := receive(conn, message)
	if err != nil {
		return err
	}
	if answer != message+"\n" {
		return fmt.Errorf("%w: %.200q", errWrong, answer)
	}
	return nil
}

// leastConnect is the shortest connect timeout of one address, so that one dead address does not
// use the time of the others.
const leastConnect = 250 * time.Millisecond

// connect tries the addresses of the server one after the other until ctx ends, and logs the close
// of each socket that did not connect.
func (r *requester) connect(ctx context.Context) (net.Conn, error) {
	host, port, err := net.SplitHostPort(r.address)
	if err != nil {
		return nil, err
	}
	addresses, err := lookup(ctx, host)
	if err != nil {
		return nil, err
	}
	var first error
	for i, a := range addresses {
		share := leastConnect
		if end, ok := ctx.Deadline(); ok {
			share = max(share, time.Until(end)/time.Duration(len(addresses)-i))
		}
		conn, err := r.dial(ctx, share, net.JoinHostPort(a.Unmap().String(), port))
		if err == nil {
			return conn, nil
		}
		if first == nil {
			first = err
		}
		if ctx.Err() != nil {
			break
		}
	}
	return nil, first
}

// dial connects to one address.
func (r *requester) dial(ctx context.Context, limit time.Duration, address string) (net.Conn,
	error) {
	type socket struct {
		number  uintptr
		address string
	}
	var opened []socket
	dialer := net.Dialer{
		Timeout: limit,
		Control: func(_, address string, raw syscall.RawConn) error {
			return raw.Control(func(fd uintptr) { opened = append(opened, socket{fd, address}) })
		},
	}
	conn, err := dialer.DialContext(ctx, "tcp", address)
	if err == nil {
		opened = opened[:len(opened)-1] // the last socket is the connection
	}
	for _, s := range opened {
		r.log.Success("close", "resource", "socket", "fd", s.number, "address", s.address)
	}
	return conn, err
}

// receive reads a line from conn, newline included, of at most len(message)+maxExcess bytes.
func receive(conn io.Reader, message string) (string, error) {
	most := int64(len(message) + maxExcess)
	line, err := bufio.NewReader(io.LimitReader(conn, most)).ReadString('\n')
	switch {
	case err == nil:
		return line, nil
	case errors.Is(err, io.EOF) && int64(len(line)) == most:
		return "", fmt.Errorf("%w: no newline within %d bytes", errWrong, most)
	case errors.Is(err, io.EOF):
		return "", fmt.Errorf("the answer was cut after %d bytes", len(line))
	case errors.Is(err, os.ErrDeadlineExceeded):
		return "", fmt.Errorf("no whole answer within %v", budget)
	}
	return "", fmt.Errorf("cannot receive the answer: %w", err)
}
