package procfs

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Socket is one socket of our network namespace.
type Socket struct {
	Inode    uint64
	Protocol string // tcp, udp
	Local    netip.AddrPort
	Remote   netip.AddrPort // zero port: not connected
	State    uint8          // TCP_*, include/net/tcp_states.h

	received, sent uint32 // bytes that wait; see waiting
}

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

	held = ^uint32(1 << tcpTimeWait) // nobody holds one in time-wait
)

var tcpStates = [...]string{
	1: "established", "syn-sent", "syn-recv", "fin-wait-1", "fin-wait-2", "time-wait",
	"close", "close-wait", "last-ack", "listen", "closing", "new-syn-recv",
}

// state is the state in a word.
func (s Socket) state() string {
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

// String is the socket in plain words: "tcp [::]:12345 listen",
// "tcp 127.0.0.1:4031 -> 127.0.0.1:12345".
func (s Socket) String() string {
	text := s.Protocol + " " + s.Local.String()
	if s.Remote.Port() != 0 {
		text += " -> " + s.Remote.String()
	}
	if state := s.state(); s.State != tcpEstablished && state != "" {
		text += " " + state
	}
	return text
}

// detail leaves out what the kernel counts as a byte but nobody wrote: the SYN
// or FIN that was not acknowledged, and the other side's FIN. Of UDP it counts
// the memory of the buffers.
func (s Socket) detail() FDDetail {
	d := FDDetail{State: s.state(), Unread: uint64(s.received), Unsent: uint64(s.sent)}
	if s.Protocol != "tcp" {
		return d
	}
	switch s.State {
	case tcpListen:
		d.State, d.Unread, d.Unsent = listening(s.received), 0, 0
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

func listening(queue uint32) string {
	if queue == 0 {
		return "listen"
	}
	return fmt.Sprintf("listen, %d not accepted", queue)
}

// SocketInfo is what the kernel said of a socket, still in its own terms: most
// sockets of a machine are nobody's that we look at, so none is put in words
// before [Resolve] does.
type SocketInfo struct {
	msg   []byte
	tell  teller
	again func(msg []byte) string // the request for this one alone; nil: there is none
}

type teller = func(msg []byte) (text string, d FDDetail, peer uint64)

// Sockets takes stock of the sockets of our network namespace, by inode: TCP
// and UDP in every state, unix, netlink, packet and raw sockets. One of TCP or
// netlink that is neither bound nor connected is in none of the kernel's lists.
func Sockets() (map[uint64]SocketInfo, error) {
	all := map[uint64]SocketInfo{}
	var errs []error
	for part := range SocketParts {
		more, err := SocketsPart(part)
		maps.Copy(all, more)
		errs = append(errs, err)
	}
	return all, errors.Join(errs...)
}

// SocketParts is how many parts [Sockets] has. Each costs more than the one
// before: TCP sockets that listen and unix sockets, UDP, all of TCP, the rest.
const SocketParts = 4

// SocketsPart is a part of [Sockets], from 0.
func SocketsPart(part int) (map[uint64]SocketInfo, error) {
	into := map[uint64]SocketInfo{}
	if part == SocketParts-1 {
		return into, netFiles("self", into, "netlink", "packet", "raw", "raw6")
	}
	d, err := openDiag()
	if err != nil { // as in gVisor
		files := [][]string{{"unix"}, {"udp", "udp6"}, {"tcp", "tcp6"}}
		return into, netFiles("self", into, files[part]...)
	}
	defer unix.Close(d.fd)
	both := func(protocol uint8, word string, states uint32) error {
		return errors.Join(d.inet(unix.AF_INET, protocol, word, states, into), d.inet(unix.AF_INET6, protocol, word, states, into))
	}
	tcp := func(states uint32) error {
		if d.tcp(states, into) != nil { // a kernel without the older form
			return both(unix.IPPROTO_TCP, "tcp", states)
		}
		return nil
	}
	switch part {
	case 0:
		if d.unix(into) != nil { // before Linux 3.3, or left out of the kernel
			err = netFiles("self", into, "unix")
		}
		err = errors.Join(err, tcp(1<<tcpListen))
	case 1:
		err = both(unix.IPPROTO_UDP, "udp", held)
	case 2:
		err = tcp(held)
	}
	return into, err
}

// SocketsOf adds to sockets those of the network namespace of a process, if it
// is not ours: sock_diag cannot be asked for them. No two sockets of a machine
// have the same inode.
func SocketsOf(pid int, sockets map[uint64]SocketInfo) error {
	ours, err := os.Readlink("/proc/self/ns/net")
	if err != nil {
		return err
	}
	process := strconv.Itoa(pid)
	theirs, err := os.Readlink("/proc/" + process + "/ns/net")
	if err != nil || theirs == ours {
		return err
	}
	return netFiles(process, sockets, netFileNames...)
}

// NeedsSocketPart reports whether a socket among those of a process that is not named
// can be in a part of [Sockets]. Its protocol tells; where that cannot be had, or
// there are many, it can be in any.
func NeedsSocketPart(pid int, fds []FD, part int) bool {
	asked := 0
	return slices.ContainsFunc(fds, func(f FD) bool {
		if f.Kind != "socket" || f.IsStandard() || f.Resolved() {
			return false
		}
		if asked++; asked > mostAgain {
			return true
		}
		switch protocol(pid, f) {
		case "UNIX", "UNIX-STREAM":
			return part == 0
		case "TCP", "TCPv6":
			return part == 0 || part == 2
		case "UDP", "UDPv6":
			return part == 1
		case "NETLINK", "PACKET", "RAW", "RAWv6":
			return part == 3
		}
		return true
	})
}

// ResolveUnlisted puts at least the protocol in the place of the sockets that
// are in none of the kernel's lists, such as one that was never connected, until
// over reports true.
func ResolveUnlisted(pid int, fds []FD, over func(read int) bool) {
	for i, f := range fds {
		if i%checkEvery == 0 && over(i) {
			return
		}
		if f.Kind != "socket" || f.Resolved() {
			continue
		}
		if name := protocol(pid, f); name != "" {
			fds[i].Target = strings.ToLower(name) + " (not connected)"
		}
	}
}

// protocol is the name of a socket's protocol, an attribute of the socket itself
// (system.sockprotoname, net/socket.c); empty: it cannot be had.
func protocol(pid int, f FD) string {
	var name [32]byte
	n, err := unix.Getxattr(fmt.Sprintf("/proc/%d/fd/%d", pid, f.Num), "system.sockprotoname", name[:])
	if err != nil || n < 1 {
		return ""
	}
	return strings.TrimRight(string(name[:n]), "\x00")
}

// Resolve puts plain words in the place of "socket:[inode]" where the inode is
// known.
func Resolve(fds []FD, sockets map[uint64]SocketInfo) {
	for i := range fds {
		s, ok := sockets[fds[i].Inode()]
		if !ok {
			continue
		}
		text, detail, peer := s.tell(s.msg)
		if p, ok := sockets[peer]; ok {
			_, d, _ := p.tell(p.msg)
			detail.Unsent = d.Unread
		}
		fds[i].Target, fds[i].Detail = text, detail
		if s.again != nil {
			fds[i].again = s.again(s.msg)
		}
	}
}

// Listeners lists the TCP sockets of our network namespace that listen.
func Listeners() ([]Socket, error) {
	d, err := openDiag()
	if err != nil {
		return nil, err
	}
	defer unix.Close(d.fd)
	var all []Socket
	for _, family := range []uint8{unix.AF_INET, unix.AF_INET6} {
		err := d.ask(inetRequest(family, unix.IPPROTO_TCP, 1<<tcpListen), func(msg []byte) {
			if len(msg) >= inetMsgLen {
				all = append(all, parseInet(msg, "tcp"))
			}
		})
		if err != nil {
			return nil, err
		}
	}
	return all, nil
}

func diagAddr(family uint8, addr, port []byte) netip.AddrPort {
	p := binary.BigEndian.Uint16(port)
	if family == unix.AF_INET {
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte(addr[:4])), p)
	}
	return netip.AddrPortFrom(netip.AddrFrom16([16]byte(addr)).Unmap(), p)
}
