package process

import (
	"sync"
	"time"

	"tp0/supervisor/sockdiag"
)

// socketCache has the sockets of the supervisor's network namespace. A listing can take ten
// times as long as reading a table of descriptors. So it is done in parts, the fast ones first,
// and each listing serves all scans that waited for it.
type socketCache [sockdiag.Parts]struct {
	mu       sync.Mutex
	listedAt time.Time // start of the last listing
	known    map[uint64]sockdiag.Socket
}

// listedSince returns a part that was listed at t or later. It waits for a listing that is
// running, and makes the next one if that is older than t.
func (s *socketCache) listedSince(part int, t time.Time) map[uint64]sockdiag.Socket {
	p := &s[part]
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.listedAt.Before(t) {
		start := time.Now()
		if known, err := sockdiag.ListPart(part); err == nil || len(known) > 0 {
			p.listedAt, p.known = start, known
		}
	}
	return p.known
}

// maxSocketAge is the highest age of a listing that names the sockets before a stop. At an exit
// stop the listing has to be of that time, since it has the unread bytes.
const maxSocketAge = 100 * time.Millisecond

// recently returns the time maxSocketAge ago.
func recently() time.Time { return time.Now().Add(-maxSocketAge) }
