package app

import (
	"context"
	"errors"

	"golang.org/x/sys/unix"

	"tp0/supervisor/event"
	"tp0/supervisor/eventlog"
	"tp0/supervisor/fdledger"
	"tp0/supervisor/files"
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

// openTerminationLog opens a regular file that exists. It returns nil if the file cannot be
// written, or if ctx ends first: a file system can block.
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

// openRegular opens a regular file to append to it, and returns its descriptor or -1. It does not
// create a file, does not follow a symbolic link, and opens no device. It appends, because a child
// may have written a message of its own.
func openRegular(path string) int {
	dir, name, err := files.OpenEntry(path)
	if err != nil {
		return -1
	}
	defer dir.Close()
	if st, err := dir.Stat(name); err != nil || st.Mode&unix.S_IFMT != unix.S_IFREG {
		return -1
	}
	fd, err := dir.AppendExisting(name)
	if err != nil {
		return -1
	}
	var st unix.Stat_t
	if unix.Fstat(fd, &st) != nil || st.Mode&unix.S_IFMT != unix.S_IFREG { // it was replaced
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
