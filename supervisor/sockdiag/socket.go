// Package sockdiag describes the sockets of the machine in plain words: what sock_diag(7) and the
// files of /proc/PID/net say about a socket, by its inode. It knows nothing of processes and their
// descriptors; package procfs finds the inodes and uses the descriptions.
package sockdiag

import "net/netip"

// Socket is a socket as the kernel reported it. It is not decoded: a caller needs the description
// of a few of the many sockets of a machine.
type Socket struct {
	message []byte
	decode  decoder
	query   func(message []byte) Query // nil: the kernel has no query for this socket alone
}

// Query is a sock_diag(7) request for one socket. The empty query is none.
type Query string

// Description is a socket in plain words, and as values.
type Description struct {
	Text   string // "tcp [::]:12345 listen", "unix /run/x.sock"
	State  string // "established", "close-wait", "listen, 3 not accepted"; empty if it has none
	Unread uint64 // bytes that wait to be read
	Unsent uint64 // bytes that are not sent, or not acknowledged
	Endpoint
}

// Endpoint is the part that a socket has in a connection. The zero value is a socket that neither
// listens nor is connected.
type Endpoint struct {
	Listener   bool
	Waiting    uint64         // connections in the accept queue of a listener
	Connection bool           // of TCP, or a unix stream or seqpacket; its peer may have closed it
	Local      netip.AddrPort // of a TCP connection
	Remote     netip.AddrPort // of a TCP connection
	// Peer is the inode of the other end of a connected unix socket, 0 if there is none. The bytes
	// that the peer has not read are those that this socket has not delivered.
	Peer uint64
}

// decoder decodes a message of sock_diag(7), or a line of a file of /proc/PID/net.
type decoder = func(message []byte) Description

// Describe decodes the socket.
func (s Socket) Describe() Description { return s.decode(s.message) }

// Query returns the query that finds this socket again. It is empty if the kernel has none.
func (s Socket) Query() Query {
	if s.query == nil {
		return ""
	}
	return s.query(s.message)
}

// joinWords joins the words that are not empty.
func joinWords(first, second string) string {
	if first == "" || second == "" {
		return first + second
	}
	return first + ", " + second
}
