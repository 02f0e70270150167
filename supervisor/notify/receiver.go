package notify

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"os"

	"golang.org/x/sys/unix"

	"tp0/supervisor/fdledger"
	"tp0/supervisor/procfs"
)

const (
	maxDatagram  = 4096 // bytes, the limit of systemd (NOTIFY_BUFFER_MAX)
	maxAncestors = 64   // of a sender
)

// Receiver receives the notifications of children (sd_notify(3)). One socket serves all
// children: the kernel adds the pid of the sender to each datagram (SCM_CREDENTIALS), which
// proves more than a socket for each child would. The address is abstract, so the socket needs
// no writable directory and a child in another root directory reaches it. Every process in the
// same network namespace can send to it.
type Receiver struct {
	address string
	conn    *net.UnixConn
	fd      int
	ledger  fdledger.Registrar
	passed  *closer // closes the descriptors that come with datagrams
	done    chan struct{}
}

// Listen opens the socket and calls handle for each datagram, with the pid of its sender
// followed by the pids of the sender's ancestors at that moment. Datagrams queue in the kernel
// while handle runs, and senders block when that queue is full.
func Listen(ledger fdledger.Registrar, handle func(pids []int, m Message)) (*Receiver, error) {
	var random [8]byte
	_, _ = rand.Read(random[:]) // it never fails
	n := &Receiver{
		address: "@supervisor/notify/" + hex.EncodeToString(random[:]),
		ledger:  ledger,
		done:    make(chan struct{}),
	}
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: n.address, Net: "unixgram"})
	if err != nil {
		return nil, fmt.Errorf("cannot open the notification socket: %w", err)
	}
	raw, err := conn.SyscallConn()
	if err == nil {
		e := raw.Control(func(fd uintptr) {
			n.fd = int(fd)
			err = unix.SetsockoptInt(n.fd, unix.SOL_SOCKET, unix.SO_PASSCRED, 1)
		})
		err = errors.Join(err, e)
	}
	if err != nil {
		err = fmt.Errorf("cannot set SO_PASSCRED on the notification socket: %w", err)
		return nil, errors.Join(err, conn.Close())
	}
	n.conn = conn
	n.passed = newCloser(func(allowed bool) {
		value := 0
		if allowed {
			value = 1
		}
		_ = raw.Control(func(fd uintptr) {
			_ = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, soPassRights, value)
		})
	})
	ledger.Opened(n.fd, "socket", "unix "+n.address)
	go n.run(handle)
	return n, nil
}

// soPassRights is SO_PASSRIGHTS of asm-generic/socket.h. Without the option, a sender that
// passes a descriptor gets EPERM (Linux 6.16). Older kernels cannot refuse descriptors.
const soPassRights = 83

// Name returns the value of NOTIFY_SOCKET for children.
func (n *Receiver) Name() string { return n.address }

// Close closes the socket and waits until the last call of handle has returned. Descriptors that
// came with datagrams are closed within drainTimeout.
func (n *Receiver) Close() {
	_ = n.ledger.Close(n.fd, n.conn.Close)
	<-n.done
	n.passed.drain()
}

func (n *Receiver) run(handle func([]int, Message)) {
	defer close(n.done)
	datagram := make([]byte, maxDatagram)
	// The buffer has room for the largest control message. With less room the kernel itself
	// would close the remaining descriptors, in this thread, and that can block.
	control := make([]byte, unix.CmsgSpace(unix.SizeofUcred)+unix.CmsgSpace(4*maxPassed))
	for {
		size, controlSize, flags, _, err := n.conn.ReadMsgUnix(datagram, control)
		if err != nil {
			return // the socket is closed: a datagram socket has no end of file
		}
		sender, passed := parseControl(control[:controlSize])
		if flags&unix.MSG_TRUNC == 0 {
			handle(ancestry(sender), Parse(datagram[:size]))
		}
		if len(passed) > 0 {
			// FDSTORE is not supported. The sender of BARRIER waits for this close.
			n.passed.close(passed)
		}
	}
}

// parseControl returns the pid of the sender and the passed descriptors. The pid is 0 for a
// sender outside our pid namespace.
func parseControl(control []byte) (sender int, passed []int) {
	messages, err := unix.ParseSocketControlMessage(control)
	if err != nil {
		return 0, nil
	}
	for i := range messages {
		if cred, err := unix.ParseUnixCredentials(&messages[i]); err == nil {
			sender = int(cred.Pid)
		} else if fds, err := unix.ParseUnixRights(&messages[i]); err == nil {
			passed = append(passed, fds...)
		}
	}
	return sender, passed
}

// ancestry returns pid and its ancestors, up to the supervisor.
func ancestry(pid int) []int {
	pids := []int{pid}
	self := os.Getpid()
	for pid > 1 && pid != self && len(pids) < maxAncestors {
		s, err := procfs.ReadStat(pid)
		if err != nil {
			break
		}
		pid = s.PPid
		pids = append(pids, pid)
	}
	return pids
}
