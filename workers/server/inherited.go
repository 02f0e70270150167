package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// firstInherited is the number of the first socket that the parent process passed
// (sd_listen_fds(3)).
const firstInherited = 3

// inherit returns the listener that the parent process passed, as systemd does: the one named echo,
// or the first. It returns nil if there is none. It closes the other sockets and unsets the
// variables.
func inherit() (listener *net.TCPListener, err error) {
	pid, count, names := os.Getenv("LISTEN_PID"), os.Getenv("LISTEN_FDS"),
		os.Getenv("LISTEN_FDNAMES")
	for _, name := range []string{"LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"} {
		err = errors.Join(err, os.Unsetenv(name))
	}
	// they are for another process
	if err != nil || pid != strconv.Itoa(os.Getpid()) {
		return nil, err
	}
	n, err := strconv.Atoi(count)
	if err != nil || n < 1 || n > 1024 {
		return nil, fmt.Errorf("cannot use LISTEN_FDS=%q: want a number from 1 to 1024", count)
	}
	mine := firstInherited
	for i, name := range strings.Split(names, ":") {
		if name == "echo" && i < n {
			mine += i
			break
		}
	}
	for fd := firstInherited; fd < firstInherited+n; fd++ {
		if fd != mine {
			err = errors.Join(err, unix.Close(fd))
		}
	}
	// FileListener duplicates the descriptor with close-on-exec. Close the original.
	file := os.NewFile(uintptr(mine), "inherited")
	opened, failed := net.FileListener(file)
	if err = errors.Join(err, failed, file.Close()); err != nil {
		return nil, fmt.Errorf("cannot use the inherited descriptor %d: %w", mine, err)
	}
	listener, ok := opened.(*net.TCPListener)
	if !ok {
		return nil,
			errors.Join(fmt.Errorf("cannot use the inherited descriptor %d: want a TCP socket, "+
				"not %s", mine, opened.Addr().Network()), opened.Close())
	}
	return listener, nil
}

// queued returns the number of connections that wait for accept, which is tcpi_unacked of a
// listener (tcp_get_info in the kernel's net/ipv4/tcp.c).
func queued(listener *net.TCPListener) (n int) {
	raw, err := listener.SyscallConn()
	if err != nil {
		return 0
	}
	_ = raw.Control(func(fd uintptr) {
		if info, err := unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP,
			unix.TCP_INFO); err == nil {
			n = int(info.Unacked)
		}
	})
	return n
}
