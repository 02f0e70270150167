// Package probe checks whether a child serves: by a TCP or HTTP request, or by a line of its
// output. [Probe.Poll] waits until a child is ready; [Check] watches a child that is ready.
package probe

import (
	"context"
	"time"
)

// Probe checks once whether a child serves. It returns nil if the child serves and the reason
// otherwise. It returns when its context ends.
type Probe func(context.Context) error

const firstPollInterval = time.Millisecond // doubled after each attempt

// The longest interval between two attempts of [Probe.Poll].
const (
	MaxPollInterval     = 50 * time.Millisecond // for a probe that reads kernel data or connects
	MaxPollIntervalExec = time.Second           // for a probe that starts a process
)

// Poll repeats the probe until it succeeds. If ctx ends first, Poll returns the last error that
// is not the result of the end of ctx.
func (p Probe) Poll(ctx context.Context, maxInterval time.Duration) error {
	var last error
	for wait := firstPollInterval; ; wait = min(2*wait, maxInterval) {
		err := p(ctx)
		if err == nil {
			return nil
		}
		if last == nil || ctx.Err() == nil {
			last = err
		}
		select {
		case <-ctx.Done():
			return last
		case <-time.After(wait):
		}
	}
}

// NotStartedError is the error of a probe that could not be started, for example because no
// process could be created. It says nothing about the child.
type NotStartedError struct{ Err error }

func (e *NotStartedError) Error() string {
	return "the probe could not be started: " + e.Err.Error()
}

// Unwrap returns the reason.
func (e *NotStartedError) Unwrap() error { return e.Err }
