package sockets

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"

	"golang.org/x/sys/unix"

	"tp0/supervisor/config"
)

// socket is an open listening socket. The system calls of this file do not block. Package net is
// not used: it would make the socket non-blocking, which children inherit, and add it to its
// poller.
type socket struct {
	config.Listen
	fd int

	// device and inode identify the file that the supervisor created for a unix socket.
	device, inode uint64
}

func (k *socket) open() error {
	if k.Unix != "" {
		return k.openUnix()
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

func (k *socket) openUnix() error {
	if err := k.removeStale(); err != nil {
		return err
	}
	return k.listen(unix.AF_UNIX, &unix.SockaddrUnix{Name: k.Unix})
}

// removeStale removes the file of a unix socket that no process listens on. It leaves any other
// file and returns an error.
func (k *socket) removeStale() error {
	var st unix.Stat_t
	switch err := unix.Lstat(k.Unix, &st); {
	case errors.Is(err, unix.ENOENT):
		return nil
	case err != nil:
		return err
	case st.Mode&unix.S_IFMT != unix.S_IFSOCK:
		return errors.New("the path exists and is not a socket")
	}
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	switch err := unix.Connect(fd, &unix.SockaddrUnix{Name: k.Unix}); {
	case errors.Is(err, unix.ECONNREFUSED): // unix(7): the socket is closed or does not listen
		return unix.Unlink(k.Unix)
	case err == nil, errors.Is(err, unix.EAGAIN), errors.Is(err, unix.EPROTOTYPE):
		return unix.EADDRINUSE
	default:
		return fmt.Errorf("cannot find out whether a process listens on it: %w", err)
	}
}

// listen opens the socket. It sets the mode of a file before listen(2), so that no process can
// connect with the wrong mode.
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
	if err == nil {
		err = unix.Bind(fd, address)
	}
	if err == nil && family == unix.AF_UNIX {
		var st unix.Stat_t
		if err = unix.Lstat(k.Unix, &st); err == nil {
			k.device, k.inode = st.Dev, st.Ino
			err = unix.Chmod(k.Unix, uint32(k.Mode))
		}
	}
	if err == nil {
		err = unix.Listen(fd, k.Backlog)
	}
	if err != nil {
		k.unlink()
		return errors.Join(err, unix.Close(fd))
	}
	return nil
}

// update sets another name, mode and backlog. listen(2) on a listening socket only sets its
// backlog.
func (k *socket) update(l config.Listen) error {
	if l.Unix != "" && l.Mode != k.Mode {
		if !k.ownsFile() {
			return errors.New("the file of the socket was replaced by another process")
		}
		if err := unix.Chmod(l.Unix, uint32(l.Mode)); err != nil {
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

// ownsFile reports whether the path of a unix socket still leads to the file that the supervisor
// created.
func (k *socket) ownsFile() bool {
	var st unix.Stat_t
	return k.inode != 0 && unix.Lstat(k.Unix, &st) == nil &&
		st.Dev == k.device && st.Ino == k.inode
}

func (k *socket) unlink() {
	if k.ownsFile() {
		_ = unix.Unlink(k.Unix)
	}
}
