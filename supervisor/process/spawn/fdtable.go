package spawn

import (
	"errors"
	"fmt"
	"os"
	"slices"

	"golang.org/x/sys/unix"

	"tp0/supervisor/procfs"
)

// UnshareTable gives the calling thread, which must be the loop's, its own table
// of descriptors (CLOSE_RANGE_UNSHARE, close_range(2)). The table holds the
// standard streams, our end of the handover, and what Go's runtime needs to wake
// its poller from any thread: see [OpenPoller].
//
// A fork copies the table of the thread that calls it, and the child's exec
// closes the copies one by one. With a thousand children, whose pipes we read,
// that was more work than the rest of a spawn (docs/decisions/0014). A child also
// cannot inherit what this thread does not have.
//
// An error says that the kernel cannot do it (before Linux 5.9), or that our
// descriptors cannot be listed. Then all threads share one table: everything
// works as well, and a spawn is slower.
func (h *Handover) UnshareTable() error {
	own, err := procfs.OwnFDs()
	if err != nil {
		return fmt.Errorf("cannot list our own descriptors: %w", err)
	}
	keep := []uint{0, 1, 2, uint(h.out)}
	for _, f := range own {
		if f.Kind == "epoll" || f.Kind == "eventfd" {
			keep = append(keep, uint(f.Num))
		}
	}
	how := uint(unix.CLOSE_RANGE_UNSHARE)
	for _, gap := range gaps(keep) {
		if err := unix.CloseRange(gap.first, gap.last, how); err != nil {
			return fmt.Errorf("cannot make a table of descriptors for this thread: %w", err)
		}
		how = 0 // from now on the table is this thread's own
	}
	return nil
}

// fdRange is the descriptors from first to last, both included.
type fdRange struct{ first, last uint }

// gaps returns the ranges above the lowest descriptor of keep that keep does not
// cover. keep is sorted in place.
func gaps(keep []uint) (all []fdRange) {
	slices.Sort(keep)
	for i, fd := range keep {
		last := ^uint(0)
		if i+1 < len(keep) {
			last = keep[i+1] - 1
		}
		if fd < last {
			all = append(all, fdRange{fd + 1, last})
		}
	}
	return all
}

// OpenPoller makes Go's runtime open the descriptors of its poller. Call it
// before the ledger begins, so that the ledger finds them, and before
// [Handover.UnshareTable], so that the thread's own table has them. An error says
// that no pipe could be made.
func OpenPoller() error {
	r, w, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("cannot make a pipe: %w", err)
	}
	return errors.Join(r.Close(), w.Close())
}
