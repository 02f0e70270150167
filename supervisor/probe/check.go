package probe

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"
)

// Check looks again and again whether a run that is ready still serves.
type Check struct {
	Probe    Probe
	Grace    time.Duration // before the first look
	Interval time.Duration // from the end of a look to the next, with jitter
	Timeout  time.Duration // of each look
	Limit    int           // failures in a row that are enough
}

// jitter is how far an interval strays, so that many checks do not come in step.
const jitter = 0.1

// Run looks until ctx ends, or until it failed Limit times in a row. It tells
// of each change: of the first failure, with the error, and of the end of one,
// with nil. The error is that of the last failure; nil if ctx ended. A look that
// is [NotStartedError] is told, the first one in a row, and changes nothing else.
func (c *Check) Run(ctx context.Context, changed func(error)) error {
	t := time.NewTimer(c.Grace)
	defer t.Stop()
	unable := false
	for failures := 0; ; {
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
		}
		err := c.look(ctx)
		before := unable
		var u *NotStartedError
		unable = errors.As(err, &u)
		switch {
		case ctx.Err() != nil:
			return nil // it was called off
		case unable:
			if !before {
				changed(err)
			}
		case err == nil && failures > 0:
			failures = 0
			changed(nil)
		case err != nil:
			if failures++; failures == 1 {
				changed(err)
			}
			if failures >= c.Limit {
				return fmt.Errorf("failed %s: %w", times(failures), err)
			}
		}
		t.Reset(time.Duration(float64(c.Interval) * (1 - jitter + 2*jitter*rand.Float64())))
	}
}

func (c *Check) look(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	return c.Probe(ctx)
}

func times(n int) string {
	if n == 1 {
		return "once"
	}
	return fmt.Sprintf("%d times", n)
}
