package procfs

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/sys/unix"
)

// Sizes of the structures of include/uapi/linux/{inet,unix}_diag.h. Numbers are
// in host order but for the ports and addresses.
const (
	inetReqLen    = 56 // struct inet_diag_req_v2
	inetMsgLen    = 72 // struct inet_diag_msg
	unixReqLen    = 24 // struct unix_diag_req
	unixMsgLen    = 16 // struct unix_diag_msg
	diagTimeoutMs = 500
	diagAnswer    = 32 << 10 // the kernel fills no more at a time, netlink(7)
)

// diag is a sock_diag(7) socket. What it received is kept: the answers to one
// stock-taking are parts of few buffers.
type diag struct {
	fd   int
	seq  uint32
	room []byte
}

// openDiag bounds each wait for an answer by half a second.
func openDiag() (*diag, error) {
	s, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_SOCK_DIAG)
	if err != nil {
		return nil, fmt.Errorf("cannot open a sock_diag socket: %w", err)
	}
	wait := unix.Timeval{Usec: diagTimeoutMs * 1000}
	if err := unix.SetsockoptTimeval(s, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &wait); err != nil {
		unix.Close(s)
		return nil, fmt.Errorf("cannot bound the wait for sock_diag: %w", err)
	}
	return &diag{fd: s}, nil
}

// ask dumps the sockets that a request is for, one message each.
func (d *diag) ask(request []byte, each func(msg []byte)) error {
	return d.askAs(unix.SOCK_DIAG_BY_FAMILY, request, each)
}

func (d *diag) askAs(kind uint16, request []byte, each func(msg []byte)) error {
	if err := d.send(kind, unix.NLM_F_DUMP, request); err != nil {
		return err
	}
	for {
		if len(d.room) < diagAnswer {
			d.room = make([]byte, 2*diagAnswer)
		}
		n, _, err := unix.Recvfrom(d.fd, d.room[:diagAnswer], 0)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return fmt.Errorf("cannot read from sock_diag: %w", err)
		}
		answer := d.room[:n:n]
		d.room = d.room[n:]
		if done, err := d.messages(answer, each); done || err != nil {
			return err
		}
	}
}

func (d *diag) send(kind, flags uint16, request []byte) error {
	d.seq++
	order := binary.NativeEndian
	req := make([]byte, unix.NLMSG_HDRLEN, unix.NLMSG_HDRLEN+len(request))
	order.PutUint32(req[0:], uint32(unix.NLMSG_HDRLEN+len(request)))
	order.PutUint16(req[4:], kind)
	order.PutUint16(req[6:], unix.NLM_F_REQUEST|flags)
	order.PutUint32(req[8:], d.seq)
	req = append(req, request...)
	if err := unix.Sendto(d.fd, req, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return fmt.Errorf("cannot ask sock_diag: %w", err)
	}
	return nil
}

// messages passes over what belongs to an earlier request, which timed out.
func (d *diag) messages(answer []byte, each func(msg []byte)) (done bool, err error) {
	order := binary.NativeEndian
	for len(answer) >= unix.NLMSG_HDRLEN {
		size := int(order.Uint32(answer))
		if size < unix.NLMSG_HDRLEN || size > len(answer) {
			return true, errors.New("cannot read from sock_diag: a message of a wrong length")
		}
		kind, body := order.Uint16(answer[4:]), answer[unix.NLMSG_HDRLEN:size]
		switch {
		case order.Uint32(answer[8:]) != d.seq:
		case kind == unix.NLMSG_DONE:
			return true, nil
		case kind == unix.NLMSG_ERROR:
			return true, diagError(body)
		default:
			each(body)
		}
		answer = answer[min((size+3)&^3, len(answer)):]
	}
	return false, nil
}

func diagError(body []byte) error {
	if len(body) < 4 {
		return errors.New("sock_diag refused")
	}
	return fmt.Errorf("sock_diag refused: %w", unix.Errno(-int32(binary.NativeEndian.Uint32(body))))
}

// inet takes stock of the sockets of a family and protocol in the given states.
func (d *diag) inet(family, protocol uint8, word string, states uint32, into map[uint64]SocketInfo) error {
	tell, again := tellInet(word), tcpAgain
	if protocol == unix.IPPROTO_UDP {
		again = udpAgain
	}
	return d.ask(inetRequest(family, protocol, states), func(msg []byte) {
		if inode := inetInode(msg); inode != 0 {
			into[inode] = SocketInfo{msg, tell, again}
		}
	})
}

// tcp takes stock of the TCP sockets of both families in the given states in one
// pass. What that costs is the kernel's way through its tables, which a request
// by family would take twice; only the older form, struct inet_diag_req with
// TCPDIAG_GETSOCK, asks for all families (inet_diag_dump_compat,
// net/ipv4/inet_diag.c).
func (d *diag) tcp(states uint32, into map[uint64]SocketInfo) error {
	const getSock, reqLen, stateBits = 18, 60, 52
	req := make([]byte, reqLen)
	req[0] = unix.AF_INET
	binary.NativeEndian.PutUint32(req[stateBits:], states)
	tell := tellInet("tcp")
	return d.askAs(getSock, req, func(msg []byte) {
		if inode := inetInode(msg); inode != 0 {
			into[inode] = SocketInfo{msg, tell, tcpAgain}
		}
	})
}

// inetRequest asks for the sockets of a family and protocol in the given
// states, a bit set of TCP_*.
func inetRequest(family, protocol uint8, states uint32) []byte {
	req := make([]byte, inetReqLen)
	req[0], req[1] = family, protocol
	binary.NativeEndian.PutUint32(req[4:], states)
	return req
}

func inetInode(msg []byte) uint64 {
	if len(msg) < inetMsgLen {
		return 0
	}
	return uint64(binary.NativeEndian.Uint32(msg[68:]))
}

func parseInet(b []byte, protocol string) Socket {
	order := binary.NativeEndian
	return Socket{
		Protocol: protocol, State: b[1], Inode: inetInode(b),
		Local: diagAddr(b[0], b[8:24], b[4:6]), Remote: diagAddr(b[0], b[24:40], b[6:8]),
		received: order.Uint32(b[56:]), sent: order.Uint32(b[60:]),
	}
}

func tellInet(protocol string) teller {
	return func(msg []byte) (string, FDDetail, uint64) {
		s := parseInet(msg, protocol)
		return s.String(), s.detail(), 0
	}
}

// unix takes stock of the unix sockets. It is asked rather than
// /proc/net/unix, where a path that has a newline in it can pass for another
// socket.
func (d *diag) unix(into map[uint64]SocketInfo) error {
	return d.ask(unixRequest(), func(msg []byte) {
		if inode := unixInode(msg); inode != 0 {
			into[inode] = SocketInfo{msg, tellUnix, unixAgain}
		}
	})
}

func unixRequest() []byte {
	req := make([]byte, unixReqLen)
	req[0] = unix.AF_UNIX
	binary.NativeEndian.PutUint32(req[4:], ^uint32(0))
	binary.NativeEndian.PutUint32(req[12:], unixShowName|unixShowPeer|unixShowQueue)
	return req
}

func unixInode(msg []byte) uint64 {
	if len(msg) < unixMsgLen {
		return 0
	}
	return uint64(binary.NativeEndian.Uint32(msg[4:]))
}

// include/uapi/linux/unix_diag.h
const (
	unixShowName  = 0x01
	unixShowPeer  = 0x04
	unixShowQueue = 0x10

	unixName     = 0
	unixPeer     = 2
	unixQueue    = 4
	unixShutdown = 6
)

// tellUnix puts a struct unix_diag_msg and its attributes in words. What a
// socket sent and its peer has not read is told by the peer's queue: its own
// counts the memory of the buffers. Of datagrams the kernel counts the first,
// and who sent it is not known.
func tellUnix(msg []byte) (text string, d FDDetail, peer uint64) {
	order := binary.NativeEndian
	kind, state := msg[1], msg[2]
	var name string
	var queue uint32
	var shut byte
	for a := msg[unixMsgLen:]; len(a) >= unix.SizeofNlAttr; {
		size := int(order.Uint16(a))
		if size < unix.SizeofNlAttr || size > len(a) {
			break
		}
		value := a[unix.SizeofNlAttr:size]
		switch attr := order.Uint16(a[2:]); {
		case attr == unixName:
			name = string(value)
		case attr == unixPeer && len(value) >= 4:
			peer = uint64(order.Uint32(value))
		case attr == unixQueue && len(value) >= 4:
			queue = order.Uint32(value)
		case attr == unixShutdown && len(value) > 0:
			shut = value[0]
		}
		a = a[min((size+3)&^3, len(a)):]
	}
	text = unixText(name)
	d.Unread = uint64(queue)
	switch {
	case state == tcpListen:
		text, d.State, d.Unread = text+" listen", listening(queue), 0
	case shut == 3 && peer == 0 && kind != unix.SOCK_DGRAM:
		d.State = "peer closed"
	case state == tcpEstablished && (kind != unix.SOCK_DGRAM || peer != 0):
		d.State = "established" // of datagrams it is the state of those that are connected to, too
	}
	d.State = also(unixTypes[kind], d.State)
	if kind == unix.SOCK_DGRAM {
		peer = 0
	}
	return text, d, peer
}

// unixTypes are the types of unix sockets that are told: most are streams.
var unixTypes = map[uint8]string{unix.SOCK_DGRAM: "dgram", unix.SOCK_SEQPACKET: "seqpacket"}

// unixText writes the zero that begins a name of the abstract namespace
// (unix(7)), and any other, as the kernel does: "@".
func unixText(name string) string {
	if name == "" {
		return "unix (unnamed)"
	}
	if name[0] != 0 {
		name = strings.TrimSuffix(name, "\x00")
	}
	return "unix " + strings.ReplaceAll(name, "\x00", "@")
}
