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
	mostDatagram = 4096 // as systemd has it
	mostAbove    = 64   // parents of a sender that are looked at
)

// Receiver takes what children say by sd_notify(3). One socket serves all: the
// kernel says who sent a datagram, which a name of one's own would not prove.
// The name is an abstract one, so no path is written and none is in the way of
// a child in another root; anybody in our network namespace can send to it.
type Receiver struct {
	name   string
	conn   *net.UnixConn
	fd     int
	books  fdledger.Registrar
	passed *closer // of descriptors that come with a datagram
	done   chan struct{}
}

// Listen opens the socket. Each datagram is handed to take with the pid of its
// sender and those of its parents, as they are then. While take has one, the
// others wait, and in the end their senders do.
func Listen(books fdledger.Registrar, take func(pids []int, m Message)) (*Receiver, error) {
	var random [8]byte
	_, _ = rand.Read(random[:]) // it never fails
	n := &Receiver{name: "@supervisor/notify/" + hex.EncodeToString(random[:]), books: books,
		done: make(chan struct{})}
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: n.name, Net: "unixgram"})
	if err != nil {
		return nil, fmt.Errorf("cannot open the socket for notifications: %w", err)
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
		return nil, errors.Join(fmt.Errorf("cannot ask who notifies: %w", err), conn.Close())
	}
	n.conn = conn
	n.passed = newCloser(func(allowed bool) {
		_ = raw.Control(func(fd uintptr) {
			_ = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, passRights, flag(allowed))
		})
	})
	books.Opened(n.fd, "socket", "unix "+n.name)
	go n.run(take)
	return n, nil
}

// passRights is SO_PASSRIGHTS, asm-generic/socket.h: who passes a descriptor to a
// socket without it gets EPERM (Linux 6.16). Older kernels know no way to refuse.
const passRights = 83

func flag(on bool) int {
	if on {
		return 1
	}
	return 0
}

// Name is the value of NOTIFY_SOCKET.
func (n *Receiver) Name() string { return n.name }

// Close ends the listening; take must not wait for long any more.
func (n *Receiver) Close() {
	_ = n.books.Close(n.fd, n.conn.Close)
	<-n.done
	n.passed.end()
}

func (n *Receiver) run(take func([]int, Message)) {
	defer close(n.done)
	datagram := make([]byte, mostDatagram)
	// There is room for all that can come: what has none the kernel closes, and
	// that on this thread.
	beside := make([]byte, unix.CmsgSpace(unix.SizeofUcred)+unix.CmsgSpace(4*mostPassed))
	for {
		size, more, flags, _, err := n.conn.ReadMsgUnix(datagram, beside)
		if err != nil {
			return // closed; a socket of datagrams has no other end
		}
		sender, passed := unpack(beside[:more])
		if flags&unix.MSG_TRUNC == 0 {
			take(lineage(sender), Parse(datagram[:size]))
		}
		if len(passed) > 0 {
			n.passed.close(passed) // FDSTORE is not supported, and BARRIER waits for just this
		}
	}
}

// unpack says who sent a datagram, 0 if nobody whom we can see, and what
// descriptors came with it.
func unpack(beside []byte) (sender int, passed []int) {
	messages, err := unix.ParseSocketControlMessage(beside)
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

// lineage is a process and those above it, up to us.
func lineage(pid int) []int {
	pids := []int{pid}
	for self := os.Getpid(); pid > 1 && pid != self &&
		len(pids) < mostAbove; pids = append(pids, pid) {
		s, err := procfs.ReadStat(pid)
		if err != nil {
			break
		}
		pid = s.PPid
	}
	return pids
}
