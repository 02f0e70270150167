package spawn

import (
	"errors"
	"fmt"
	"os"
	"slices"

	"golang.org/x/sys/unix"

	"tp0/supervisor/process/sigchld"
	"tp0/supervisor/procfs"
)

// UnshareTable gives the calling thread, which must be the loop's, an fd table of its own
// (CLOSE_RANGE_UNSHARE, close_range(2)). The table has the standard streams, the supervisor's end
// of the handover, the descriptors with which Go's runtime wakes its poller from any thread, and
// the eventfd of the handler of SIGCHLD, which runs on any thread: see [OpenPoller].
//
// A fork copies the table of the calling thread, and the exec of the child closes the copies one by
// one. With a thousand children, whose pipes the supervisor reads, that took longer than the rest
// of a spawn (docs/decisions/0014). A child also cannot inherit a descriptor that this thread does
// not have.
//
// UnshareTable fails before Linux 5.9, or if the descriptors cannot be listed. Then all threads
// share one table, and a spawn is slower.
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
			return fmt.Errorf("cannot create an fd table for this thread: %w", err)
		}
		how = 0 // the first call unshared the table
	}
	return nil
}

// fdRange is a range of descriptors, including first and last.
type fdRange struct{ first, last uint }

// gaps returns the ranges between and above the descriptors of keep. It sorts keep.
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

// OpenPoller makes Go's runtime open the descriptors of its poller, and opens the eventfd of
// SIGCHLD. None of them is ever closed. Call it before the fd ledger is created, so that the ledger
// finds them, and before [Handover.UnshareTable], so that the thread's own table has them. It fails
// if no pipe or eventfd can be created.
func OpenPoller() error {
	if _, err := sigchld.OpenEvents(); err != nil {
		return err
	}
	r, w, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("cannot create a pipe: %w", err)
	}
	return errors.Join(r.Close(), w.Close())
}
