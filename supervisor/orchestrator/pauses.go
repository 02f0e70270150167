package orchestrator

import (
	"time"

	"tp0/supervisor/config/plan"
	"tp0/supervisor/event"
)

const (
	// longPause is the length of a pause that is always reported.
	longPause = time.Second
	// pauseInterval is the least time between two reports of shorter pauses, as on a machine that
	// is overloaded.
	pauseInterval = 10 * time.Second
)

// add adds a pause. It returns the length to report; 0 reports nothing.
func (p *pauses) add(length time.Duration, now time.Time) time.Duration {
	p.length += length
	if length < longPause && now.Sub(p.reported) < pauseInterval {
		return 0
	}
	sum := p.length
	*p = pauses{reported: now}
	return sum
}

// onPauseOver reports a pause. The timeouts of children have started again.
func (o *Orchestrator) onPauseOver(m pauseOver) {
	if d := o.pauses.add(m.length, time.Now()); d > 0 {
		o.opt.Sink.Emit(event.Paused{Length: d})
	}
	if o.shutdown.phase == stopping {
		o.shareRest()
	}
}

// shareRest limits the steps of the stop sequences after a pause: the deadline of the stop includes
// the pause, and the children that are stopped later need their part of the rest.
func (o *Orchestrator) shareRest() {
	after := plan.StopsAfter(o.cfg)
	rest := max(0, time.Until(o.shutdown.at(1)))
	for _, inst := range o.instances {
		steps, n := inst.stopSequence(), inst.stop.step
		if n == 0 || n >= len(steps) || inst.timer.left == nil {
			continue
		}
		share := partOf(rest, steps[n-1].Wait, steps[n:].Length()+after[inst.child()])
		if inst.timer.left() > share {
			o.startTimer(inst, stepTimer, share)
		}
	}
}

// partOf returns the part of a time that a first wait gets, if others follow.
func partOf(d, first, others time.Duration) time.Duration {
	return time.Duration(float64(d) * float64(first) / float64(first+others))
}
