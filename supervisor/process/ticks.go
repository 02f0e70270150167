package process

import "time"

// net is how often the loop reaps without a SIGCHLD while a stop is under way. Nothing is
// known to lose a SIGCHLD, but a stop must not hang if something does. An idle supervisor
// has no timer.
const net = 100 * time.Millisecond

// ticks are what the loop does by the time alone.
type ticks struct {
	due   time.Time // when the next tick is due; zero: never
	timer *time.Timer
}

func newTicks() ticks {
	t := ticks{timer: time.NewTimer(time.Hour)}
	t.timer.Stop()
	return t
}

// soon arms the next tick for t at the latest. A zero t does nothing. Whatever makes
// something due calls it: to ask every run at each event would make the cost of a stop of
// N runs N².
func (l *Loop) soon(t time.Time) {
	if l.due.IsZero() || !t.IsZero() && t.Before(l.due) {
		l.due = t
	}
}

// tend does what is due, and returns the time of the next tick; zero: none is needed.
func (l *Loop) tend(now time.Time) time.Time {
	var next time.Time
	due := func(t time.Time) {
		if !t.IsZero() && (next.IsZero() || t.Before(next)) {
			next = t
		}
	}
	for _, r := range l.runs {
		if !r.stop.begun() {
			continue
		}
		due(now.Add(net))
		due(l.tendTree(r, now))
		due(l.tendDelivery(r, now))
		l.continueDue(r)
	}
	for _, w := range l.watches {
		due(l.tendWatched(w, now))
	}
	if l.sweep != nil {
		due(l.tendSweep(now))
	}
	return next
}

// arm sets the timer; a zero time stops it.
func (l *Loop) arm(at time.Time) {
	if at.IsZero() {
		l.timer.Stop()
		return
	}
	l.timer.Reset(max(time.Until(at), 0))
}
