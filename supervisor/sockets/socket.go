package sockets

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"

	"golang.org/x/sys/unix"
)

// Sockets are made by hand, since package net would make them non-blocking,
// which children have from us, and put them into its poller. None of this
// waits.

func (k *socket) openTCP() error {
	to, err := netip.ParseAddrPort(k.TCP)
	if err != nil {
		return err
	}
	family, address := unix.AF_INET6, unix.Sockaddr(&unix.SockaddrInet6{Port: int(to.Port()),
		Addr: to.Addr().As16(), ZoneId: zone(to.Addr().Zone())})
	if to.Addr().Is4() {
		family, address = unix.AF_INET, &unix.SockaddrInet4{Port: int(to.Port()),
			Addr: to.Addr().As4()}
	}
	err = k.listen(family, address)
	// this machine has no IPv6
	if to.Addr() == netip.IPv6Unspecified() && errors.Is(err, unix.EAFNOSUPPORT) {
		err = k.listen(unix.AF_INET, &unix.SockaddrInet4{Port: int(to.Port())})
	}
	return err
}

// zone is the number of an interface; 0 if there is none of the name, which
// bind refuses for an address that needs one.
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

// removeStale removes the file of a socket that nobody listens on any more.
// What else is in the way stays there.
func (k *socket) removeStale() error {
	var st unix.Stat_t
	switch err := unix.Lstat(k.Unix, &st); {
	case errors.Is(err, unix.ENOENT):
		return nil
	case err != nil:
		return err
	case st.Mode&unix.S_IFMT != unix.S_IFSOCK:
		return errors.New("there is a file of another kind")
	}
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	switch err := unix.Connect(fd, &unix.SockaddrUnix{Name: k.Unix}); {
	case errors.Is(err, unix.ECONNREFUSED): // unix(7): its socket is not there, or does not listen
		return unix.Unlink(k.Unix)
	case err == nil, errors.Is(err, unix.EAGAIN), errors.Is(err, unix.EPROTOTYPE):
		return unix.EADDRINUSE
	default:
		return fmt.Errorf("cannot find out whether somebody listens: %w", err)
	}
}

// listen makes the socket. The mode of a file is set before anybody can
// connect.
func (k *socket) listen(family int, address unix.Sockaddr) error {
	fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	k.fd = fd
	if family != unix.AF_UNIX { // else the port is taken for a minute by connections in TIME_WAIT
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

// ours reports whether the file of a unix socket is still the one that we made.
func (k *socket) ours() bool {
	var st unix.Stat_t
	return k.inode != 0 && unix.Lstat(k.Unix, &st) == nil && st.Dev == k.device && st.Ino == k.inode
}

func (k *socket) unlink() {
	if k.ours() {
		_ = unix.Unlink(k.Unix)
	}
}
