package spawn

import (
	"errors"
	"fmt"
	"os"
	"sync"

	"golang.org/x/sys/unix"

	"tp0/supervisor/fdledger"
)

// Barrier stops a child between its fork and the exec of its command. It is the supervisor's end of
// a socket pair. A byte from the supervisor lets the child continue. The exec of the child closes
// the child's end. A message from the child says why it could not execute the command.
//
// The supervisor's end is not in the fd table of the loop's thread, so no method may be called on
// that thread.
type Barrier struct {
	ledger fdledger.Registrar

	// file is of fd. Go's poller waits for it, so a read blocks no thread.
	file *os.File

	mu sync.Mutex
	fd int // -1 once it is closed
}

// newBarrier returns a barrier and the child's end of it. The caller closes the child's end once
// the child has it.
func newBarrier(name string, ledger fdledger.Registrar) (b *Barrier, childEnd int, err error) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, 0, fmt.Errorf("cannot create a socket pair: %w", err)
	}
	ledger.OpenedInternal(pair[0], "socket", name+" start")
	// The supervisor's end does not block. This call fails only for a descriptor that is closed.
	_ = unix.SetNonblock(pair[0], true)
	file := os.NewFile(uintptr(pair[0]), "barrier")
	return &Barrier{ledger: ledger, file: file, fd: pair[0]}, pair[1], nil
}

// Release lets the child continue and waits for the outcome. It returns nil once the child has
// executed its command, and ErrNotExecuted if the child died before that. If the child cannot
// execute the command, the error names the step that failed and wraps its errno. If the child
// cannot be released, it exits when the barrier is closed. [Barrier.Cancel] ends the wait. Release
// closes the barrier. Call it once.
func (b *Barrier) Release() error {
	defer b.Close()
	_, err := b.file.Write([]byte{1})
	if err != nil && !errors.Is(err, unix.EPIPE) {
		return fmt.Errorf("cannot release the process from the barrier: %w", err)
	}
	if err != nil {
		b.Cancel() // the child is dead, or exits
	}
	return receiveStartError(b.file)
}

// Cancel ends the wait of Release, which then returns ErrNotExecuted unless the child has executed
// its command. Cancel does nothing if the barrier is closed.
func (b *Barrier) Cancel() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.fd >= 0 {
		_ = unix.Shutdown(b.fd, unix.SHUT_RDWR)
	}
}

// Close closes the barrier of a child that could not be forked. A child that waits at the barrier
// exits.
func (b *Barrier) Close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.fd >= 0 {
		_ = b.ledger.Close(b.fd, b.file.Close)
		b.fd = -1
	}
}

// awaitRelease waits until the supervisor lets this process continue. It returns false if the
// supervisor has ended or closed the barrier. The start verb calls it.
func awaitRelease(fd int) bool {
	var b [1]byte
	n, err := readRetry(fd, b[:])
	return err == nil && n > 0
}
