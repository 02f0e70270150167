package probe

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"tp0/supervisor/event"
	"tp0/supervisor/timeout"
)

// Check repeats a probe while a child runs.
type Check struct {
	Clock    *timeout.Clock
	Probe    Probe
	Grace    time.Duration // before the first attempt
	Interval time.Duration // from the end of one attempt to the next, with jitter
	Timeout  time.Duration // of one attempt
	Limit    int           // consecutive failures that fail the check
	// Count, if not nil, is called with the result of each attempt that ended before ctx. It must
	// not block.
	Count func(event.CheckResult)
}

// count calls Count.
func (c *Check) count(err error, excused bool) {
	switch {
	case c.Count == nil:
	case excused:
		c.Count(event.CheckIsExcused)
	case err != nil:
		c.Count(event.CheckIsFailed)
	default:
		c.Count(event.CheckIsPassed)
	}
}

// jitter is the largest change of an interval, as a fraction of it. It keeps checks that were
// started together from running at the same moments.
const jitter = 0.1

// maxExcused is the number of failures in a row that a pause of the supervisor can excuse. Without
// it, a machine that never has time for the supervisor would hide the failure of a child.
const maxExcused = 10

// Run repeats the probe until ctx ends or Limit consecutive attempts have failed. It returns nil
// if ctx ended, and the error of the last attempt otherwise.
//
// Run calls ended with the error of each failure, and with nil for the first success after it. A
// [NotStartedError] is passed to ended the first time in a row, and counts neither as a failure nor
// as a success. The failure of an attempt during which the supervisor was paused counts neither,
// unless the attempt used up its timeout.
func (c *Check) Run(ctx context.Context, ended func(error)) error {
	if !c.awaitGrace(ctx) {
		return nil
	}
	t := time.NewTimer(0)
	defer t.Stop()
	notStarted := false
	for failures, excused := 0, 0; ; {
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
		}
		err, paused := c.attempt(ctx)
		before := notStarted
		var e *NotStartedError
		notStarted = errors.As(err, &e)
		if paused && excused < maxExcused {
			excused++
		} else {
			paused, excused = false, 0
		}
		if ctx.Err() != nil {
			return nil
		}
		c.count(err, notStarted || paused)
		switch {
		case notStarted:
			if !before {
				ended(err)
			}
		case err == nil && failures > 0:
			failures = 0
			ended(nil)
		case err != nil && !paused:
			failures++
			ended(err)
			if failures >= c.Limit {
				return fmt.Errorf("failed %s: %w", times(failures), err)
			}
		}
		t.Reset(time.Duration(float64(c.Interval) * (1 - jitter + 2*jitter*rand.Float64())))
	}
}

// awaitGrace waits for the end of the grace. It returns false if ctx ends first.
func (c *Check) awaitGrace(ctx context.Context) bool {
	over := make(chan struct{})
	defer c.Clock.AfterFunc(c.Grace, func() { close(over) }).Stop()
	select {
	case <-over:
		return true
	case <-ctx.Done():
		return false
	}
}

// attempt runs the probe once. paused says that it failed while the supervisor was paused: a peer
// or a command may have had a timeout of its own.
func (c *Check) attempt(parent context.Context) (err error, paused bool) {
	ctx, cancel := c.Clock.WithTimeout(parent, c.Timeout)
	defer cancel()
	before := c.Clock.Paused()
	err = c.Probe(ctx)
	return err, err != nil && ctx.Err() == nil && c.Clock.Paused() > before
}

func times(n int) string {
	if n == 1 {
		return "once"
	}
	return fmt.Sprintf("%d times", n)
}
