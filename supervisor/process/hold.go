package process

import (
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// holdPoll is the time between two looks at the siblings of a held thread.
	holdPoll = 500 * time.Microsecond
	// holdLimit bounds a hold: a held thread ignores even SIGKILL.
	holdLimit = 250 * time.Millisecond
	// holdGiveUp bounds it where not even one look comes to its end.
	holdGiveUp = time.Second
	// holdLooks in a row must say that a sibling lives on; see procfs.Siblings.
	holdLooks = 10
)

// hold is a stop that a thread stands in while we look: that of its exit, or
// its very first one.
type hold struct {
	tid   int
	born  bool // the first one
	since time.Time
	next  time.Time // the next look; zero: one is under way
	looks int
	lives int // of them in a row that saw a sibling live on
}

// resume ends a hold: a thread that exits does so now, one that was born runs.
func (l *Loop) resume(w *watched) {
	h := w.hold
	w.hold = nil
	switch {
	case !h.born:
		w.exiting = append(w.exiting, h.tid)
		l.letGo(h.tid)
	default:
		l.goOn(w, h.tid, 0)
	}
}

func (l *Loop) tendHold(w *watched, now time.Time) time.Time {
	h := w.hold
	if h == nil {
		return time.Time{}
	}
	if h.next.IsZero() || l.hurried() { // a look is under way, or waits for its turn
		why := "the deadline passed before the look at its exit was over"
		if !l.hurried() {
			if giveUp := h.since.Add(holdGiveUp); now.Before(giveUp) {
				return giveUp
			}
			why = fmt.Sprintf("the look at its exit took more than %v", holdGiveUp)
		}
		if !h.born {
			w.look.Proof, w.look.Reason = None, why
		}
		l.resume(w)
		return time.Time{}
	}
	if now.Before(h.next) {
		return h.next
	}
	h.next = time.Time{}
	l.lookAfter(w, now.Sub(h.since) >= holdLimit && h.looks >= holdLooks, h.lives == holdLooks-1)
	return time.Time{}
}

// looked handles what a look at a held thread saw.
func (l *Loop) looked(w *watched, h *hold, v view) {
	if w.hold != h {
		return // gone in between
	}
	h.looks++
	if v.survivor != 0 {
		h.lives++
	} else {
		h.lives = 0
	}
	if w.threadsAtEnd == 0 {
		w.threadsAtEnd = 1 + v.alive
	}
	switch {
	case v.alive == 0 || v.final:
		l.sawEnd(w, v)
	case v.execs || h.lives >= holdLooks: // only this thread ends: another one becomes the anchor
		w.glimpse = v.fds
		l.resume(w)
		l.moveAnchor(w, v.survivor)
	default:
		h.next = time.Now().Add(holdPoll)
		l.soon(h.next)
	}
}

// sawEnd takes over what a process held in its exit.
func (l *Loop) sawEnd(w *watched, v view) {
	w.look.After, w.seen = v.fds, true
	if v.comm != "" {
		w.comm = v.comm
	}
	if w.execed {
		w.look.Runtime = v.runtime
	}
	switch {
	case v.err != nil:
		w.look.Proof, w.look.Reason = None, v.err.Error()
	case v.alive > 0:
		w.look.Proof, w.look.Reason = Sampled, fmt.Sprintf("%d threads were still there %v after the first one's exit", v.alive, holdLimit)
	}
	for _, pid := range v.children {
		if child := l.found(w, pid); child != nil {
			l.lookFound(child, v.fds, func() {})
		}
	}
	l.resume(w)
	if !w.own() {
		l.ended(w)
	}
}

// moveAnchor makes another thread the anchor, after that one ended alone. It
// gets the options for it as it stops for us.
func (l *Loop) moveAnchor(w *watched, survivor int) {
	if l.tids[survivor] != w {
		return // it was made in the moment that seize left open
	}
	w.anchor = survivor
	_ = ptrace(unix.PTRACE_INTERRUPT, survivor, 0, 0)
}
