package process

import (
	"sync"
	"sync/atomic"
	"time"

	"tp0/supervisor/sockdiag"
)

// socketCache is what is known of the sockets of our network namespace. To take
// stock of them can cost as much as ten tables, so it is done in parts, the
// cheap ones first; and each serves all scans that waited for it: in a stop of
// many children that is most of them.
type socketCache [sockdiag.Parts]struct {
	mu    sync.Mutex
	began time.Time // the taking stock
	known map[uint64]sockdiag.Socket
	took  atomic.Int64 // nanoseconds; 0: not known yet
}

// listedSince returns a part of which stock was taken at t or later. It waits for the
// taking that is under way and makes the next.
func (s *socketCache) listedSince(part int, t time.Time) map[uint64]sockdiag.Socket {
	p := &s[part]
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.began.Before(t) {
		began := time.Now()
		if known, err := sockdiag.ListPart(part); err == nil || len(known) > 0 {
			p.began, p.known = began, known
			p.took.Store(int64(time.Since(began)))
		}
	}
	return p.known
}

// maxSocketAge is how old a dump may be that names what a run holds when its
// stop begins. What is left at an exit is told with the bytes that wait in it,
// so that dump must be of that moment.
const maxSocketAge = 100 * time.Millisecond

// recently is how long ago that is.
func recently() time.Time { return time.Now().Add(-maxSocketAge) }

// isFast reports whether to take stock of the sockets is known to take no time
// worth speaking of.
func (s *socketCache) isFast() bool {
	for part := range s {
		if took := s[part].took.Load(); took > int64(maxInlineSocketTime) || took == 0 && part == 0 {
			return false
		}
	}
	return true
}

// A look beside the loop costs two changes of threads, and each takes as long
// as the look at a process that holds little. So in the stop of a few the loop
// looks at such a one itself, at once. It still waits for nobody: only where
// the kernel told beforehand that the look is short, and no longer than a fork.
const (
	maxInlineProcesses  = 4 // runs at most
	maxInlineFDs        = 64
	maxInlineSocketTime = time.Millisecond // what each part of them took last time
)
