package sockets

import (
	"errors"
	"net"
	"net/netip"
	"strconv"

	"golang.org/x/sys/unix"

	"tp0/supervisor/config"
	"tp0/supervisor/files"
)

// socket is an open listening socket. The system calls of this file do not block. Package net is
// not used: it would make the socket non-blocking, which children inherit, and add it to its
// poller.
type socket struct {
	config.Listen
	fd   int
	file *files.SocketFile // of a unix socket
}

func (k *socket) open() error {
	if k.Unix != "" {
		return k.listen(unix.AF_UNIX, nil)
	}
	return k.openTCP()
}

func (k *socket) openTCP() error {
	to, err := netip.ParseAddrPort(k.TCP)
	if err != nil {
		return err
	}
	port, addr := int(to.Port()), to.Addr()
	if addr.Is4() {
		return k.listen(unix.AF_INET, &unix.SockaddrInet4{Port: port, Addr: addr.As4()})
	}
	address := &unix.SockaddrInet6{Port: port, Addr: addr.As16(), ZoneId: zone(addr.Zone())}
	err = k.listen(unix.AF_INET6, address)
	if addr == netip.IPv6Unspecified() && errors.Is(err, unix.EAFNOSUPPORT) {
		err = k.listen(unix.AF_INET, &unix.SockaddrInet4{Port: port}) // no IPv6 on this machine
	}
	return err
}

// zone returns the index of a network interface. It returns 0 for an unknown name; bind(2) then
// fails for an address that needs a zone.
func zone(name string) uint32 {
	if n, err := strconv.ParseUint(name, 10, 32); err == nil {
		return uint32(n)
	}
	if i, err := net.InterfaceByName(name); err == nil {
		return uint32(i.Index)
	}
	return 0
}

// listen opens the socket. It sets the mode and the owner of a file before listen(2), so that no
// process can connect with the wrong mode.
func (k *socket) listen(family int, address unix.Sockaddr) error {
	fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	k.fd = fd
	if family != unix.AF_UNIX { // else connections in TIME_WAIT block the port for a minute
		err = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1)
	}
	if family == unix.AF_INET6 && err == nil {
		err = unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, 0)
	}
	switch {
	case err != nil:
	case family == unix.AF_UNIX:
		k.file, err = bindFile(fd, k.Listen)
	default:
		err = unix.Bind(fd, address)
	}
	if err == nil {
		err = unix.Listen(fd, k.Backlog)
	}
	if err != nil {
		k.file.Remove()
		return errors.Join(err, unix.Close(fd))
	}
	return nil
}

// update sets another name, mode, owner and backlog. listen(2) on a listening socket only sets its
// backlog.
func (k *socket) update(l config.Listen) error {
	if l.Unix != "" && (l.Mode != k.Mode || l.Owner != k.Owner) {
		if err := k.file.Change(ownerSetter(l)); err != nil {
			return err
		}
	}
	k.Listen = l
	return unix.Listen(k.fd, l.Backlog)
}

// target returns the description of the socket for the fd ledger, as procfs describes sockets.
func (k *socket) target() string {
	if k.Unix != "" {
		return "unix " + k.Unix + " listen"
	}
	return "tcp " + k.TCP + " listen"
}
