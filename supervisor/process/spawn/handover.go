package spawn

import (
	"errors"
	"fmt"
	"slices"
	"sync"

	"golang.org/x/sys/unix"

	"tp0/supervisor/fdledger"
)

// maxRights is the number of descriptors in one message. The kernel allows 253 (SCM_MAX_FD,
// unix(7)).
const maxRights = 128

// Handover brings descriptors into the fd table of the loop's thread. It is a socket pair that
// carries SCM_RIGHTS messages (unix(7)). Descriptors that are opened on the loop's thread belong to
// that table and are not in the fd ledger.
type Handover struct {
	ledger fdledger.Registrar

	mu      sync.Mutex // keeps the messages in the order of the calls of queue
	in, out int        // -1 once they are closed
}

// Transfer is the result of one Give. Take needs it.
type Transfer struct {
	messages int
	err      error // why descriptors are missing
}

// NewHandover returns a handover. Any goroutine may call it before the loop's thread has a table of
// its own. It fails if no socket can be created.
func NewHandover(ledger fdledger.Registrar) (*Handover, error) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("cannot create a socket pair: %w", err)
	}
	for _, fd := range pair {
		ledger.OpenedInternal(fd, "socket", "descriptors to hand over")
	}
	return &Handover{ledger: ledger, in: pair[0], out: pair[1]}, nil
}

// Close closes both ends. Any thread except the loop's may call it. Transfers that were not taken
// are lost. A later Give fails, and does not use a descriptor that got the old number.
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

// Give sends duplicates of files to the loop's thread. The caller may close its own descriptors as
// soon as Give returns. Give calls queue once, with the transfer. The caller must pass the
// transfers to Take in the order in which they were queued. A lock is held during the call, so
// queue must not block.
//
// Give does not block. If the socket is full, after about two hundred messages that were not taken,
// Take returns the error. Any goroutine may call Give.
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

// Take receives a transfer. It must be called on the loop's thread. It does not block, because the
// messages have been sent. The caller must close own, also on an error. On an error own is
// incomplete and must not be used.
func (h *Handover) Take(t Transfer) (own []int, err error) {
	space := make([]byte, unix.CmsgSpace(maxRights*4)) // 4 bytes for each descriptor
	err = t.err
	for range t.messages {
		fds, e := h.receive(space)
		own, err = append(own, fds...), errors.Join(err, e)
	}
	return own, err
}

// receive reads one message. space is the buffer for its control data.
func (h *Handover) receive(space []byte) (own []int, err error) {
	const how = unix.MSG_DONTWAIT | unix.MSG_CMSG_CLOEXEC
	_, n, flags, _, err := unix.Recvmsg(h.out, make([]byte, 1), space, how)
	if err != nil {
		return nil, fmt.Errorf("cannot take descriptors over: %w", err)
	}
	if flags&unix.MSG_CTRUNC != 0 { // the table of this thread is full
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
