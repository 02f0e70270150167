package lifecycle

import (
	"fmt"
	"time"
)

// When to restart, as the configuration has it.
const (
	Never     = "never"
	OnFailure = "failure"
	Always    = "always"
)

// RestartPolicy is when a run that ended is followed by another.
type RestartPolicy struct {
	On       string
	Attempts int           // restarts within each Interval
	Interval time.Duration // a window that slides
	Delay    time.Duration // before the first restart in it, doubled for each further one
	MaxDelay time.Duration
}

// Decision is what the policy says to the end of a run.
type Decision struct {
	Event   Event         // EndedWell, EndedBadly or EndedAgain
	Attempt int           // for EndedAgain: which restart within the interval
	Delay   time.Duration // for EndedAgain
	Reason  string        // in words
}

// jitter is how far a delay strays, so that many children do not come back in
// step: from 80 to 120 percent of what the policy says, MaxDelay at most.
const jitter = 0.2

// RestartHistory remembers the restarts of one instance. The zero value is ready.
type RestartHistory struct{ at []time.Time }

// Decide decides what follows the end of a run at now. well says whether the
// run succeeded, reason how it ended, random is from [0, 1).
func (r *RestartHistory) Decide(p RestartPolicy, now time.Time, well bool, reason string, random float64) Decision {
	again := p.On == Always || p.On == OnFailure && !well
	switch {
	case !again && well:
		return Decision{Event: EndedWell, Reason: reason}
	case !again:
		return Decision{Event: EndedBadly, Reason: reason + "; its policy is never to restart"}
	}
	r.forget(now.Add(-p.Interval))
	n := len(r.at)
	if n >= p.Attempts {
		return Decision{Event: EndedBadly, Attempt: n,
			Reason: fmt.Sprintf("%s; it was restarted %d times within %v, and its policy allows no more", reason, n, p.Interval)}
	}
	r.at = append(r.at, now)
	delay := p.MaxDelay
	if n < 32 && p.Delay<<n>>n == p.Delay {
		delay = min(p.Delay<<n, p.MaxDelay)
	}
	delay = time.Duration(float64(delay) * (1 - jitter + 2*jitter*random))
	return Decision{Event: EndedToRestart, Attempt: n + 1, Delay: min(delay, p.MaxDelay), Reason: reason}
}

// Exhausted reports whether no other run would follow if one failed at now.
func (r *RestartHistory) Exhausted(p RestartPolicy, now time.Time) bool {
	n := 0
	for _, t := range r.at {
		if t.After(now.Add(-p.Interval)) {
			n++
		}
	}
	return p.On == Never || n >= p.Attempts
}

// Count is the number of restarts in the last interval looked at.
func (r *RestartHistory) Count() int { return len(r.at) }

func (r *RestartHistory) forget(before time.Time) {
	keep := r.at[:0]
	for _, t := range r.at {
		if t.After(before) {
			keep = append(keep, t)
		}
	}
	r.at = keep
}
