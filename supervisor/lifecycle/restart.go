package lifecycle

import (
	"fmt"
	"time"

	"tp0/supervisor/termtext"
)

// The values of "on" in a restart block.
const (
	Never     = "never"
	OnFailure = "failure"
	Always    = "always"
)

// RestartPolicy says when a process that ended is followed by another one.
type RestartPolicy struct {
	On       string        // Never, OnFailure or Always
	Attempts int           // restarts within each Interval
	Interval time.Duration // sliding window
	Delay    time.Duration // before the first restart in Interval; doubled for each further one
	MaxDelay time.Duration
}

// Decision is the answer of the policy to the end of a process.
type Decision struct {
	Event   Event         // EndedWell, EndedBadly or EndedToRestart
	Attempt int           // of EndedToRestart: number of the restart within Interval
	Delay   time.Duration // of EndedToRestart
	Reason  string        // how the process ended, and why no restart follows
}

// jitter is the largest relative change of a delay, so that many children do not restart at the
// same moment: a delay is 80 to 120 percent of what the policy says, MaxDelay at most.
const jitter = 0.2

// RestartHistory holds the times of the restarts of one instance. The zero value is ready to use.
type RestartHistory struct{ at []time.Time }

// Decide returns what follows the end of a process at now, and records the restart if one follows.
// success says whether the process succeeded, reason how it ended, random is from [0, 1).
func (h *RestartHistory) Decide(
	p RestartPolicy, now time.Time, success bool, reason string, random float64,
) Decision {
	restart := p.On == Always || p.On == OnFailure && !success
	switch {
	case !restart && success:
		return Decision{Event: EndedWell, Reason: reason}
	case !restart:
		return Decision{Event: EndedBadly, Reason: reason + "; its restart policy is never"}
	}
	h.forget(now.Add(-p.Interval))
	n := len(h.at)
	if p.Attempts == 0 {
		return Decision{Event: EndedBadly, Reason: reason + "; its restart policy has 0 attempts"}
	}
	if n >= p.Attempts {
		return Decision{Event: EndedBadly, Attempt: n, Reason: fmt.Sprintf(
			"%s; it was restarted %s within %v, the limit of its restart policy",
			reason, termtext.Count(n, "time", "times"), p.Interval)}
	}
	h.at = append(h.at, now)
	delay := p.MaxDelay
	if n < 32 && p.Delay<<n>>n == p.Delay { // no overflow
		delay = min(p.Delay<<n, p.MaxDelay)
	}
	delay = time.Duration(float64(delay) * (1 - jitter + 2*jitter*random))
	delay = min(delay, p.MaxDelay)
	return Decision{Event: EndedToRestart, Attempt: n + 1, Delay: delay, Reason: reason}
}

// Exhausted reports whether no restart would follow a failure at now.
func (h *RestartHistory) Exhausted(p RestartPolicy, now time.Time) bool {
	n := 0
	for _, t := range h.at {
		if t.After(now.Add(-p.Interval)) {
			n++
		}
	}
	return p.On == Never || n >= p.Attempts
}

// Count returns the number of restarts within the interval before the last Decide.
func (h *RestartHistory) Count() int { return len(h.at) }

func (h *RestartHistory) forget(before time.Time) {
	keep := h.at[:0]
	for _, t := range h.at {
		if t.After(before) {
			keep = append(keep, t)
		}
	}
	h.at = keep
}
