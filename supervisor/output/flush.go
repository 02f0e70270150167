package output

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// flushTimeout is how long a destination may accept no byte at the end. It is longer than
// stallTimeout, because the rest is lost then.
const flushTimeout = 2 * stallTimeout

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
