package probe

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"
)

// Check repeats a probe while a child runs.
type Check struct {
	Probe    Probe
	Grace    time.Duration // before the first attempt
	Interval time.Duration // from the end of one attempt to the next, with jitter
	Timeout  time.Duration // of one attempt
	Limit    int           // consecutive failures that fail the check
}

// jitter is the largest change of an interval, as a fraction of it. It keeps checks that were
// started together from running at the same moments.
const jitter = 0.1

// Run repeats the probe until ctx ends or Limit consecutive attempts have failed. It returns nil
// if ctx ended, and the error of the last attempt otherwise.
//
// Run calls changed with the error of the first failure in a row, and with nil for the first
// success after it. A [NotStartedError] is passed to changed the first time in a row, and
// counts neither as a failure nor as a success.
func (c *Check) Run(ctx context.Context, changed func(error)) error {
	t := time.NewTimer(c.Grace)
	defer t.Stop()
	notStarted := false
	for failures := 0; ; {
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
		}
		err := c.attempt(ctx)
		before := notStarted
		var e *NotStartedError
		notStarted = errors.As(err, &e)
		switch {
		case ctx.Err() != nil:
			return nil
		case notStarted:
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

func (c *Check) attempt(ctx context.Context) error {
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
