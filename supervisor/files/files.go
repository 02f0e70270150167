// Package files opens files by name. [Reader] reads small files for a caller that can abandon the
// reads: a read from a file system that does not respond never returns. [Dir] opens, creates,
// renames and removes files in directories that other users may write to.
package files

import (
	"errors"
	"fmt"
	"io/fs"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// ErrAbandoned is returned by every method after [Reader.Abandon].
var ErrAbandoned = errors.New("the reading of files was abandoned")

// Reader reads files and keeps a list of the descriptors that it uses. Any goroutine may call its
// methods. The zero value is ready for use.
type Reader struct {
	mu        sync.Mutex
	open      map[int]bool // by descriptor
	abandoned bool
}

// Read returns the content of a regular file, at most limit+1 bytes. If it returns limit+1 bytes,
// the file is larger than limit. Read does not wait for the writer of a FIFO, nor for later content
// of a file such as /proc/kmsg.
func (r *Reader) Read(path string, limit int) ([]byte, error) {
	fd, err := r.openFile(path, unix.O_NONBLOCK)
	if err != nil {
		return nil, err
	}
	defer r.close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return nil, &fs.PathError{Op: "stat", Path: path, Err: err}
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG {
		return nil, fmt.Errorf("%s is not a regular file", path)
	}
	src, err := r.readAll(fd, min(max(int(st.Size), 0), limit)+1, limit, func() error {
		return fmt.Errorf("%s has no end: a read would wait for more", path)
	})
	if errno, ok := err.(unix.Errno); ok {
		err = &fs.PathError{Op: "read", Path: path, Err: errno}
	}
	return src, err
}

// ReadStream returns the content of a pipe, a socket or a terminal up to its end, at most limit+1
// bytes. It waits for the writer, and leaves the descriptor open.
func (r *Reader) ReadStream(fd, limit int) ([]byte, error) {
	src, err := r.readAll(fd, 4096, limit, func() error {
		_, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, -1)
		if errors.Is(err, unix.EINTR) {
			return nil
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("cannot read descriptor %d: %w", fd, err)
	}
	return src, nil
}

// readAll reads to the end, at most limit+1 bytes. size is the capacity of the first buffer.
// mustWait is called when a read would wait; its error ends the read.
func (r *Reader) readAll(fd, size, limit int, mustWait func() error) ([]byte, error) {
	src := make([]byte, 0, size)
	for len(src) <= limit {
		if len(src) == cap(src) {
			src = append(src, 0)[:len(src)]
		}
		n, err := r.read(fd, src[len(src):min(cap(src), limit+1)])
		switch {
		case errors.Is(err, unix.EINTR):
		case errors.Is(err, unix.EAGAIN):
			if err := mustWait(); err != nil {
				return nil, err
			}
		case err != nil:
			return nil, err
		case n == 0:
			return src, nil
		default:
			src = src[:len(src)+n]
		}
	}
	return src, nil
}

func (r *Reader) read(fd int, b []byte) (int, error) {
	if r.isAbandoned() {
		return 0, ErrAbandoned
	}
	n, err := unix.Read(fd, b)
	if r.isAbandoned() {
		return 0, ErrAbandoned // the descriptor may have belonged to another file
	}
	return n, err
}

// Names returns the names in a directory, in no order. It stops reading after limit names, so the
// result can have a few more. If a part cannot be read, the names before it are returned.
func (r *Reader) Names(dir string, limit int) ([]string, error) {
	fd, err := r.openFile(dir, unix.O_DIRECTORY)
	if err != nil {
		return nil, err
	}
	defer r.close(fd)
	var names []string
	block := make([]byte, 8192)
	for len(names) <= limit {
		n, err := unix.ReadDirent(fd, block)
		if r.isAbandoned() {
			return nil, ErrAbandoned
		}
		if err == unix.EINTR {
			continue
		}
		if err != nil || n <= 0 {
			break
		}
		_, _, names = unix.ParseDirent(block[:n], -1, names)
	}
	return names, nil
}

func (r *Reader) openFile(path string, flags int) (int, error) {
	if r.isAbandoned() {
		return -1, ErrAbandoned
	}
	var fd int
	var err error
	for {
		if fd, err = unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC|flags, 0); err != unix.EINTR {
			break
		}
	}
	if err != nil {
		return -1, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.abandoned {
		_ = unix.Close(fd)
		return -1, ErrAbandoned
	}
	if r.open == nil {
		r.open = map[int]bool{}
	}
	r.open[fd] = true
	return fd, nil
}

// close closes a descriptor, unless Abandon closed it.
func (r *Reader) close(fd int) {
	r.mu.Lock()
	isOpen := r.open[fd]
	delete(r.open, fd)
	r.mu.Unlock()
	if isOpen {
		_ = unix.Close(fd)
	}
}

func (r *Reader) isAbandoned() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.abandoned
}

// closeTimeout bounds how long Abandon waits for close(2), which first removes the descriptor from
// the table, and then may wait for the file system.
const closeTimeout = 20 * time.Millisecond

// Abandon closes all open descriptors and makes every later call fail. A read that waits for its
// file system may never return, but its descriptor is closed. Abandon reports whether a descriptor
// was open. It waits 20 ms at most.
func (r *Reader) Abandon() bool {
	r.mu.Lock()
	open := r.open
	r.open, r.abandoned = nil, true
	r.mu.Unlock()
	var closes sync.WaitGroup
	for fd := range open {
		closes.Go(func() { _ = unix.Close(fd) })
	}
	done := make(chan struct{})
	go func() {
		closes.Wait()
		close(done)
	}()
	select {
	case <-done:
	case <-time.After(closeTimeout):
	}
	return len(open) > 0
}
