package procfs

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"os"
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
}

const (
	tcpEstablished = 1
	tcpClose       = 7
	tcpListen      = 10
)

var tcpStates = [...]string{
	1: "established", "syn-sent", "syn-recv", "fin-wait-1", "fin-wait-2", "time-wait",
	"close", "close-wait", "last-ack", "listen", "closing", "new-syn-recv",
}

// String is the socket in plain words: "tcp [::]:12345 listen",
// "tcp 127.0.0.1:4031 -> 127.0.0.1:12345".
func (s Socket) String() string {
	text := s.Protocol + " " + s.Local.String()
	if s.Remote.Port() != 0 {
		text += " -> " + s.Remote.String()
	}
	switch {
	case s.Protocol == "tcp" && s.State == tcpClose && s.Remote.Port() == 0:
		text += " bound"
	case s.Protocol == "tcp" && s.State != tcpEstablished && int(s.State) < len(tcpStates):
		text += " " + tcpStates[s.State]
	}
	return text
}

// Listeners lists the TCP sockets of our network namespace that listen.
func Listeners() ([]Socket, error) {
	var all []Socket
	for _, family := range []uint8{unix.AF_INET, unix.AF_INET6} {
		s, err := dump(family, unix.IPPROTO_TCP, 1<<tcpListen)
		if err != nil {
			return nil, err
		}
		all = append(all, s...)
	}
	return all, nil
}

// Sockets says of each socket of our network namespace what it is, by inode:
// TCP and UDP in every state, and unix sockets.
func Sockets() (map[uint64]string, error) {
	all := map[uint64]string{}
	var errs []error
	for _, family := range []uint8{unix.AF_INET, unix.AF_INET6} {
		for _, protocol := range []uint8{unix.IPPROTO_TCP, unix.IPPROTO_UDP} {
			sockets, err := dump(family, protocol, ^uint32(0))
			errs = append(errs, err)
			for _, s := range sockets {
				if s.Inode != 0 { // nobody holds one in time-wait
					all[s.Inode] = s.String()
				}
			}
		}
	}
	errs = append(errs, unixSockets(all))
	return all, errors.Join(errs...)
}

// Resolve puts plain words in the place of "socket:[inode]" where the inode is
// known.
func Resolve(fds []FD, sockets map[uint64]string) {
	for i := range fds {
		if text, ok := sockets[fds[i].Inode()]; ok {
			fds[i].Target = text
		}
	}
}

// Sizes and offsets of struct inet_diag_req_v2 and struct inet_diag_msg,
// include/uapi/linux/inet_diag.h. The numbers are in host order but for the
// ports and addresses.
const (
	diagReqLen    = 56
	diagMsgLen    = 72
	diagTimeoutMs = 500
)

// dump asks the kernel for all sockets of a family and protocol in the given
// states (a bit set of TCP_*); see sock_diag(7). It is bounded by half a
// second without an answer.
func dump(family, protocol uint8, states uint32) ([]Socket, error) {
	s, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_SOCK_DIAG)
	if err != nil {
		return nil, fmt.Errorf("cannot open a sock_diag socket: %w", err)
	}
	defer unix.Close(s)
	wait := unix.Timeval{Usec: diagTimeoutMs * 1000}
	if err := unix.SetsockoptTimeval(s, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &wait); err != nil {
		return nil, fmt.Errorf("cannot bound the wait for sock_diag: %w", err)
	}
	req := make([]byte, unix.NLMSG_HDRLEN+diagReqLen)
	order := binary.NativeEndian
	order.PutUint32(req[0:], uint32(len(req)))
	order.PutUint16(req[4:], unix.SOCK_DIAG_BY_FAMILY)
	order.PutUint16(req[6:], unix.NLM_F_REQUEST|unix.NLM_F_DUMP)
	req[16], req[17] = family, protocol
	order.PutUint32(req[20:], states)
	if err := unix.Sendto(s, req, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return nil, fmt.Errorf("cannot ask sock_diag: %w", err)
	}
	return receive(s, protocol)
}

func receive(s int, protocol uint8) ([]Socket, error) {
	var all []Socket
	buf := make([]byte, 32<<10) // the kernel fills no more at a time, netlink(7)
	order := binary.NativeEndian
	for {
		n, _, err := unix.Recvfrom(s, buf, 0)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("cannot read from sock_diag: %w", err)
		}
		for msg := buf[:n]; len(msg) >= unix.NLMSG_HDRLEN; {
			size := int(order.Uint32(msg))
			if size < unix.NLMSG_HDRLEN || size > len(msg) {
				return nil, errors.New("cannot read from sock_diag: a message of a wrong length")
			}
			switch order.Uint16(msg[4:]) {
			case unix.NLMSG_DONE:
				return all, nil
			case unix.NLMSG_ERROR:
				return nil, diagError(msg[unix.NLMSG_HDRLEN:size])
			}
			if body := msg[unix.NLMSG_HDRLEN:size]; len(body) >= diagMsgLen {
				all = append(all, parseDiag(body, protocol))
			}
			msg = msg[min((size+3)&^3, len(msg)):]
		}
	}
}

func diagError(body []byte) error {
	if len(body) < 4 {
		return errors.New("sock_diag refused")
	}
	return fmt.Errorf("sock_diag refused: %w", unix.Errno(-int32(binary.NativeEndian.Uint32(body))))
}

func parseDiag(b []byte, protocol uint8) Socket {
	s := Socket{Protocol: "tcp", State: b[1], Inode: uint64(binary.NativeEndian.Uint32(b[68:]))}
	if protocol == unix.IPPROTO_UDP {
		s.Protocol = "udp"
	}
	s.Local = diagAddr(b[0], b[8:24], b[4:6])
	s.Remote = diagAddr(b[0], b[24:40], b[6:8])
	return s
}

func diagAddr(family uint8, addr, port []byte) netip.AddrPort {
	p := binary.BigEndian.Uint16(port)
	if family == unix.AF_INET {
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte(addr[:4])), p)
	}
	return netip.AddrPortFrom(netip.AddrFrom16([16]byte(addr)).Unmap(), p)
}

// unixSockets reads /proc/self/net/unix: Num, RefCount, Protocol, Flags, Type,
// St, Inode, Path. A socket that listens has __SO_ACCEPTCON (bit 16) in its
// flags.
func unixSockets(into map[uint64]string) error {
	f, err := os.Open("/proc/self/net/unix")
	if err != nil {
		return fmt.Errorf("cannot list the unix sockets: %w", err)
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); ; {
		if !lines.Scan() {
			return lines.Err()
		}
		w := strings.Fields(lines.Text())
		if len(w) < 7 {
			continue
		}
		inode, err := strconv.ParseUint(w[6], 10, 64)
		if err != nil {
			continue // the heading
		}
		text := "unix (unnamed)"
		if len(w) > 7 {
			text = "unix " + strings.Join(w[7:], " ")
		}
		if flags, _ := strconv.ParseUint(w[3], 16, 32); flags&(1<<16) != 0 {
			text += " listen"
		}
		into[inode] = text
	}
}
