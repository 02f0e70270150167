package server

import (
	"fmt"
	"net"
	"net/http"
	"sync"
	"sync/atomic"

	"tp0/supervisor/control"
	"tp0/supervisor/fdledger"
)

// conn is an accepted connection. The ledger has its descriptor until Close.
type conn struct {
	net.Conn
	peer control.Peer
	// foreign says that the peer is in another pid namespace and uses an abstract name, which does
	// not prove that it may act.
	foreign bool

	fd     int
	fds    fdledger.Registrar
	shares *shares
	seat   *seat
	once   sync.Once
}

type connKey struct{}

// connOf returns the connection of a request.
func connOf(q *http.Request) *conn { return q.Context().Value(connKey{}).(*conn) }

// Close closes the connection. Any goroutine may call it, more than once.
func (c *conn) Close() (err error) {
	c.once.Do(func() {
		c.shares.remove(c.seat)
		err = c.fds.Close(c.fd, c.Conn.Close)
	})
	return err
}

// listener accepts the connections of peers that may use the socket.
type listener struct {
	*net.UnixListener
	address  string
	abstract bool
	gid      atomic.Int64 // whose members may use it; control.NoGroup: nobody else
	fd       int
	fds      fdledger.Registrar
	shares   *shares
	once     sync.Once
}

// Accept implements net.Listener. Peers who may not use the socket are disconnected, and have no
// entry in the ledger: their number is not limited.
func (l *listener) Accept() (net.Conn, error) {
	for {
		c, err := l.AcceptUnix()
		if err != nil {
			return nil, err
		}
		peer, err := control.PeerOf(c)
		if err != nil || !l.admits(peer) {
			c.Close()
			continue
		}
		admitted := &conn{
			Conn: c, peer: peer, foreign: l.abstract && peer.Pid == 0, fd: control.FD(c),
			fds: l.fds, shares: l.shares,
		}
		l.fds.Opened(admitted.fd, "socket", fmt.Sprintf("unix %s of uid %d pid %d", l.address,
			peer.UID, peer.Pid))
		admitted.seat = &seat{
			uid: peer.UID, pid: peer.Pid, trusted: peer.Trusted(), Closer: admitted,
		}
		evicted, ok := l.shares.add(admitted.seat)
		if !ok {
			refuse(c)
			_ = admitted.Close()
			continue
		}
		if evicted != nil {
			_ = evicted.Close()
		}
		return admitted, nil
	}
}

func (l *listener) admits(p control.Peer) bool {
	gid := int(l.gid.Load())
	return p.Trusted() || gid != control.NoGroup && p.IsMember(gid)
}

// refuse says that a peer has too many connections. The answer fits into the empty buffer of the
// socket.
func refuse(c *net.UnixConn) {
	body := tooMany.JSON()
	raw, err := c.SyscallConn()
	if err == nil {
		_ = raw.Control(func(fd uintptr) {
			sendOnce(int(fd), fmt.Appendf(nil, "HTTP/1.1 429 Too Many Requests\r\n"+
				"Connection: close\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n%s",
				problemType, len(body), body))
		})
	}
}

// Close closes the listener. Any goroutine may call it, more than once.
func (l *listener) Close() (err error) {
	l.once.Do(func() { err = l.fds.Close(l.fd, l.UnixListener.Close) })
	return err
}
