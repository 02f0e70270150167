package procfs

import (
	"encoding/binary"
	"errors"
	"strings"

	"golang.org/x/sys/unix"
)

// mostAgain is the number of sockets from which on to take stock of all costs
// less than to ask for each.
const mostAgain = 64

// ResolveKnown is [Resolve] for the TCP, UDP and unix sockets that an earlier look at
// the process resolved: the kernel finds each at once by what it said of it then
// (sock_diag(7), a request without NLM_F_DUMP), however many sockets the machine
// has. One that it finds no more, such as a member of a group of SO_REUSEPORT in
// whose place another one answers, is left as it is.
func ResolveKnown(fds, before []FD) {
	requests := map[uint64]string{}
	for _, f := range before {
		if f.again != "" && !f.IsStandard() {
			requests[f.Inode()] = f.again
		}
	}
	if len(requests) == 0 || len(requests) > mostAgain {
		return
	}
	d, err := openDiag()
	if err != nil {
		return
	}
	defer unix.Close(d.fd)
	found := map[uint64]SocketInfo{}
	for _, f := range fds {
		request := requests[f.Inode()]
		if request == "" || f.IsStandard() || !d.one(request, found) {
			continue
		}
		s, ok := found[f.Inode()]
		if !ok {
			continue // another one was found in its place
		}
		if _, _, peer := s.tell(s.msg); peer != 0 {
			d.one(unixAgainBy(peer), found)
		}
	}
	Resolve(fds, found)
}

// one asks for one socket, and reports whether the kernel knew it.
func (d *diag) one(request string, into map[uint64]SocketInfo) bool {
	if err := d.send(unix.SOCK_DIAG_BY_FAMILY, 0, []byte(request)); err != nil {
		return false
	}
	room := make([]byte, 4096) // the kernel says no more of a unix socket, unix_diag_get_exact
	for {
		n, _, err := unix.Recvfrom(d.fd, room, 0)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return false
		}
		known := false
		_, err = d.messages(room[:n], func(msg []byte) {
			known = true
			switch {
			case request[0] == unix.AF_UNIX:
				into[unixInode(msg)] = SocketInfo{msg, tellUnix, unixAgain}
			case request[1] == unix.IPPROTO_UDP:
				into[inetInode(msg)] = SocketInfo{msg, tellInet("udp"), udpAgain}
			default:
				into[inetInode(msg)] = SocketInfo{msg, tellInet("tcp"), tcpAgain}
			}
		})
		if known || err != nil { // what is neither answers an earlier one, which timed out
			return known
		}
	}
}

// unixAgain is the request for the unix socket of which a struct unix_diag_msg
// tells.
func unixAgain(msg []byte) string { return unixAgainBy(unixInode(msg)) }

// unixAgainBy is that for the one with an inode, whatever its cookie.
func unixAgainBy(inode uint64) string {
	req := unixRequest()
	binary.NativeEndian.PutUint32(req[8:], uint32(inode))
	copy(req[16:], strings.Repeat("\xff", 8)) // INET_DIAG_NOCOOKIE
	return string(req)
}

// tcpAgain is the request for the TCP socket of which a struct inet_diag_msg
// tells: its struct inet_diag_sockid, of 48 bytes, is that of a request.
func tcpAgain(msg []byte) string {
	req := inetRequest(msg[0], unix.IPPROTO_TCP, held)
	copy(req[8:], msg[4:52])
	return string(req)
}

// udpAgain is that for a UDP socket. The kernel has source and destination the
// other way round there (udp_dump_one, net/ipv4/udp_diag.c).
func udpAgain(msg []byte) string {
	req := inetRequest(msg[0], unix.IPPROTO_UDP, held)
	copy(req[8:], msg[4:52])
	copy(req[8:], msg[6:8])
	copy(req[10:], msg[4:6])
	copy(req[12:], msg[24:40])
	copy(req[28:], msg[8:24])
	return string(req)
}
