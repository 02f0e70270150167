package main

import (
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// past is a deadline that interrupts an Accept or a Read at once.
var past = time.Unix(1, 0)

// ready reports whether an accept or read returns at once: a listener has a queued connection, or a
// connection has bytes, EOF or an error. Accept and Read of package net cannot tell: after their
// deadline they fail without a system call.
func ready(socket syscall.Conn) (there bool) {
	raw, err := socket.SyscallConn()
	if err != nil {
		return false
	}
	_ = raw.Control(func(fd uintptr) {
		fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		for {
			n, err := unix.Poll(fds, 0)
			if err != unix.EINTR {
				there = n > 0
				return
			}
		}
	})
	return there
}
