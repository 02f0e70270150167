package eventlog

import (
	"time"

	"tp0/supervisor/event"
)

// A process can cause some events as often as it likes: by sd_notify(3), by a check that it fails
// and passes, or because it renames its log file. Of these the log has a burst and then one line in
// each lineInterval. The line has the number of the lines that were left out before it.
const (
	lineBurst    = 50
	lineInterval = time.Second
	maxClasses   = 1000 // of lines; above it those that are not limited now are forgotten
)

// class is what a limit is for: the lines of one message about one child.
type class struct{ message, child, what string }

// classOf returns the class of an event. limited is false for an event that is always logged: there
// is one for each process, descriptor, signal or request of a user. How many processes there are
// limits the restart policy of a child; [maxFDLines] limits descriptors, and package output the
// lines about lost output. What a process forks is logged as often as it is reaped, because the
// totals of the last line are checked against the log.
func classOf(e event.Event) (c class, limited bool) {
	switch e.(type) {
	case event.Spawned, event.SpawnFailed, event.Ready, event.Reaped, event.OrphanReaped,
		event.DescendantEnded, event.UnexpectedEnd, event.Restarting, event.Completed, event.Failed,
		event.HookStarted, event.HookEnded, event.HookNotStarted,
		event.FDOpened, event.FDClosed, event.LedgerEntry, event.SignalSent, event.OutputDropped,
		event.Leftover, event.Fault, event.LinesLimited, event.ShutdownBegun,
		event.ShutdownComplete:
		return class{}, false
	}
	r := e.Record()
	c.message = r.Message
	for i := 1; i < len(r.Fields); i += 2 {
		value, _ := r.Fields[i].(string)
		switch r.Fields[i-1] {
		case "child":
			c.child = value
		case "what", "signal":
			c.what = value
		}
	}
	return c, true
}

// lineLimit limits the lines of each class: a token bucket of lineBurst lines. The zero value is
// ready.
type lineLimit struct {
	classes map[class]*usage
	order   []class // of the classes, oldest first
}

type usage struct {
	full    time.Time // when a whole burst is permitted again
	omitted int       // lines since the last one that was permitted
}

// permit reports whether a line may be written now, and the number of lines that were omitted since
// the last permitted one of its class.
func (l *lineLimit) permit(c class, now time.Time) (omitted int, ok bool) {
	u := l.classes[c]
	if u == nil {
		u = l.add(c, now)
	}
	if u.full.Before(now) {
		u.full = now
	}
	if u.full.Sub(now) > (lineBurst-1)*lineInterval {
		u.omitted++
		return 0, false
	}
	u.full = u.full.Add(lineInterval)
	omitted, u.omitted = u.omitted, 0
	return omitted, true
}

func (l *lineLimit) add(c class, now time.Time) *usage {
	if l.classes == nil {
		l.classes = map[class]*usage{}
	}
	if len(l.order) >= maxClasses {
		kept := l.order[:0]
		for _, old := range l.order {
			if u := l.classes[old]; u.omitted == 0 && !u.full.After(now) {
				delete(l.classes, old)
			} else {
				kept = append(kept, old)
			}
		}
		l.order = kept
	}
	u := &usage{}
	l.classes[c], l.order = u, append(l.order, c)
	return u
}

// rest returns the lines that no later line has counted, and forgets them.
func (l *lineLimit) rest() (all []event.LinesLimited) {
	for _, c := range l.order {
		if u := l.classes[c]; u.omitted > 0 {
			all = append(all, event.LinesLimited{
				Of: c.message, Child: c.child, What: c.what, Suppressed: u.omitted,
			})
			u.omitted = 0
		}
	}
	return all
}
