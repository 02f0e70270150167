package report

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"tp0/supervisor/fdledger"
)

// File is a report that is being written.
type File struct {
	path, temp string // temp is renamed to path at the end; empty: path is written directly
	page       bool
	fd         int
	ledger     fdledger.Registrar
}

// Create opens the file of a report. A regular file gets its name when it is complete, so that
// nobody reads a part of it. Other files, such as /dev/stdout or a FIFO, are written directly.
// Create returns when ctx ends at the latest, because a file system can block.
func Create(ctx context.Context, path string, ledger fdledger.Registrar) (*File, error) {
	f := &File{path: path, page: strings.HasSuffix(path, ".html"), ledger: ledger}
	if err := runBounded(ctx, f.create); err != nil {
		return nil, err
	}
	ledger.Opened(f.fd, "file", path)
	return f, nil
}

func (f *File) create() error {
	info, err := os.Stat(f.path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return f.openTemp()
	case err != nil:
		return err
	case info.IsDir():
		return &fs.PathError{Op: "open", Path: f.path, Err: unix.EISDIR}
	case !info.Mode().IsRegular() || isStandardStream(f.path):
		return f.open(f.path, unix.O_APPEND)
	}
	// A symbolic link stays; the file that it refers to is replaced.
	if f.path, err = filepath.EvalSymlinks(f.path); err != nil {
		return err
	}
	if err := f.openTemp(); err != nil {
		return err
	}
	_ = unix.Fchmod(f.fd, uint32(info.Mode().Perm())) // not every file system has modes
	return nil
}

var errTimeout = errors.New("the report was not written in time")

// runBounded calls do, and abandons it if it does not return in time: a system call that waits for
// a file system ends with the process only.
func runBounded(ctx context.Context, do func() error) error {
	done := make(chan error, 1)
	go func() { done <- do() }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
	}
	select {
	case err := <-done: // do has ended at the deadline by itself
		return err
	case <-time.After(pollInterval):
		return errTimeout
	}
}

// isStandardStream reports whether a path can name an open descriptor, such as /dev/stdout. The
// file of the descriptor has other writers, so it must not be replaced.
func isStandardStream(path string) bool {
	abs, err := filepath.Abs(path)
	return err != nil || strings.HasPrefix(abs, "/dev/") || strings.HasPrefix(abs, "/proc/")
}

func (f *File) openTemp() error {
	// The name is random. A pid is not unique: in each container the supervisor has pid 1.
	f.temp = filepath.Join(filepath.Dir(f.path), fmt.Sprintf(".report-%016x", rand.Uint64()))
	return f.open(f.temp, unix.O_CREAT|unix.O_EXCL)
}

// open opens a file and does not block: with O_NONBLOCK the open of a FIFO without a reader fails
// (ENXIO, fifo(7)).
func (f *File) open(path string, how int) error {
	for {
		fd, err := unix.Open(
			path, how|unix.O_WRONLY|unix.O_CLOEXEC|unix.O_NOCTTY|unix.O_NONBLOCK, 0o644,
		)
		if err == nil {
			f.fd = fd
			return nil
		}
		if err != unix.EINTR {
			return &fs.PathError{Op: "open", Path: f.path, Err: err}
		}
	}
}

// Write writes the document, as a page if the name ends in .html, closes the file and gives it its
// name. An incomplete file is removed. If ctx ends while the file system blocks, the descriptor
// stays open, and the fd ledger has it.
func (f *File) Write(ctx context.Context, d *Document) error {
	b, err := encode(d, f.page)
	if err == nil {
		err = runBounded(ctx, func() error { return f.write(ctx, b) })
	}
	if err == errTimeout {
		return err
	}
	if e := f.ledger.Close(f.fd, func() error { return unix.Close(f.fd) }); err == nil && e != nil {
		err = &fs.PathError{Op: "close", Path: f.path, Err: e}
	}
	if f.temp == "" {
		return err
	}
	if err == nil {
		err = os.Rename(f.temp, f.path)
	}
	if err != nil {
		_ = os.Remove(f.temp)
	}
	return err
}

func encode(d *Document, page bool) ([]byte, error) {
	var b bytes.Buffer
	if page {
		err := Page(&b, d)
		return b.Bytes(), err
	}
	enc := json.NewEncoder(&b)
	enc.SetIndent("", " ")
	err := enc.Encode(d)
	return b.Bytes(), err
}

// write writes all of b. It waits for a slow reader until ctx ends.
func (f *File) write(ctx context.Context, b []byte) error {
	for len(b) > 0 {
		n, err := unix.Write(f.fd, b)
		switch {
		case err == nil:
			b = b[n:]
		case err == unix.EINTR:
		case err == unix.EAGAIN:
			if err := f.wait(ctx); err != nil {
				return err
			}
		default:
			return &fs.PathError{Op: "write", Path: f.path, Err: err}
		}
	}
	return nil
}

// pollInterval is the time after which a blocked write compares the deadline again. The write gives
// up one interval before the deadline, and runBounded one interval after it.
const pollInterval = 20 * time.Millisecond

// wait waits until the file can be written, for a part of pollInterval at most.
func (f *File) wait(ctx context.Context) error {
	if until, ok := ctx.Deadline(); ok && time.Until(until) < pollInterval {
		return fmt.Errorf("cannot write %s: its reader is too slow", f.path)
	}
	_, err := unix.Poll(
		[]unix.PollFd{{Fd: int32(f.fd), Events: unix.POLLOUT}}, int(pollInterval.Milliseconds())/4,
	)
	if err != nil && err != unix.EINTR {
		return fmt.Errorf("cannot wait for %s: %w", f.path, err)
	}
	return nil
}
