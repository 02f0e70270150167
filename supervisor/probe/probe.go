// Package probe finds out whether a run serves.
package probe

import (
	"context"
	"time"
)

// Probe looks once whether a run serves: nil if it does, else why not. It ends
// when its context does.
type Probe func(context.Context) error

const (
	firstWait = time.Millisecond // doubled after each look
	// MaxPollInterval and Slow are the most that Until waits between two looks: at what
	// the kernel knows, and at what costs somebody a process.
	MaxPollInterval     = 50 * time.Millisecond
	MaxPollIntervalExec = time.Second
)

// Poll looks until it goes well. When ctx ends first, the error says what was
// seen last.
func (p Probe) Poll(ctx context.Context, most time.Duration) error {
	var seen error
	for wait := firstWait; ; wait = min(2*wait, most) {
		err := p(ctx)
		if err == nil {
			return nil
		}
		if seen == nil || ctx.Err() == nil { // else it was cut short, and says no more than that
			seen = err
		}
		select {
		case <-ctx.Done():
			return seen
		case <-time.After(wait):
		}
	}
}

// NotStartedError is the error of a look that could not be made: what it lacked is the
// supervisor's or the machine's, and nothing is known of the run.
type NotStartedError struct{ Err error }

func (u *NotStartedError) Error() string {
	return "the probe could not be started: " +
		u.Err.Error()
}

// Unwrap returns what the look lacked.
func (u *NotStartedError) Unwrap() error { return u.Err }
