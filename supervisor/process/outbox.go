package process

import "time"

// Facts are delivered in batches: the receiver is woken once for each batch, not a
// thousand times for a thousand ends.
const (
	batchFacts = 256
	batchTime  = 500 * time.Microsecond
)

// outbox has the facts that are not delivered yet.
type outbox struct {
	facts   []Fact
	factsAt time.Time // when the first of them came
}

// report has a fact delivered with the present batch.
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

// flush delivers the present batch.
func (l *Loop) flush() {
	if len(l.facts) > 0 {
		facts := l.facts
		l.facts = nil
		l.opt.Deliver(facts)
	}
}
