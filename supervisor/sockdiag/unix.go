package sockdiag

import (
	"encoding/binary"
	"strings"

	"golang.org/x/sys/unix"
)

// Constants of include/uapi/linux/unix_diag.h; sizes are in bytes.
const (
	unixRequestSize = 24 // struct unix_diag_req
	unixMessageSize = 16 // struct unix_diag_msg

	unixShowName  = 0x01
	unixShowPeer  = 0x04
	unixShowQueue = 0x10

	unixName     = 0
	unixPeer     = 2
	unixQueue    = 4
	unixShutdown = 6
)

func unixRequest() []byte {
	req := make([]byte, unixRequestSize)
	req[0] = unix.AF_UNIX
	binary.NativeEndian.PutUint32(req[4:], ^uint32(0)) // all states
	binary.NativeEndian.PutUint32(req[12:], unixShowName|unixShowPeer|unixShowQueue)
	return req
}

// dumpUnix lists the unix sockets. It is preferred to /proc/net/unix, where a path with a newline
// can pass for another socket.
func (c *conn) dumpUnix(into map[uint64]Socket) error {
	return c.dump(unix.SOCK_DIAG_BY_FAMILY, unixRequest(), addUnix(into))
}

// addUnix returns a function that adds a struct unix_diag_msg to a list.
func addUnix(into map[uint64]Socket) func(message []byte) {
	return func(message []byte) {
		if inode := unixInode(message); inode != 0 {
			into[inode] = Socket{message, decodeUnix, unixQuery}
		}
	}
}

// unixInode returns the inode in a struct unix_diag_msg, 0 if there is none.
func unixInode(message []byte) uint64 {
	if len(message) < unixMessageSize {
		return 0
	}
	return uint64(binary.NativeEndian.Uint32(message[4:]))
}

// unixQuery returns the query for the unix socket of a struct unix_diag_msg.
func unixQuery(message []byte) Query { return unixQueryByInode(unixInode(message)) }

// unixQueryByInode returns the query for the unix socket with an inode.
func unixQueryByInode(inode uint64) Query {
	req := unixRequest()
	binary.NativeEndian.PutUint32(req[8:], uint32(inode))
	copy(req[16:], strings.Repeat("\xff", 8)) // INET_DIAG_NOCOOKIE: any cookie
	return Query(req)
}

// unixAttributes are the attributes of a struct unix_diag_msg.
type unixAttributes struct {
	name     string
	peer     uint64 // inode
	queue    uint32 // bytes to read, or connections that are not accepted
	shutdown byte   // RCV_SHUTDOWN 1, SEND_SHUTDOWN 2
}

func parseUnixAttributes(b []byte) (a unixAttributes) {
	order := binary.NativeEndian
	for len(b) >= unix.SizeofNlAttr {
		size := int(order.Uint16(b))
		if size < unix.SizeofNlAttr || size > len(b) {
			break
		}
		value := b[unix.SizeofNlAttr:size]
		switch kind := order.Uint16(b[2:]); {
		case kind == unixName:
			a.name = string(value)
		case kind == unixPeer && len(value) >= 4:
			a.peer = uint64(order.Uint32(value))
		case kind == unixQueue && len(value) >= 4:
			a.queue = order.Uint32(value)
		case kind == unixShutdown && len(value) > 0:
			a.shutdown = value[0]
		}
		b = b[min(align(size), len(b)):]
	}
	return a
}

// decodeUnix decodes a struct unix_diag_msg, which must be complete. The bytes that a socket sent
// and its peer has not read are in the queue of the peer; the socket's own count is the memory of
// its buffers. Of datagrams the kernel counts the first, and its sender is unknown.
func decodeUnix(message []byte) Description {
	kind, state := message[1], message[2]
	a := parseUnixAttributes(message[unixMessageSize:])
	d := Description{Text: unixText(a.name), Unread: uint64(a.queue)}
	switch {
	case state == tcpListen:
		d.Text, d.State, d.Unread = d.Text+" listen", listenState(a.queue), 0
		d.Listener, d.Waiting = true, uint64(a.queue)
	case a.shutdown == 3 && a.peer == 0 && kind != unix.SOCK_DGRAM:
		d.State = "peer closed"
	// A datagram socket that others are connected to has this state too.
	case state == tcpEstablished && (kind != unix.SOCK_DGRAM || a.peer != 0):
		d.State = "established"
	}
	d.State = joinWords(unixTypes[kind], d.State)
	if kind != unix.SOCK_DGRAM {
		d.Peer, d.Connection = a.peer, a.peer != 0
	}
	return d
}

// unixTypes are the types of unix sockets that a description names. Streams are the usual type and
// have no name.
var unixTypes = map[uint8]string{unix.SOCK_DGRAM: "dgram", unix.SOCK_SEQPACKET: "seqpacket"}

// unixText writes "@" for the zero byte at the start of an abstract name (unix(7)) and for every
// other zero byte, as the kernel does.
func unixText(name string) string {
	if name == "" {
		return "unix (unnamed)"
	}
	if name[0] != 0 {
		name = strings.TrimSuffix(name, "\x00")
	}
	return "unix " + strings.ReplaceAll(name, "\x00", "@")
}
