package process

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"

	"golang.org/x/sys/unix"

	"tp0/supervisor/procfs"
)

// A fork copies the table of descriptors of the thread that calls it, and the
// child's exec closes the copies again, one by one. With a thousand children,
// whose pipes we read, that was more work than the rest of a spawn. So the
// loop's thread has a table of its own with next to nothing in it (close_range(2),
// CLOSE_RANGE_UNSHARE). What a run begins with is handed over to it (unix(7),
// SCM_RIGHTS); whatever else we have open no child can get at all.
//
// What is opened and closed on the loop's thread is of that table, and in
// nobody's books. What belongs in them is opened and closed elsewhere.

const (
	mostTries  = 16  // that were handed over and not taken yet
	mostRights = 128 // descriptors in one message; the kernel takes 253 (SCM_MAX_FD)
)

// handover is the socket through which descriptors get to the loop's table.
type handover struct {
	mu      sync.Mutex // the order of the messages is that of the commands
	in, out int
}

func newHandover(books Books) (*handover, error) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("cannot make a socket: %w", err)
	}
	for _, fd := range pair {
		books.Opened(fd, "socket", "descriptors to hand over")
	}
	return &handover{in: pair[0], out: pair[1]}, nil
}

func (h *handover) close(books Books) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, fd := range []*int{&h.in, &h.out} {
		_ = books.Close(*fd, func() error { return unix.Close(*fd) })
		*fd = -1 // it may be somebody else's number soon
	}
}

// hand has the loop do something with descriptors. It gets copies, which are
// closed afterwards; the caller's own may be closed as soon as this returns. It
// does not wait: where the socket is full, some two hundred messages ahead of the
// loop, do gets an error.
func (l *Loop) hand(files []int, do func(own []int, err error)) {
	h := l.handover
	h.mu.Lock()
	defer h.mu.Unlock()
	messages, err := h.give(files)
	l.cmds.Put(func() {
		own, e := h.take(messages)
		do(own, errors.Join(err, e))
		for _, fd := range own {
			_ = unix.Close(fd)
		}
	})
}

// give sends descriptors on their way, in so many messages.
func (h *handover) give(files []int) (messages int, err error) {
	for part := range slices.Chunk(files, mostRights) {
		if err := unix.Sendmsg(h.in, []byte{0}, unix.UnixRights(part...), nil, unix.MSG_DONTWAIT); err != nil {
			return messages, fmt.Errorf("cannot hand descriptors over: %w", err)
		}
		messages++
	}
	return messages, nil
}

// take receives what so many messages bring. They are there already.
func (h *handover) take(messages int) (own []int, err error) {
	space := make([]byte, unix.CmsgSpace(mostRights*4))
	for range messages {
		_, n, flags, _, e := unix.Recvmsg(h.out, make([]byte, 1), space, unix.MSG_DONTWAIT|unix.MSG_CMSG_CLOEXEC)
		if e == nil && flags&unix.MSG_CTRUNC != 0 {
			e = unix.EMFILE
		}
		if e != nil {
			err = fmt.Errorf("cannot take descriptors over: %w", e)
			continue
		}
		all, e := unix.ParseSocketControlMessage(space[:n])
		for i := range all {
			fds, e := unix.ParseUnixRights(&all[i])
			own, err = append(own, fds...), errors.Join(err, e)
		}
		err = errors.Join(err, e)
	}
	return own, err
}

// part gives the loop's thread its own table: the standard streams, our end of
// the handover, and what Go's runtime needs to wake its poller from any thread.
// Where the kernel cannot (before Linux 5.9) all goes on as well in one table,
// and more slowly; so it does where the child shall inherit what we have.
func (l *Loop) part() {
	own, err := procfs.Own()
	if err != nil || l.opt.Inherit {
		return
	}
	keep := []uint{0, 1, 2, uint(l.handover.out)}
	for _, f := range own {
		if f.Kind == "epoll" || f.Kind == "eventfd" {
			keep = append(keep, uint(f.Num))
		}
	}
	slices.Sort(keep)
	how := uint(unix.CLOSE_RANGE_UNSHARE)
	for i, fd := range keep {
		last := ^uint(0)
		if i+1 < len(keep) {
			last = keep[i+1] - 1
		}
		if fd+1 > last {
			continue
		}
		if unix.CloseRange(fd+1, last, how) != nil {
			return
		}
		how = 0 // it is ours now
	}
}

// WakePoller makes Go's runtime open the descriptors of its poller, so that they
// are there before the books begin, and before a thread that has to wake the
// poller parts with the others.
func WakePoller() error {
	r, w, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("cannot make a pipe: %w", err)
	}
	return errors.Join(r.Close(), w.Close())
}
