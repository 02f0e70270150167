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
	// MaxIntervalQuick and Slow are the most that Until waits between two looks: at what
	// the kernel knows, and at what costs somebody a process.
	MaxIntervalQuick = 50 * time.Millisecond
	MaxIntervalSlow  = time.Second
)

// Until looks until it goes well. When ctx ends first, the error says what was
// seen last.
func (p Probe) Until(ctx context.Context, most time.Duration) error {
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
