package main

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// ready is whether there is something to be had from socket right now: a connection in a listener's
// queue; bytes, an end or an error in a connection. This is what package net cannot say: once a
// deadline has passed, its Accept and Read give up without a look at what is there.
func ready(socket syscall.Conn) (there bool) {
	raw, err := socket.SyscallConn()
	if err != nil {
		return false
	}
	_ = raw.Control(func(fd uintptr) {
		look := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		for {
			n, err := unix.Poll(look, 0)
			if err != unix.EINTR {
				there = n > 0
				return
			}
		}
	})
	return there
}
