package output

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// flushTimeout is how long a destination may accept no byte at the end. It is longer than
// stallTimeout, because the rest is lost then.
const flushTimeout = 2 * stallTimeout

// writerTimeout is how long endWriters waits for a write that cannot be interrupted.
const writerTimeout = 20 * time.Millisecond

// idleTimeout is how long endWriters waits for a writer that is in no write. On a machine with
// little time for the supervisor such a writer may not be scheduled for much longer than
// writerTimeout. All of its lines are written.
const idleTimeout = time.Second

// ErrWriteBlocked says that a writer did not end because its last write has not returned. Only a
// write to a stopped terminal or to a disk that hangs blocks so long.
var ErrWriteBlocked = errors.New("its write has not returned")

// Flush waits until all lines that were passed to the sinks before the call are written, or
// dropped and counted, and until the files that no child uses are closed. It gives up on a sink
// that accepts no byte for two seconds, and on all sinks when ctx ends. The error contains the
// number of bytes that were not written. The log of the supervisor is flushed first.
func (set *sinkSet) Flush(ctx context.Context) error {
	sinks := set.allSinks()
	marks := make([]uint64, len(sinks))
	for i, s := range sinks {
		marks[i] = s.mark()
	}
	var errs []error
	for i, s := range slices.Backward(sinks) {
		if left, err := flush(ctx, s, marks[i], flushTimeout); left > 0 {
			errs = append(errs, flushError(s, left, err))
		}
	}
	if len(errs) == 0 {
		errs = append(errs, set.awaitUnused(ctx))
	}
	return errors.Join(errs...)
}

func flushError(s *sink, left uint64, why error) error {
	return fmt.Errorf("cannot flush %s, %d bytes left: %w", s.dest, left, why)
}

// flush returns the number of bytes before mark that are not written, and why it gave up. It gives
// up on a sink that accepts no byte for timeout.
func flush(
	ctx context.Context, s *sink, mark uint64, timeout time.Duration,
) (uint64, error) {
	idle := time.NewTimer(timeout)
	defer idle.Stop()
	before, _ := s.left(mark) // when idle was set
	for {
		left, changed := s.left(mark)
		if left == 0 {
			return 0, nil
		}
		select {
		case <-changed:
		case <-idle.C:
			if left, _ = s.left(mark); left >= before {
				return left, errStalled
			}
			before = left
			idle.Reset(timeout)
		case <-ctx.Done():
			left, _ = s.left(mark)
			return left, ctx.Err()
		}
	}
}

// awaitUnused waits until the writers of unused files have closed them, which they do after the
// last byte.
func (set *sinkSet) awaitUnused(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, stallTimeout)
	defer cancel()
	for _, s := range set.unused() {
		select {
		case <-s.gone:
		case <-ctx.Done():
			return fmt.Errorf("cannot close %s: %w", s.dest, ctx.Err())
		}
	}
	return nil
}

func (set *sinkSet) unused() []*sink {
	set.mu.Lock()
	defer set.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(set.sinks), func(s *sink) bool {
		f := set.files[s.dest]
		return s.retire == nil || f != nil && f.sink == s && f.users > 0
	})
}

// endWriters ends the writers of sinks and waits for them: at most writerTimeout for those that are
// in a write, and then until ctx ends or idleTimeout is over for the others.
func endWriters(ctx context.Context, sinks []*sink) error {
	for _, s := range sinks {
		close(s.quit)
		if d, ok := s.to.(*descriptor); ok && d.ended >= 0 {
			// It cannot fail: the counter is 0 and is written once.
			_, _ = unix.Write(d.ended, []byte{1, 0, 0, 0, 0, 0, 0, 0})
		}
	}
	ctx, cancel := context.WithTimeout(ctx, idleTimeout)
	defer cancel()
	blocked := time.Now().Add(writerTimeout)
	var errs []error
	for _, s := range sinks {
		if !s.awaitEnd(ctx, blocked) {
			s.abandon()
			errs = append(errs,
				fmt.Errorf("cannot end the writer of %s: %w", s.dest, ErrWriteBlocked))
		}
	}
	return errors.Join(errs...)
}

// awaitEnd waits until the writer has ended, which it does once it finds that quit is closed. It
// reports false if the writer is in a write at the time blocked, or if ctx ends after that time.
func (s *sink) awaitEnd(ctx context.Context, blocked time.Time) bool {
	timer := time.NewTimer(time.Until(blocked))
	defer timer.Stop()
	select {
	case <-s.gone:
		return true
	case <-timer.C:
	}
	if s.writing.Load() {
		return s.hasEnded()
	}
	select {
	case <-s.gone:
		return true
	case <-ctx.Done():
		return s.hasEnded()
	}
}

func (s *sink) hasEnded() bool {
	select {
	case <-s.gone:
		return true
	default:
		return false
	}
}
