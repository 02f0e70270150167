// Package files reads small files for somebody who may not want to wait for
// them any more: a read from a file system that does not answer never returns.
package files

import (
	"errors"
	"fmt"
	"io/fs"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// ErrAbandoned is returned once nobody wants to know what a file has in it.
var ErrAbandoned = errors.New("it is not needed any more")

// Reader has every descriptor that a reading of files uses. Its methods may be
// called by any goroutine. The zero value is ready.
type Reader struct {
	mu        sync.Mutex
	open      map[int]bool
	abandoned bool
}

// Read returns the content of a regular file, most bytes and one at most: if
// there is one more, the file is larger. It does not wait for the writer of a
// FIFO, nor for what a file such as /proc/kmsg may have later.
func (r *Reader) Read(path string, most int) ([]byte, error) {
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
	src := make([]byte, 0, min(max(int(st.Size), 0), most)+1)
	for len(src) <= most {
		if len(src) == cap(src) {
			src = append(src, 0)[:len(src)]
		}
		n, err := r.read(fd, src[len(src):min(cap(src), most+1)])
		switch {
		case errors.Is(err, unix.EINTR):
		case errors.Is(err, unix.EAGAIN):
			return nil, fmt.Errorf("%s has no end that could be waited for", path)
		case err != nil:
			return nil, &fs.PathError{Op: "read", Path: path, Err: err}
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
		return 0, ErrAbandoned // the number may have been another file's
	}
	return n, err
}

// Names lists what is in a directory, most names and a few more at most. What
// cannot be read is left out.
func (r *Reader) Names(dir string, most int) ([]string, error) {
	fd, err := r.openFile(dir, unix.O_DIRECTORY)
	if err != nil {
		return nil, err
	}
	defer r.close(fd)
	var names []string
	block := make([]byte, 8192)
	for len(names) <= most {
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

// close closes a descriptor unless Abandon did.
func (r *Reader) close(fd int) {
	r.mu.Lock()
	mine := r.open[fd]
	delete(r.open, fd)
	r.mu.Unlock()
	if mine {
		_ = unix.Close(fd)
	}
}

func (r *Reader) isAbandoned() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.abandoned
}

// abandonLimit bounds the closes of Abandon. close(2) takes a number out of the
// table first, and only then waits for the file system.
const abandonLimit = 20 * time.Millisecond

// Abandon ends all reading: what is open is closed, and nothing is opened any
// more. A read that waits for its file system may never return; its descriptor
// is gone all the same. It reports whether there was one.
func (r *Reader) Abandon() bool {
	r.mu.Lock()
	open := r.open
	r.open, r.abandoned = nil, true
	r.mu.Unlock()
	var all sync.WaitGroup
	for fd := range open {
		all.Go(func() { _ = unix.Close(fd) })
	}
	done := make(chan struct{})
	go func() {
		all.Wait()
		close(done)
	}()
	select {
	case <-done:
	case <-time.After(abandonLimit):
	}
	return len(open) > 0
}
