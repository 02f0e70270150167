package process

import "time"

// net is how often we look for a death whose SIGCHLD was lost, while a stop is
// under way. Nothing is known to lose one; a stop must not hang if something
// does. An idle supervisor has no timer at all.
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

// soon has the loop tend at t, or before; zero: never. What makes something due says so: to
// look at every run whenever one of them moves would cost a stop of N N².
func (l *Loop) soon(t time.Time) {
	if l.due.IsZero() || !t.IsZero() && t.Before(l.due) {
		l.due = t
	}
}

// tend does what is due and says when it wants to be called again; zero:
// never.
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

func (l *Loop) arm(at time.Time) {
	if at.IsZero() {
		l.timer.Stop()
		return
	}
	l.timer.Reset(max(time.Until(at), 0))
}
