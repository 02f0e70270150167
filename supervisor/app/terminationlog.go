package app

import (
	"context"
	"errors"

	"golang.org/x/sys/unix"

	"tp0/supervisor/event"
	"tp0/supervisor/eventlog"
	"tp0/supervisor/fdledger"
)

// terminationLogPath is the file that Kubernetes gives a container. Its end is shown as the message
// of the terminated container, 4096 bytes at most.
const terminationLogPath = "/dev/termination-log"

// terminationLog is an open file for the summary of the stop.
type terminationLog struct {
	path   string
	fd     int
	ledger fdledger.Registrar
}

// openTerminationLog opens a file that exists and is a regular one. It returns nil if there is none
// that we may write, or if ctx ends first: a file system can block.
func openTerminationLog(
	ctx context.Context, path string, ledger fdledger.Registrar,
) *terminationLog {
	opened := make(chan int, 1)
	go func() { opened <- openRegular(path) }()
	select {
	case fd := <-opened:
		if fd < 0 {
			return nil
		}
		ledger.Opened(fd, "file", path)
		return &terminationLog{path, fd, ledger}
	case <-ctx.Done():
		go func() {
			if fd := <-opened; fd >= 0 {
				_ = unix.Close(fd)
			}
		}()
		return nil
	}
}

// openRegular opens a regular file to append to it; -1: it cannot. It does not create a file, does
// not follow a link, and opens no device. A child may have written its own message before, so that
// is kept.
func openRegular(path string) int {
	regular := func(st *unix.Stat_t) bool { return st.Mode&unix.S_IFMT == unix.S_IFREG }
	var st unix.Stat_t
	if unix.Lstat(path, &st) != nil || !regular(&st) {
		return -1
	}
	fd, err := unix.Open(path, unix.O_WRONLY|unix.O_APPEND|unix.O_NOFOLLOW|unix.O_NONBLOCK|
		unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1
	}
	if unix.Fstat(fd, &st) != nil || !regular(&st) { // another file took its place
		_ = unix.Close(fd)
		return -1
	}
	return fd
}

// write writes the summary and closes the file. If ctx ends while the file system blocks, the
// descriptor stays open, and the fd ledger has it.
func (l *terminationLog) write(ctx context.Context, complete event.ShutdownComplete) error {
	line := eventlog.Line(eventlog.Settings{Level: "info", Format: "text"}, complete)
	done := make(chan error, 1)
	go func() {
		_, err := unix.Write(l.fd, line)
		done <- err
	}()
	select {
	case err := <-done:
		return errors.Join(err, l.ledger.Close(l.fd, func() error { return unix.Close(l.fd) }))
	case <-ctx.Done():
		return ctx.Err()
	}
}
