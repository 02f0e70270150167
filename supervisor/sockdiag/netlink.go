package sockdiag

import (
	"encoding/binary"
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

const (
	answerTimeoutMs = 500
	maxAnswer       = 32 << 10 // bytes that the kernel fills at a time, netlink(7)
)

// conn is a sock_diag(7) socket. Numbers in its messages are in host order, except ports and
// addresses.
type conn struct {
	fd  int
	seq uint32
	// buffer is the free rest of the buffer that answers are read into. The messages of a dump stay
	// in use, so they share few large buffers.
	buffer []byte
}

// dial opens a sock_diag socket that waits for an answer for 500 ms at most.
func dial() (*conn, error) {
	const kind = unix.SOCK_RAW | unix.SOCK_CLOEXEC
	s, err := unix.Socket(unix.AF_NETLINK, kind, unix.NETLINK_SOCK_DIAG)
	if err != nil {
		return nil, fmt.Errorf("cannot open a sock_diag socket: %w", err)
	}
	timeout := unix.Timeval{Usec: answerTimeoutMs * 1000}
	if err := unix.SetsockoptTimeval(s, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &timeout); err != nil {
		unix.Close(s)
		return nil, fmt.Errorf("cannot set the timeout of a sock_diag socket: %w", err)
	}
	return &conn{fd: s}, nil
}

func (c *conn) close() { _ = unix.Close(c.fd) }

// dump sends a request and calls visit for each socket that the kernel lists. kind is the message
// type of the request.
func (c *conn) dump(kind uint16, request []byte, visit func(message []byte)) error {
	if err := c.send(kind, unix.NLM_F_DUMP, request); err != nil {
		return err
	}
	for {
		if len(c.buffer) < maxAnswer {
			c.buffer = make([]byte, 2*maxAnswer)
		}
		n, err := c.receive(c.buffer[:maxAnswer])
		if err != nil {
			return fmt.Errorf("cannot read from sock_diag: %w", err)
		}
		answer := c.buffer[:n:n]
		c.buffer = c.buffer[n:]
		if done, err := c.parse(answer, visit); done || err != nil {
			return err
		}
	}
}

// lookup sends a query for one socket and calls visit with the answer. It reports whether the
// kernel found a socket.
func (c *conn) lookup(query Query, visit func(message []byte)) bool {
	if err := c.send(unix.SOCK_DIAG_BY_FAMILY, 0, []byte(query)); err != nil {
		return false
	}
	// The kernel's buffer for the answer has one page (unix_diag_get_exact).
	answer := make([]byte, 4096)
	for {
		n, err := c.receive(answer)
		if err != nil {
			return false
		}
		found := false
		_, err = c.parse(answer[:n], func(message []byte) {
			found = true
			visit(message)
		})
		if found || err != nil {
			return found
		}
		// The answer belongs to an earlier query, which timed out.
	}
}

func (c *conn) receive(b []byte) (int, error) {
	for {
		n, _, err := unix.Recvfrom(c.fd, b, 0)
		if !errors.Is(err, unix.EINTR) {
			return n, err
		}
	}
}

func (c *conn) send(kind, flags uint16, request []byte) error {
	c.seq++
	order := binary.NativeEndian
	b := make([]byte, unix.NLMSG_HDRLEN, unix.NLMSG_HDRLEN+len(request))
	order.PutUint32(b[0:], uint32(unix.NLMSG_HDRLEN+len(request)))
	order.PutUint16(b[4:], kind)
	order.PutUint16(b[6:], unix.NLM_F_REQUEST|flags)
	order.PutUint32(b[8:], c.seq)
	b = append(b, request...)
	if err := unix.Sendto(c.fd, b, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return fmt.Errorf("cannot send to sock_diag: %w", err)
	}
	return nil
}

// parse calls visit for each message of an answer. It skips the messages of an earlier request,
// which timed out. done reports the end of a dump.
func (c *conn) parse(answer []byte, visit func(message []byte)) (done bool, err error) {
	order := binary.NativeEndian
	for len(answer) >= unix.NLMSG_HDRLEN {
		size := int(order.Uint32(answer))
		if size < unix.NLMSG_HDRLEN || size > len(answer) {
			return true, fmt.Errorf("cannot read from sock_diag: "+
				"a message has %d bytes, %d are left", size, len(answer))
		}
		kind, body := order.Uint16(answer[4:]), answer[unix.NLMSG_HDRLEN:size]
		switch {
		case order.Uint32(answer[8:]) != c.seq:
		case kind == unix.NLMSG_DONE:
			return true, nil
		case kind == unix.NLMSG_ERROR:
			return true, messageError(body)
		default:
			visit(body)
		}
		answer = answer[min(align(size), len(answer)):]
	}
	return false, nil
}

// align rounds a size up to the alignment of messages and attributes, 4 bytes.
func align(size int) int { return (size + 3) &^ 3 }

func messageError(body []byte) error {
	if len(body) < 4 {
		return errors.New("sock_diag refused the request")
	}
	errno := unix.Errno(-int32(binary.NativeEndian.Uint32(body)))
	return fmt.Errorf("sock_diag refused the request: %w", errno)
}
