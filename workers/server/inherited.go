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

// firstInherited is the number of the first socket that whoever started us opened for us
// (sd_listen_fds(3)).
const firstInherited = 3

// inherit returns the listener that whoever started us opened for us, as systemd does it: the one
// called echo, else the first. It is nil if there is none. The others are closed, and the variables
// that tell of them are for nobody else.
func inherit() (listener *net.TCPListener, err error) {
	pid, count, names := os.Getenv("LISTEN_PID"), os.Getenv("LISTEN_FDS"),
		os.Getenv("LISTEN_FDNAMES")
	for _, name := range []string{"LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"} {
		err = errors.Join(err, os.Unsetenv(name))
	}
	// they are for the process that started us, which did not clear them
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
	// FileListener makes a copy, which is close-on-exec; the file is closed for the one that was
	// handed on.
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

// queued is how many connections wait to be accepted: of a listener that is tcpi_unacked
// (tcp_get_info in the kernel's net/ipv4/tcp.c).
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
