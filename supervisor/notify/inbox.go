package notify

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"tp0/supervisor/fdledger"
)

// Process is a process that notifies.
type Process struct {
	Name    string // of its instance
	Number  uint64 // no other process of the supervisor has it
	UID     int    // its user at its start
	Arrived func() // is called when messages wait; it must not block
}

// Inbox is the notification socket of one process.
type Inbox struct {
	address  string
	process  Process
	abstract bool // the sender of each datagram must be identified
	slot     slot
	ledger   fdledger.Registrar
	fd       int
	file     *os.File
	raw      syscall.RawConn
	taken    chan struct{} // Messages has taken entries
	quit     chan struct{} // Close was called

	reading sync.Mutex // from the receive of a datagram until its message is in entries

	mu      sync.Mutex
	main    int // the pid of the main process; 0: it is not known yet
	entries []entry
	rejects rejects
	status  statusLimit
	timer   *time.Timer // calls statusDue; nil: no text waits
	closed  bool
}

// entry is a message that the orchestrator has not taken yet.
type entry struct {
	message Message
	// pids are the sender and its ancestors: one of them must be the main process. nil: the sender
	// is identified.
	pids []int
}

// rejects reports rejected datagrams.
type rejects struct {
	reason string // of the last one, until it is taken; empty: none waits
	at     time.Time
}

// newInbox returns the socket that was opened at an address. It takes ownership of fd.
func newInbox(
	fd int, address string, p Process, abstract bool, slot slot, ledger fdledger.Registrar,
) (*Inbox, error) {
	s := &Inbox{
		address: address, process: p, abstract: abstract, slot: slot, ledger: ledger, fd: fd,
		file: os.NewFile(uintptr(fd), address), taken: make(chan struct{}, 1),
		quit: make(chan struct{}),
	}
	ledger.Opened(fd, "socket", "unix "+address)
	var err error
	if s.raw, err = s.file.SyscallConn(); err != nil {
		s.closeFile()
		return nil, fmt.Errorf("cannot read the notification socket: %w", err)
	}
	return s, nil
}

// Address returns the value of NOTIFY_SOCKET for the process.
func (s *Inbox) Address() string { return s.address }

// Messages returns what arrived since the last call, oldest first. main is the pid of the main
// process. rejected says why a datagram was rejected, once a second at most; empty: none was.
func (s *Inbox) Messages(main int) (messages []Message, rejected string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.main = main
	for _, e := range s.entries {
		if e.pids == nil || slices.Contains(e.pids, main) {
			messages = append(messages, e.message)
		} else {
			s.reject(e.foreign())
		}
	}
	s.entries = nil
	rejected, s.rejects.reason = s.rejects.reason, ""
	select {
	case s.taken <- struct{}{}:
	default:
	}
	return messages, rejected
}

// Drain reads the datagrams that are queued in the kernel, and then does what Messages does. Call
// it when the main process has ended: what a process sends before its end counts.
func (s *Inbox) Drain(main int) (messages []Message, rejected string) {
	_ = s.raw.Control(func(fd uintptr) {
		for range maxEntries / batchSize {
			if b := s.readBatch(int(fd)); b.read < batchSize || b.late > 0 {
				break
			}
		}
	})
	s.mu.Lock()
	s.passStatus()
	s.mu.Unlock()
	return s.Messages(main)
}

// Close closes the socket and removes its file. It does not wait for that; [Receiver.Close] does.
func (s *Inbox) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return
	}
	s.closed = true
	if s.timer != nil {
		s.timer.Stop()
	}
	close(s.quit)
	_ = s.file.SetReadDeadline(time.Unix(1, 0)) // ends the wait of run
}

// run reads the socket until Close is called. While nothing arrives, it waits without a thread.
func (s *Inbox) run() {
	var effects effectLimit
	for {
		var b batch
		err := s.raw.Read(func(fd uintptr) bool {
			b = s.readBatch(int(fd))
			return !b.empty // false waits for the next datagram, so none may be queued then
		})
		if err != nil {
			break // Close was called: a datagram socket has no end of file
		}
		wait := max(
			readInterval, time.Duration(b.read)*readInterval+time.Duration(b.bytes)*byteInterval,
			latePenalty*b.late, effects.add(b.effective, time.Now()),
		)
		if !s.pause(wait) {
			break
		}
	}
	s.closeFile()
}

// closeFile closes the socket and removes its file.
func (s *Inbox) closeFile() {
	if !s.abstract {
		_ = unix.Unlink(s.address)
	}
	// close(2) releases what is queued, so it can block as a receive can, and takes a slot too.
	defer s.slot.take()()
	_ = s.ledger.Close(s.fd, func() (err error) {
		interruptible(func() { err = s.file.Close() })
		return err
	})
}

// pause waits until the orchestrator has taken enough messages, and for a duration. It returns
// false once Close was called.
func (s *Inbox) pause(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-s.quit:
		return false
	}
	for s.full() {
		select {
		case <-s.taken:
		case <-s.quit:
			return false
		}
	}
	return true
}

func (s *Inbox) full() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.entries) >= maxEntries
}

// batch is the result of readBatch.
type batch struct {
	read      int           // datagrams
	bytes     int           // their size
	effective int           // messages that effectLimit counts
	late      time.Duration // how long what was passed delayed a receive; 0: it did not
	empty     bool          // the first receive found no datagram
}

// readBatch reads the datagrams that are queued, at most batchSize of them.
func (s *Inbox) readBatch(fd int) (b batch) {
	defer s.slot.take()()
	s.reading.Lock()
	defer s.reading.Unlock()
	buffer := buffers.Get().(*buffer)
	defer buffers.Put(buffer)
	arrived, passed, begun := false, false, time.Now()
	late := interruptible(func() {
		for b.read == 0 || b.read < batchSize && time.Since(begun) < interruptAfter {
			d := receive(fd, buffer, s.abstract)
			if d.err != nil {
				b.empty = b.read == 0 && errors.Is(d.err, unix.EAGAIN)
				if !errors.Is(d.err, unix.EAGAIN) {
					b.late = interruptAfter // the kernel lacks memory: not at once again
				}
				return
			}
			b.read++
			b.bytes += len(d.content)
			m, fault := d.decode()
			if fault == "" && effective(m) {
				b.effective++
			}
			arrived = s.add(m, fault, d.sender) || arrived
			passed = passed || d.passed
		}
	})
	if late && passed { // otherwise the machine is busy
		b.late = time.Since(begun)
	}
	if arrived {
		s.process.Arrived()
	}
	return b
}

// add adds a message to the entries. It reports whether the orchestrator has something to take.
func (s *Inbox) add(m Message, fault string, sender unix.Ucred) bool {
	var e entry
	if s.abstract && fault == "" && int(sender.Uid) != s.process.UID {
		e.pids = ancestry(int(sender.Pid))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case fault != "":
		return s.reject(fault)
	case e.pids != nil && s.main != 0 && !slices.Contains(e.pids, s.main):
		return s.reject(e.foreign())
	}
	e.message = s.limitStatus(m, time.Now())
	if e.message.empty() {
		return false
	}
	s.entries = append(s.entries, e)
	return true
}

// limitStatus returns a message without its STATUS text if that is to wait. The caller holds s.mu.
func (s *Inbox) limitStatus(m Message, now time.Time) Message {
	if !m.HasStatus {
		return m
	}
	due, waits := s.status.add(m.Status, now)
	m.Status, m.HasStatus = "", false
	switch {
	case !waits:
	case !due.After(now):
		m.Status, m.Statuses, m.HasStatus = s.status.take(now)
	case s.timer == nil && !s.closed:
		s.timer = time.AfterFunc(due.Sub(now), s.statusDue)
	}
	return m
}

// statusDue passes on the STATUS text that waits.
func (s *Inbox) statusDue() {
	s.mu.Lock()
	s.timer = nil
	passed, now := false, time.Now()
	if wait := s.status.due(now).Sub(now); wait <= 0 {
		passed = s.passStatus()
	} else if s.status.count > 0 && !s.closed { // a newer text was passed on meanwhile
		s.timer = time.AfterFunc(wait, s.statusDue)
	}
	s.mu.Unlock()
	if passed {
		s.process.Arrived()
	}
}

// passStatus makes a message of the STATUS text that waits. It reports whether there is one. The
// caller holds s.mu.
func (s *Inbox) passStatus() bool {
	text, n, ok := s.status.take(time.Now())
	if ok && !s.closed {
		m := Message{Status: text, Statuses: n, HasStatus: true}
		s.entries = append(s.entries, entry{message: m})
	}
	return ok
}

// reject notes why a datagram was rejected. It reports whether that is to be reported now. The
// caller holds s.mu.
func (s *Inbox) reject(reason string) bool {
	now := time.Now()
	if !s.rejects.at.IsZero() && now.Sub(s.rejects.at) < rejectInterval {
		return false
	}
	s.rejects.reason, s.rejects.at = reason, now
	return true
}

// foreign returns why the sender of an entry is rejected.
func (e *entry) foreign() string {
	return fmt.Sprintf("pid %d has another user and is no descendant of the child", e.pids[0])
}
