package sockdiag

import (
	"encoding/binary"
	"net/netip"

	"golang.org/x/sys/unix"
)

// Sizes in bytes of structures of include/uapi/linux/inet_diag.h.
const (
	inetRequestSize = 56 // struct inet_diag_req_v2
	inetMessageSize = 72 // struct inet_diag_msg
)

// inetRequest is a request for the sockets of a family and protocol in the given states, a bit set
// of TCP_*.
func inetRequest(family, protocol uint8, states uint32) []byte {
	req := make([]byte, inetRequestSize)
	req[0], req[1] = family, protocol
	binary.NativeEndian.PutUint32(req[4:], states)
	return req
}

// dumpInet lists the sockets of a family and protocol in the given states.
func (c *conn) dumpInet(family, protocol uint8, states uint32, into map[uint64]Socket) error {
	request := inetRequest(family, protocol, states)
	return c.dump(unix.SOCK_DIAG_BY_FAMILY, request, addInet(protocol, into))
}

// dumpTCP lists the TCP sockets of both families in the given states in one pass through the
// kernel's tables, which is most of the cost. Requests by family need two passes. Only the older
// form, struct inet_diag_req with TCPDIAG_GETSOCK, is for all families (inet_diag_dump_compat,
// net/ipv4/inet_diag.c).
func (c *conn) dumpTCP(states uint32, into map[uint64]Socket) error {
	const getSock, requestSize, statesAt = 18, 60, 52
	request := make([]byte, requestSize)
	request[0] = unix.AF_INET
	binary.NativeEndian.PutUint32(request[statesAt:], states)
	return c.dump(getSock, request, addInet(unix.IPPROTO_TCP, into))
}

// addInet returns a function that adds a struct inet_diag_msg to a list.
func addInet(protocol uint8, into map[uint64]Socket) func(message []byte) {
	name, query := "tcp", tcpQuery
	if protocol == unix.IPPROTO_UDP {
		name, query = "udp", udpQuery
	}
	decode := func(message []byte) Description { return parseInet(message, name).describe() }
	return func(message []byte) {
		if inode := inetInode(message); inode != 0 {
			into[inode] = Socket{message, decode, query}
		}
	}
}

// inetInode returns the inode in a struct inet_diag_msg, 0 if there is none.
func inetInode(message []byte) uint64 {
	if len(message) < inetMessageSize {
		return 0
	}
	return uint64(binary.NativeEndian.Uint32(message[68:]))
}

// parseInet parses a struct inet_diag_msg, which must be complete.
func parseInet(b []byte, protocol string) InetSocket {
	order := binary.NativeEndian
	return InetSocket{
		Protocol: protocol, State: b[1], Inode: inetInode(b),
		Local:    parseAddr(b[0], b[8:24], b[4:6]),
		Remote:   parseAddr(b[0], b[24:40], b[6:8]),
		received: order.Uint32(b[56:]), sent: order.Uint32(b[60:]), UID: order.Uint32(b[64:]),
	}
}

func parseAddr(family uint8, addr, port []byte) netip.AddrPort {
	p := binary.BigEndian.Uint16(port)
	if family == unix.AF_INET {
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte(addr[:4])), p)
	}
	return netip.AddrPortFrom(netip.AddrFrom16([16]byte(addr)).Unmap(), p)
}

// tcpQuery returns the query for the TCP socket of a struct inet_diag_msg. Its struct
// inet_diag_sockid, 48 bytes, is also that of a request.
func tcpQuery(message []byte) Query {
	req := inetRequest(message[0], unix.IPPROTO_TCP, openStates)
	copy(req[8:], message[4:52])
	return Query(req)
}

// udpQuery returns the query for the UDP socket of a struct inet_diag_msg. In a query for UDP the
// kernel swaps source and destination (udp_dump_one, net/ipv4/udp_diag.c).
func udpQuery(message []byte) Query {
	req := inetRequest(message[0], unix.IPPROTO_UDP, openStates)
	copy(req[8:], message[4:52])
	copy(req[8:], message[6:8])
	copy(req[10:], message[4:6])
	copy(req[12:], message[24:40])
	copy(req[28:], message[8:24])
	return Query(req)
}
