package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"

	"golang.org/x/sys/unix"
)

// listen opens the port on every address of the machine: on [::], which accepts IPv4 too, or on
// 0.0.0.0 without IPv6. Package net sets SO_REUSEADDR, so a restart does not wait for the
// connections in TIME_WAIT.
func listen(port, backlog int) (*net.TCPListener, error) {
	var options net.ListenConfig
	// Multipath TCP, the default of Go, is disabled: /proc and sock_diag do not list such a
	// listener as a TCP socket, so other programs could not find the owner of the port.
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

// setBacklog sets the number of connections that may wait for accept. The kernel admits one more,
// and limits the number to net.core.somaxconn. Package net always uses that limit; listen(2) on a
// listening socket changes the number (inet_listen in the kernel's net/ipv4/af_inet.c).
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
