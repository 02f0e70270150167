package sockdiag

import (
	"fmt"
	"net/netip"
)

// InetSocket is a TCP or UDP socket.
type InetSocket struct {
	Inode    uint64
	Protocol string // tcp, udp
	Local    netip.AddrPort
	Remote   netip.AddrPort // the port is 0 if the socket is not connected
	State    uint8          // TCP_*, include/net/tcp_states.h
	UID      uint32         // the file system uid of the process that created it

	// received and sent are the bytes in the queues as the kernel counts them; see
	// [InetSocket.describe]. Of a listener, received is the number of connections that are not
	// accepted.
	received, sent uint32
}

// The states of include/net/tcp_states.h that are treated specially.
const (
	tcpEstablished = 1
	tcpSynSent     = 2
	tcpSynRecv     = 3
	tcpFinWait1    = 4
	tcpTimeWait    = 6
	tcpClose       = 7
	tcpCloseWait   = 8
	tcpLastAck     = 9
	tcpListen      = 10
	tcpClosing     = 11
	tcpBound       = 13 // TCP_BOUND_INACTIVE, since Linux 6.8

	// openStates are the states in which a process can have a socket open: all but time-wait.
	openStates = ^uint32(1 << tcpTimeWait)
)

var tcpStates = [...]string{
	1: "established", "syn-sent", "syn-recv", "fin-wait-1", "fin-wait-2", "time-wait",
	"close", "close-wait", "last-ack", "listen", "closing", "new-syn-recv",
}

// state returns the name of the state.
func (s InetSocket) state() string {
	switch {
	case s.Protocol == "udp" && s.State == tcpEstablished:
		return "established"
	case s.Protocol == "udp":
		return ""
	case s.State == tcpBound, s.State == tcpClose && s.Remote.Port() == 0:
		return "bound"
	case int(s.State) < len(tcpStates):
		return tcpStates[s.State]
	}
	return ""
}

// String returns the socket in plain words: "tcp [::]:12345 listen", "tcp 127.0.0.1:4031 ->
// 127.0.0.1:12345".
func (s InetSocket) String() string {
	text := s.Protocol + " " + s.Local.String()
	if s.Remote.Port() != 0 {
		text += " -> " + s.Remote.String()
	}
	if state := s.state(); s.State != tcpEstablished && state != "" {
		text += " " + state
	}
	return text
}

// describe corrects the byte counts of TCP: the kernel counts one byte for a SYN or FIN that is not
// acknowledged, and one for the peer's FIN. The counts of UDP are the memory of the buffers.
func (s InetSocket) describe() Description {
	d := Description{
		Text: s.String(), State: s.state(), Unread: uint64(s.received), Unsent: uint64(s.sent),
	}
	if s.Protocol != "tcp" {
		return d
	}
	if s.Remote.Port() != 0 && s.State != tcpClose {
		d.Connection, d.Local, d.Remote = true, s.Local, s.Remote
	}
	switch s.State {
	case tcpListen:
		d.State, d.Unread, d.Unsent = listenState(s.received), 0, 0
		d.Listener, d.Waiting = true, uint64(s.received)
	case tcpCloseWait:
		d.Unread -= min(d.Unread, 1)
	case tcpSynSent, tcpSynRecv, tcpFinWait1:
		d.Unsent -= min(d.Unsent, 1)
	case tcpLastAck, tcpClosing:
		d.Unread -= min(d.Unread, 1)
		d.Unsent -= min(d.Unsent, 1)
	}
	return d
}

// listenState returns the state of a listener with so many connections that are not accepted.
func listenState(queued uint32) string {
	if queued == 0 {
		return "listen"
	}
	return fmt.Sprintf("listen, %d not accepted", queued)
}
