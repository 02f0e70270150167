package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"

	"golang.org/x/sys/unix"
)

// listen opens the port on every address of the machine: as [::], which takes IPv4 too, or as
// 0.0.0.0 where there is no IPv6. SO_REUSEADDR is set, as package net always does, so that a
// restart need not wait for the connections in TIME_WAIT.
func listen(port, backlog int) (*net.TCPListener, error) {
	var options net.ListenConfig
	// A listener of Multipath TCP, which is Go's default where the kernel has it, is not among the
	// TCP sockets that /proc and sock_diag show: nobody could tell from outside who holds the port.
	options.SetMultipathTCP(false)
	opened, err := options.Listen(context.Background(), "tcp", ":"+strconv.Itoa(port))
	if err != nil {
		return nil, fmt.Errorf("cannot listen: %w", err)
	}
	listener := opened.(*net.TCPListener)
	if err := setBacklog(listener, backlog); err != nil {
		return nil, errors.Join(err, listener.Close())
	}
	return listener, nil
}

// setBacklog sets how many connections may wait to be accepted; the kernel takes one more, and no
// more than net.core.somaxconn. Package net always listens with the latter, but listen(2) on a
// socket that listens already just changes the number (inet_listen in the kernel's
// net/ipv4/af_inet.c).
func setBacklog(listener *net.TCPListener, backlog int) error {
	raw, err := listener.SyscallConn()
	if err == nil {
		failed := raw.Control(func(fd uintptr) { err = unix.Listen(int(fd), backlog) })
		err = errors.Join(failed, err)
	}
	if err != nil {
		return fmt.Errorf("cannot set the backlog to %d: %w", backlog, err)
	}
	return nil
}
