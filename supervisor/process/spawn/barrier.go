package spawn

import (
	"fmt"
	"os"
	"sync"

	"golang.org/x/sys/unix"

	"tp0/supervisor/fdledger"
)

// Barrier holds a child back between its fork and the exec of its command. It
// is the supervisor's end of a socket. A byte from us lets the child continue.
// The child's exec closes its end. A message from the child says why it could
// not execute the command.
//
// The supervisor's end is not in the table of the loop's thread: no method may
// be called there.
type Barrier struct {
	ledger fdledger.Registrar

	file *os.File // of fd; Go's poller waits for it, so no thread does

	mu sync.Mutex
	fd int // -1: closed
}

// newBarrier returns a barrier and the child's end of it, which the caller
// closes once the child has it.
func newBarrier(name string, ledger fdledger.Registrar) (b *Barrier, childEnd int, err error) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, 0, fmt.Errorf("cannot make a socket: %w", err)
	}
	ledger.Opened(pair[0], "socket", name+" start")
	_ = unix.SetNonblock(pair[0], true) // our end alone; it fails only for a closed one
	file := os.NewFile(uintptr(pair[0]), "barrier")
	return &Barrier{ledger: ledger, file: file, fd: pair[0]}, pair[1], nil
}

// Release lets the child continue. It waits until the child has executed its
// command (nil), has died before (ErrNotExecuted: whoever reaps it sees how), or
// cannot execute the command; then the error names the step that failed and
// wraps its errno. [Barrier.Cancel] ends the wait. Release closes the barrier.
// Call it once.
func (b *Barrier) Release() error {
	defer b.Close()
	_, _ = b.file.Write([]byte{1}) // it fails only if the child is dead
	return receiveStartError(b.file)
}

// Cancel ends the wait of Release, which then returns ErrNotExecuted unless the
// child has executed its command. It does nothing when the barrier is closed.
func (b *Barrier) Cancel() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.fd >= 0 {
		_ = unix.Shutdown(b.fd, unix.SHUT_RDWR)
	}
}

// Close closes the barrier of a child that could not be forked. A child that
// still waits at it exits.
func (b *Barrier) Close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.fd >= 0 {
		_ = b.ledger.Close(b.fd, b.file.Close)
		b.fd = -1
	}
}

// awaitRelease reports whether the supervisor lets this process continue. false:
// the supervisor has ended, or closed the barrier. The start verb calls it.
func awaitRelease(fd int) bool {
	var b [1]byte
	n, err := readRetry(fd, b[:])
	return err == nil && n > 0
}
