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
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"tp0/supervisor/fdledger"
	"tp0/supervisor/files"
)

// newFileMode is the mode of a report that did not exist. A report has command lines and output of
// children.
const newFileMode = 0o640

// File is a report that is being written.
type File struct {
	path   string
	page   bool
	dir    *files.Dir // the directory of a file that is replaced; nil: the file is written directly
	name   string     // in dir
	temp   string     // in dir; it is renamed to name at the end
	fd     int
	ledger fdledger.Registrar
}

// Create opens the file of a report. A regular file gets its name when it is complete, so that
// nobody reads a part of it. Other files, such as /dev/stdout or a FIFO, are written directly.
// A file that another user may have prepared is replaced, or refused if it is a FIFO or a device.
// Create returns when ctx ends at the latest, because a file system can block.
func Create(ctx context.Context, path string, ledger fdledger.Registrar) (*File, error) {
	f := &File{path: path, page: strings.HasSuffix(path, ".html"), ledger: ledger}
	if err := runBounded(ctx, f.create); err != nil {
		return nil, err
	}
	ledger.Opened(f.fd, "file", path)
	if f.dir != nil {
		ledger.Opened(f.dir.FD(), "file", f.dir.Path())
	}
	return f, nil
}

// Descriptors returns the number of descriptors that are open until [File.Write] returns.
func (f *File) Descriptors() int {
	if f.dir == nil {
		return 1
	}
	return 2
}

func (f *File) create() error {
	// A symbolic link stays, if no other user can have made it; its target is replaced.
	dir, name, err := files.OpenParent(f.path)
	if err != nil {
		return err
	}
	if err = f.open(dir, name); err != nil || f.dir == nil {
		err = errors.Join(err, dir.Close())
	}
	return err
}

// open opens the file, or a new one in its directory. Then it sets f.dir.
func (f *File) open(dir *files.Dir, name string) error {
	mode := uint32(newFileMode)
	st, err := dir.Stat(name)
	switch kind := st.Mode & unix.S_IFMT; {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return err
	case kind == unix.S_IFDIR:
		return &fs.PathError{Op: "open", Path: f.path, Err: unix.EISDIR}
	case isDevice(dir.Path()), kind != unix.S_IFREG && kind != unix.S_IFLNK:
		f.fd, err = dir.AppendExisting(name)
		return err
	case kind == unix.S_IFREG && (dir.Trusted() || int(st.Uid) == os.Geteuid() && st.Nlink == 1):
		mode = st.Mode & 0o777
	}
	// The name is random. A pid is not unique: in each container the supervisor has pid 1.
	f.temp = fmt.Sprintf(".report-%016x", rand.Uint64())
	if f.fd, err = dir.Create(f.temp, mode); err != nil {
		var named *fs.PathError
		if errors.As(err, &named) {
			named.Path = f.path
		}
		return err
	}
	f.dir, f.name = dir, name
	return nil
}

// isDevice reports whether the files of a directory can be open descriptors, such as /dev/stdout.
// The file of the descriptor has other writers, so it must not be replaced.
func isDevice(dir string) bool {
	dir += "/"
	return strings.HasPrefix(dir, "/dev/") || strings.HasPrefix(dir, "/proc/")
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

// Write writes the document, as a page if the name ends in .html, closes the file and gives it its
// name. An incomplete file is removed. If ctx ends while the file system blocks, the descriptors
// stay open, and the fd ledger has them.
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
	if f.dir == nil {
		return err
	}
	if err == nil {
		err = f.dir.Rename(f.temp, f.name)
	}
	if err != nil {
		_ = f.dir.Remove(f.temp)
	}
	_ = f.ledger.Close(f.dir.FD(), f.dir.Close) // a directory has nothing to write
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
