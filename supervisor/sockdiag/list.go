package sockdiag

import (
	"errors"
	"maps"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// List returns the sockets of the supervisor's network namespace by inode: TCP and UDP in every
// state but time-wait, unix, netlink, packet and raw sockets. A TCP or netlink socket that is
// neither bound nor connected is in none of the kernel's lists. An error says that a part is
// missing.
func List() (map[uint64]Socket, error) {
	all := map[uint64]Socket{}
	var errs []error
	for part := range Parts {
		more, err := ListPart(part)
		maps.Copy(all, more)
		errs = append(errs, err)
	}
	return all, errors.Join(errs...)
}

// Parts is the number of parts of [List]. Each part costs more than the one before it: TCP
// listeners and unix sockets, UDP, all TCP sockets, the other families.
const Parts = 4

// ListPart returns a part of [List]; the first part is 0.
func ListPart(part int) (map[uint64]Socket, error) {
	into := map[uint64]Socket{}
	if part == Parts-1 {
		return into, readNetFiles("self", into, "netlink", "packet", "raw", "raw6")
	}
	c, err := dial()
	if err != nil { // there is no sock_diag, as in gVisor
		files := [][]string{{"unix"}, {"udp", "udp6"}, {"tcp", "tcp6"}}
		return into, readNetFiles("self", into, files[part]...)
	}
	defer c.close()
	switch part {
	case 0:
		if c.dumpUnix(into) != nil { // before Linux 3.3, or not built into the kernel
			err = readNetFiles("self", into, "unix")
		}
		err = errors.Join(err, c.dumpBothTCP(1<<tcpListen, into))
	case 1:
		err = c.dumpFamilies(unix.IPPROTO_UDP, openStates, into)
	case 2:
		err = c.dumpBothTCP(openStates, into)
	}
	return into, err
}

// dumpBothTCP lists the TCP sockets of both families.
func (c *conn) dumpBothTCP(states uint32, into map[uint64]Socket) error {
	if c.dumpTCP(states, into) == nil {
		return nil
	}
	return c.dumpFamilies(unix.IPPROTO_TCP, states, into) // the kernel lacks the older form
}

func (c *conn) dumpFamilies(protocol uint8, states uint32, into map[uint64]Socket) error {
	return errors.Join(c.dumpInet(unix.AF_INET, protocol, states, into),
		c.dumpInet(unix.AF_INET6, protocol, states, into))
}

// InPart reports whether a socket of a protocol can be in a part of [List]. The names of protocols
// are those of the kernel (struct proto, include/net/sock.h). A socket of an unknown protocol can
// be in every part.
func InPart(protocol string, part int) bool {
	switch protocol {
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
}

// ListForeign returns the sockets of the network namespace of a process. The result is empty if
// that is the supervisor's own namespace. sock_diag has no request for another namespace, so the
// files of /proc/PID/net are read. No two sockets of a machine have the same inode.
func ListForeign(pid int) (map[uint64]Socket, error) {
	sockets := map[uint64]Socket{}
	own, err := os.Readlink("/proc/self/ns/net")
	if err != nil {
		return sockets, err
	}
	process := strconv.Itoa(pid)
	other, err := os.Readlink("/proc/" + process + "/ns/net")
	if err != nil || other == own {
		return sockets, err
	}
	return sockets, readNetFiles(process, sockets, netFileNames...)
}
