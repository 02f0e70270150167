package output

import (
	"errors"
	"os"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"tp0/supervisor/files"
)

// openTimeout is how long openFor waits for an open. While an open is late, it waits for
// nextTimeout, because the files are often on the same file system.
const (
	openTimeout  = time.Second
	nextTimeout  = 10 * time.Millisecond
	openedExpiry = 30 * time.Second // how long a file that was opened late is kept for its child
)

// ErrOpenBlocked says that the open of a log file has not returned: its file system does not
// respond, or is slow. The open goes on. The next [Relay.Prepare] gets the file if it is open by
// then, for openedExpiry. An [os.PathError] around it has the path.
var ErrOpenBlocked = errors.New("the file system has not responded")

var errClosed = errors.New("the relay is closed")

// openKey tells the opens of files apart.
type openKey struct {
	path   string
	uid    int64 // the user of the child, -1 for our own
	direct bool  // the process writes to the file itself
}

// An opening is the open of a file in a goroutine. The fields besides returned are guarded by
// openings.mu.
type opening struct {
	returned chan struct{} // closed once the file is open, or the open has failed
	standard string        // the standard stream that the path leads to; empty: none
	fd       int
	err      error
	late     bool // it did not return in time
}

// openings opens log files. A file system that does not respond blocks a goroutine for each file,
// and the caller for openTimeout at most. Nothing waits for these goroutines. The descriptors are
// not in the fd ledger until they are taken.
type openings struct {
	// standardName returns the standard stream that a path leads to; empty: none.
	standardName func(path string) string
	openFile     func(path string, uid *uint32) (int, error)

	mu      sync.Mutex
	pending map[openKey]*opening
	late    int // openings that did not return in time
	closed  bool
}

// openToAppend opens a file of the user of a child, nil for our own, to append to it.
func openToAppend(path string, uid *uint32) (int, error) {
	return files.Append(path, newFileMode, ownersOf(uid)...)
}

// openFor returns the descriptor of a file, or the standard stream that the path leads to. The
// caller owns the descriptor. The error is [ErrOpenBlocked] if the open has not returned in time;
// the next call for the file continues with the same open.
func (all *openings) openFor(path string, uid *uint32, direct bool) (int, string, error) {
	key := openKey{path, -1, direct}
	if uid != nil {
		key.uid = int64(*uid)
	}
	o, wait := all.begin(key, uid)
	if o == nil {
		return -1, "", errClosed
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-o.returned:
	case <-timer.C:
	}
	blocked := &os.PathError{Op: "open", Path: path, Err: ErrOpenBlocked}
	all.mu.Lock()
	defer all.mu.Unlock()
	select {
	case <-o.returned:
	default:
		if !o.late {
			o.late = true
			all.late++
		}
		return -1, "", blocked
	}
	if !all.forget(key, o) {
		return -1, "", blocked // another call or drop took the file
	}
	return o.fd, o.standard, o.err
}

// begin returns the opening of a file, and how long to wait for it. It returns nil after endAll.
func (all *openings) begin(key openKey, uid *uint32) (*opening, time.Duration) {
	all.mu.Lock()
	defer all.mu.Unlock()
	if all.closed {
		return nil, 0
	}
	if o := all.pending[key]; o != nil {
		return o, 0
	}
	o := &opening{returned: make(chan struct{}), fd: -1}
	if all.pending == nil {
		all.pending = map[openKey]*opening{}
	}
	all.pending[key] = o
	go func() {
		standard, fd, err := "", -1, error(nil)
		if !key.direct {
			standard = all.standardName(key.path)
		}
		if standard == "" {
			fd, err = all.openFile(key.path, uid)
		}
		all.mu.Lock()
		defer all.mu.Unlock()
		o.standard, o.fd, o.err = standard, fd, err
		close(o.returned)
		switch {
		case all.closed:
			all.drop(key, o)
		case o.late: // its child can be removed meanwhile
			time.AfterFunc(openedExpiry, func() {
				all.mu.Lock()
				defer all.mu.Unlock()
				all.drop(key, o)
			})
		}
	}()
	if all.late > 0 {
		return o, nextTimeout
	}
	return o, openTimeout
}

// forget removes an opening, and reports whether it was there. The caller holds all.mu here and in
// drop.
func (all *openings) forget(key openKey, o *opening) bool {
	if all.pending[key] != o {
		return false
	}
	delete(all.pending, key)
	if o.late {
		all.late--
	}
	return true
}

// drop closes a file that no child has taken.
func (all *openings) drop(key openKey, o *opening) {
	if all.forget(key, o) && o.fd >= 0 {
		_ = unix.Close(o.fd) // nothing was written to it
	}
}

// endAll closes the files that no child has taken. Those that are opened later are closed at once.
func (all *openings) endAll() {
	all.mu.Lock()
	defer all.mu.Unlock()
	all.closed = true
	for key, o := range all.pending {
		select {
		case <-o.returned:
			all.drop(key, o)
		default:
		}
	}
}

// blocked returns the paths of the files whose open has not returned.
func (all *openings) blocked() (paths []string) {
	all.mu.Lock()
	defer all.mu.Unlock()
	for key, o := range all.pending {
		select {
		case <-o.returned:
		default:
			paths = append(paths, key.path)
		}
	}
	slices.Sort(paths)
	return paths
}
