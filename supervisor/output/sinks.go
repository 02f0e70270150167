package output

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// The destinations that are not paths.
const (
	destStdout = "stdout"
	destStderr = "stderr"
	destNone   = "none"
)

var errStalled = errors.New(reasonStalled)

// sinkSet contains the sinks of the standard streams and of the files in use.
type sinkSet struct {
	opt Options
	std [2]*sink // stdout, stderr; the same sink if both are the same file

	openings openings

	rotations atomic.Pointer[map[string]Rotation] // by path; never nil

	mu     sync.Mutex
	sinks  []*sink              // those whose writer runs
	colors map[string]int       // number of each child with a colored prefix
	files  map[string]*fileSink // by path
	closed bool                 // no further file is opened
}

// A fileSink is open while a child uses it and until its queue is written.
type fileSink struct {
	*sink
	users int // guarded by sinkSet.mu
}

func newSinkSet(opt Options) *sinkSet {
	set := &sinkSet{opt: opt, files: make(map[string]*fileSink), colors: make(map[string]int)}
	set.openings.standardName, set.openings.openFile = set.standardName, openToAppend
	set.rotations.Store(&map[string]Rotation{})
	out, log := number(opt.Stdout), number(opt.Stderr)
	set.std[0] = set.startStandard(destStdout, out, opt.Stdout)
	set.std[1] = set.std[0]
	if !sameFile(out, log) {
		set.std[1] = set.startStandard(destStderr, log, opt.Stderr)
	}
	return set
}

// startStandard starts the sink of a standard stream.
func (set *sinkSet) startStandard(dest string, fd int, f *os.File) *sink {
	ended, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		ended = -1 // the writer polls with a timeout
	}
	s := newSink(dest, newDescriptor(fd, ended, f), set.opt.Dropped)
	s.total = set.opt.Lost
	set.sinks = append(set.sinks, s)
	go s.write()
	return s
}

// standard returns the sink of stdout, or of stderr for every other name.
func (set *sinkSet) standard(dest string) *sink {
	if dest == destStdout {
		return set.std[0]
	}
	return set.std[1]
}

// acquire returns the sink of a destination. For a file it also returns the path, and release
// must be called. uid is the user of the child, nil for our own.
func (set *sinkSet) acquire(dest string, uid *uint32) (*sink, string, error) {
	if dest == destStdout || dest == destStderr {
		return set.standard(dest), "", nil
	}
	set.mu.Lock()
	s, err := set.useOpenFile(dest)
	set.mu.Unlock()
	if s != nil || err != nil {
		return s, dest, err
	}
	fd, standard, err := set.openings.openFor(dest, uid, false)
	switch {
	case err != nil:
		return nil, "", err
	case standard != "":
		return set.standard(standard), "", nil
	}
	set.mu.Lock()
	defer set.mu.Unlock()
	if s, err := set.useOpenFile(dest); s != nil || err != nil { // another call was faster
		_ = unix.Close(fd) // nothing was written to it
		return s, dest, err
	}
	return set.startFile(fd, dest, uid), dest, nil
}

// useOpenFile returns the sink of a path that another process of a child uses already. It returns
// nil if none does. The caller holds set.mu.
func (set *sinkSet) useOpenFile(path string) (*sink, error) {
	if set.closed {
		return nil, errClosed
	}
	f := set.files[path]
	if f == nil {
		return nil, nil
	}
	f.users++
	f.requestCheck() // a new process does not write to a renamed file
	return f.sink, nil
}

// startFile starts the sink of a file that was opened. The caller holds set.mu.
func (set *sinkSet) startFile(fd int, dest string, uid *uint32) *sink {
	to := newLogFile(fd, dest, uid, set.opt.FDs, set.reopened)
	to.rotator.rules = func() Rotation { return (*set.rotations.Load())[dest] }
	to.rotator.report = func(err error) {
		if set.opt.NotRotated != nil {
			set.opt.NotRotated(dest, err)
		}
	}
	to.compress.path, to.compress.owners = dest, to.owners
	to.compress.ledger, to.compress.report = set.opt.FDs, func(err error) {
		to.rotator.report(fmt.Errorf("cannot compress a renamed file: %w", err))
	}
	if r := to.rotator.rules(); r.Compress {
		to.compress.start(r.Keep) // what the last close interrupted
	}
	f := &fileSink{newSink(dest, to, set.opt.Dropped), 1}
	f.checkPath, f.total = to.checkPath, set.opt.Lost
	f.retire = func() bool { return set.closeIfUnused(dest, f) }
	f.finish = func() {
		to.close()
		set.remove(f.sink)
	}
	set.files[dest] = f
	set.sinks = append(set.sinks, f.sink)
	go f.write()
	return f.sink
}

// standardName returns stdout or stderr if a path leads to that stream. A file of its own for it
// would have its own offset, and the lines of both would overwrite each other. The result is empty
// for another path.
func (set *sinkSet) standardName(path string) string {
	switch {
	case leadsTo(path, number(set.opt.Stdout)):
		return destStdout
	case leadsTo(path, number(set.opt.Stderr)):
		return destStderr
	default:
		return ""
	}
}

func (set *sinkSet) reopened(r Reopened) {
	if set.opt.Reopened != nil {
		set.opt.Reopened(r)
	}
}

// Reopen makes the log files that were renamed or deleted be opened again, as soon as the writes
// that have begun return. A log file that is still at its path stays open.
func (set *sinkSet) Reopen() {
	for _, s := range set.allSinks() {
		s.requestCheck()
		s.wakeWriter()
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
// child that acquires the path later opens the file again.
func (set *sinkSet) closeIfUnused(path string, f *fileSink) bool {
	set.mu.Lock()
	defer set.mu.Unlock()
	if f.users > 0 {
		return false
	}
	delete(set.files, path)
	return true
}

// BlockedFiles returns the paths of the log files whose open has not returned.
func (set *sinkSet) BlockedFiles() []string { return set.openings.blocked() }

func (set *sinkSet) refuseFiles() {
	set.openings.endAll()
	set.mu.Lock()
	defer set.mu.Unlock()
	set.closed = true
}

func (set *sinkSet) allSinks() []*sink {
	set.mu.Lock()
	defer set.mu.Unlock()
	return slices.Clone(set.sinks)
}

// closeEvents closes the eventfds of the standard streams.
func (set *sinkSet) closeEvents() error {
	var errs []error
	for i, s := range set.std {
		if i > 0 && s == set.std[0] {
			continue
		}
		if d, ok := s.to.(*descriptor); ok && d.ended >= 0 {
			errs = append(errs, unix.Close(d.ended))
		}
	}
	return errors.Join(errs...)
}
