package process

import "time"

// Facts are delivered some at a time: whoever takes them is woken once, and for
// a thousand ends at once does a few rounds in place of a thousand.
const (
	batchFacts = 256
	batchTime  = 500 * time.Microsecond
)

// outbox has the facts that are not delivered yet.
type outbox struct {
	facts   []Fact
	factsAt time.Time // when the first of them came
}

// report delivers a fact, soon.
func (l *Loop) report(f Fact) {
	now := time.Now()
	if len(l.facts) == 0 {
		l.factsAt = now
	}
	l.facts = append(l.facts, f)
	if len(l.facts) >= batchFacts || now.Sub(l.factsAt) >= batchTime {
		l.flush()
	}
}

// flush delivers what was told.
func (l *Loop) flush() {
	if len(l.facts) > 0 {
		facts := l.facts
		l.facts = nil
		l.opt.Deliver(facts)
	}
}
