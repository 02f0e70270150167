package spawn

import (
	"errors"
	"fmt"
	"slices"
	"sync"

	"golang.org/x/sys/unix"

	"tp0/supervisor/fdledger"
)

// maxRights is the number of descriptors in one message. The kernel's limit is
// 253 (SCM_MAX_FD, unix(7)).
const maxRights = 128

// Handover brings descriptors into the table of the loop's thread: a socket pair
// that carries SCM_RIGHTS messages (unix(7)). What is opened and closed on the
// loop's thread belongs to that table and is in nobody's ledger.
type Handover struct {
	ledger fdledger.Registrar

	mu      sync.Mutex // messages have the order of the calls of queue
	in, out int        // -1: closed
}

// A Transfer is what one Give sent. Take needs it.
type Transfer struct {
	messages int
	err      error // why not all was sent
}

// NewHandover makes a handover. Any goroutine may call it, before the loop's
// thread has its own table. An error says that no socket could be made.
func NewHandover(ledger fdledger.Registrar) (*Handover, error) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("cannot make a socket: %w", err)
	}
	for _, fd := range pair {
		ledger.Opened(fd, "socket", "descriptors to hand over")
	}
	return &Handover{ledger: ledger, in: pair[0], out: pair[1]}, nil
}

// Close closes both ends, on any thread but the loop's. Transfers that were not
// taken are lost. A later Give fails, and harms no descriptor that has the old
// number.
func (h *Handover) Close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, fd := range []*int{&h.in, &h.out} {
		if *fd >= 0 {
			_ = h.ledger.Close(*fd, func() error { return unix.Close(*fd) })
			*fd = -1
		}
	}
}

// Give sends duplicates of files to the loop's thread. The caller may close its
// own as soon as Give returns. queue gets the transfer, and must bring it to
// Take; transfers must be taken in the order in which they were queued. queue is
// called once, with a lock held: it must not wait.
//
// Give does not wait either. Where the socket is full, some two hundred messages
// ahead of the loop, Take returns the error. Any goroutine may call Give.
func (h *Handover) Give(files []int, queue func(Transfer)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	queue(h.send(files))
}

func (h *Handover) send(files []int) (t Transfer) {
	for some := range slices.Chunk(files, maxRights) {
		err := unix.Sendmsg(h.in, []byte{0}, unix.UnixRights(some...), nil, unix.MSG_DONTWAIT)
		if err != nil {
			t.err = fmt.Errorf("cannot hand descriptors over: %w", err)
			return t
		}
		t.messages++
	}
	return t
}

// Take receives a transfer, on the loop's thread. It does not wait: the messages
// are there already. The caller closes own, even if there is an error; then own
// is not complete, and must not be used.
func (h *Handover) Take(t Transfer) (own []int, err error) {
	space := make([]byte, unix.CmsgSpace(maxRights*4)) // 4 bytes a descriptor
	err = t.err
	for range t.messages {
		fds, e := h.receive(space)
		own, err = append(own, fds...), errors.Join(err, e)
	}
	return own, err
}

// receive reads one message. space is for its control data.
func (h *Handover) receive(space []byte) (own []int, err error) {
	const how = unix.MSG_DONTWAIT | unix.MSG_CMSG_CLOEXEC
	_, n, flags, _, err := unix.Recvmsg(h.out, make([]byte, 1), space, how)
	if err != nil {
		return nil, fmt.Errorf("cannot take descriptors over: %w", err)
	}
	if flags&unix.MSG_CTRUNC != 0 { // this thread has no free descriptor
		err = fmt.Errorf("cannot take descriptors over: %w", unix.EMFILE)
	}
	messages, e := unix.ParseSocketControlMessage(space[:n])
	err = errors.Join(err, e)
	for i := range messages {
		fds, e := unix.ParseUnixRights(&messages[i])
		own, err = append(own, fds...), errors.Join(err, e)
	}
	return own, err
}
