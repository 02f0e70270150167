package sockdiag

import (
	"bytes"
	"os"

	"golang.org/x/sys/unix"

	"tp0/supervisor/procdir"
)

// Listeners returns the TCP sockets of the supervisor's network namespace that listen.
func Listeners() ([]InetSocket, error) {
	c, err := dial()
	if err != nil { // there is no sock_diag, as in gVisor
		return listenersIn("/proc/self")
	}
	defer c.close()
	var all []InetSocket
	for _, family := range []uint8{unix.AF_INET, unix.AF_INET6} {
		request := inetRequest(family, unix.IPPROTO_TCP, 1<<tcpListen)
		err := c.dump(unix.SOCK_DIAG_BY_FAMILY, request, func(message []byte) {
			if len(message) >= inetMessageSize {
				all = append(all, parseInet(message, "tcp"))
			}
		})
		if err != nil {
			return nil, err
		}
	}
	return all, nil
}

// Bound returns the sockets of the supervisor's network namespace that keep an address for
// themselves: TCP sockets that listen, and UDP sockets that are not connected.
func Bound() ([]InetSocket, error) {
	all, err := Listeners()
	if err != nil {
		return nil, err
	}
	c, err := dial()
	if err != nil {
		return all, nil // there is no sock_diag, as in gVisor
	}
	defer c.close()
	for _, family := range []uint8{unix.AF_INET, unix.AF_INET6} {
		request := inetRequest(family, unix.IPPROTO_UDP, openStates)
		err := c.dump(unix.SOCK_DIAG_BY_FAMILY, request, func(message []byte) {
			if len(message) < inetMessageSize {
				return
			}
			if s := parseInet(message, "udp"); s.Remote.Port() == 0 {
				all = append(all, s)
			}
		})
		if err != nil {
			return all, nil // the kernel has no udp_diag
		}
	}
	return all, nil
}

// ListenersOf returns the TCP sockets that listen in the network namespace of a process. Every user
// may read the list (proc_pid_net(5)).
func ListenersOf(pid int) ([]InetSocket, error) { return listenersIn(procdir.Of(pid)) }

func listenersIn(dir string) (all []InetSocket, err error) {
	for _, name := range []string{"tcp", "tcp6"} {
		b, err := os.ReadFile(dir + "/net/" + name)
		if err != nil && !os.IsNotExist(err) { // else the kernel has no IPv6
			return nil, err
		}
		for line := range bytes.Lines(b) {
			if inode := column(line, 9); inode == "" || inode == "inode" {
				continue
			}
			if s := parseInetLine(line, "tcp"); s.State == tcpListen {
				all = append(all, s)
			}
		}
	}
	return all, nil
}

// Namespace identifies the network namespace of a process; 0 is unknown. It is the inode of a file
// of /proc/PID/net, because /proc/PID/ns/net cannot be read without the right to trace the process.
func Namespace(pid int) uint64 {
	var st unix.Stat_t
	if unix.Stat(procdir.Of(pid)+"/net/tcp", &st) != nil {
		return 0
	}
	return st.Ino
}
