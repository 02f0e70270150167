package process

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"tp0/supervisor/procfs"
	"tp0/supervisor/sockdiag"
)

// sockets is what is known of the sockets of our network namespace. To take
// stock of them can cost as much as ten tables, so it is done in parts, the
// cheap ones first; and each serves all scans that waited for it: in a stop of
// many children that is most of them.
type sockets [sockdiag.Parts]struct {
	mu    sync.Mutex
	began time.Time // the taking stock
	known map[uint64]sockdiag.Socket
	took  atomic.Int64 // nanoseconds; 0: not known yet
}

// since returns a part of which stock was taken at t or later. It waits for the
// taking that is under way and makes the next.
func (s *sockets) since(part int, t time.Time) map[uint64]sockdiag.Socket {
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

// freshBefore is how old a dump may be that names what a run holds when its
// stop begins. What is left at an exit is told with the bytes that wait in it,
// so that dump must be of that moment.
const freshBefore = 100 * time.Millisecond

// fresh is how long ago that is.
func fresh() time.Time { return time.Now().Add(-freshBefore) }

// resolve names the sockets among the fds of a process, as they were at since
// or later. Those of another network namespace than ours are looked for
// there, last. After the time of h it stops where it is.
func (l *Loop) resolve(pid int, fds []procfs.FD, since time.Time, h *halt) {
	unknown := func() bool {
		return slices.ContainsFunc(fds, func(f procfs.FD) bool {
			return f.Kind == "socket" && !f.IsStandard() && !f.Resolved()
		})
	}
	for _, since := range []time.Time{since, time.Now()} {
		if !unknown() {
			return
		}
		for part := range l.sockets {
			if h.over(len(fds)) {
				return
			}
			if !procfs.NeedsSocketPart(pid, fds, part) {
				continue
			}
			var known map[uint64]sockdiag.Socket
			l.lookers.aside(func() { known = l.sockets.since(part, since) })
			procfs.Resolve(fds, known)
		}
	}
	if unknown() {
		if foreign, err := sockdiag.ListForeign(pid); err == nil {
			procfs.Resolve(fds, foreign)
		}
	}
	if unknown() {
		procfs.ResolveUnlisted(pid, fds, h.over)
	}
}
