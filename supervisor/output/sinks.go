package output

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// The destinations that are not paths.
const (
	destStdout = "stdout"
	destStderr = "stderr"
	destNone   = "none"
)

// writerTimeout is how long endWriters waits for a write that cannot be interrupted.
const writerTimeout = 20 * time.Millisecond

// ErrWriteBlocked says that a writer did not end because its last write has not returned. Only a
// write to a stopped terminal or to a disk that hangs blocks so long, or a machine that is so busy
// that the writer is not scheduled.
var ErrWriteBlocked = errors.New("its write has not returned")

var (
	errClosed  = errors.New("the relay is closed")
	errStalled = errors.New(reasonStalled)
)

// sinkSet contains the sinks of the standard streams and of the files in use.
type sinkSet struct {
	opt   Options
	ended int           // an eventfd that wakes writers in poll(2) at the end; -1 if there is none
	quit  chan struct{} // closed by endWriters
	std   [2]*sink      // stdout, stderr; the same sink if both are the same file

	mu     sync.Mutex
	sinks  []*sink              // those whose writer runs
	files  map[string]*fileSink // by path
	closed bool                 // no further file is opened
}

// A fileSink is open while a child uses it and until its queue is written.
type fileSink struct {
	*sink
	users int // guarded by sinkSet.mu
}

func newSinkSet(opt Options) *sinkSet {
	set := &sinkSet{opt: opt, quit: make(chan struct{}), files: make(map[string]*fileSink)}
	var err error
	if set.ended, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK); err != nil {
		set.ended = -1 // the writers poll with a timeout
	}
	out, log := number(opt.Stdout), number(opt.Stderr)
	set.std[0] = newSink(
		destStdout, newDescriptor(out, set.ended, opt.Stdout), set.quit, opt.Dropped)
	set.std[1] = set.std[0]
	set.sinks = []*sink{set.std[0]}
	if !sameFile(out, log) {
		set.std[1] = newSink(
			destStderr, newDescriptor(log, set.ended, opt.Stderr), set.quit, opt.Dropped)
		set.sinks = append(set.sinks, set.std[1])
	}
	for _, s := range set.sinks {
		go s.write()
	}
	return set
}

// standard returns the sink of stdout, or of stderr for every other name.
func (set *sinkSet) standard(dest string) *sink {
	if dest == destStdout {
		return set.std[0]
	}
	return set.std[1]
}

// acquire returns the sink of a destination. For a file it also returns the path, and release
// must be called.
func (set *sinkSet) acquire(dest string) (*sink, string, error) {
	if dest == destStdout || dest == destStderr {
		return set.standard(dest), "", nil
	}
	set.mu.Lock()
	defer set.mu.Unlock()
	if set.closed {
		return nil, "", errClosed
	}
	if f := set.files[dest]; f != nil {
		f.users++
		return f.sink, dest, nil
	}
	fd, err := openFile(dest)
	if err != nil {
		return nil, "", err
	}
	set.opt.FDs.Opened(fd, "file", dest)
	f := &fileSink{newSink(dest, newFile(fd), set.quit, set.opt.Dropped), 1}
	f.retire = func() bool { return set.closeIfUnused(dest, f) }
	f.finish = func() {
		// A failed close(2) loses nothing that a write did not report.
		_ = set.opt.FDs.Close(fd, func() error { return unix.Close(fd) })
		set.remove(f.sink)
	}
	set.files[dest] = f
	set.sinks = append(set.sinks, f.sink)
	go f.write()
	return f.sink, dest, nil
}

// openFile opens a path to append to. It does not block: O_NONBLOCK makes the open of a FIFO
// without a reader fail (ENXIO), and has no effect on regular files.
func openFile(path string) (int, error) {
	const flags = unix.O_APPEND | unix.O_CREAT | unix.O_WRONLY |
		unix.O_CLOEXEC | unix.O_NOCTTY | unix.O_NONBLOCK
	for {
		fd, err := unix.Open(path, flags, 0o644)
		if err == nil {
			return fd, nil
		}
		if err != unix.EINTR {
			return -1, &os.PathError{Op: "open", Path: path, Err: err}
		}
	}
}

func (set *sinkSet) release(path string) {
	set.mu.Lock()
	defer set.mu.Unlock()
	f := set.files[path]
	if f.users--; f.users == 0 {
		f.wakeWriter()
	}
}

func (set *sinkSet) remove(s *sink) {
	set.mu.Lock()
	defer set.mu.Unlock()
	set.sinks = slices.DeleteFunc(set.sinks, func(other *sink) bool { return other == s })
}

// closeIfUnused forgets a file that no child uses, and reports whether its writer may close it. A
// child that
// acquires the path later opens the file again.
func (set *sinkSet) closeIfUnused(path string, f *fileSink) bool {
	set.mu.Lock()
	defer set.mu.Unlock()
	if f.users > 0 {
		return false
	}
	delete(set.files, path)
	return true
}

func (set *sinkSet) refuseFiles() {
	set.mu.Lock()
	defer set.mu.Unlock()
	set.closed = true
}

func (set *sinkSet) allSinks() []*sink {
	set.mu.Lock()
	defer set.mu.Unlock()
	return slices.Clone(set.sinks)
}

// endWriters ends the writers and waits for them, at most writerTimeout.
func (set *sinkSet) endWriters() error {
	sinks := set.allSinks()
	close(set.quit)
	if set.ended >= 0 {
		// It cannot fail: the counter is 0 and is written once.
		_, _ = unix.Write(set.ended, []byte{1, 0, 0, 0, 0, 0, 0, 0})
	}
	timer := time.NewTimer(writerTimeout)
	defer timer.Stop()
	var errs []error
	expired := false
	for _, s := range sinks {
		if !expired {
			select {
			case <-s.gone:
				continue
			case <-timer.C:
				expired = true
			}
		}
		select {
		case <-s.gone:
		default:
			errs = append(errs,
				fmt.Errorf("cannot end the writer of %s: %w", s.dest, ErrWriteBlocked))
		}
	}
	return errors.Join(errs...)
}
