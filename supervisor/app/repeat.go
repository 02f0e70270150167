package app

import (
	"time"

	"golang.org/x/sys/unix"

	"tp0/supervisor/event"
)

// repeatWindow is within what time of a request an equal one is the same
// request. timeout(1) signals a process and then its group, a terminal the whole
// foreground group, and wrappers pass on what they got: we get it twice.
const repeatWindow = 500 * time.Millisecond

// repeats knows the last request that ends something. It is not the time at
// which a request is done that counts, but that at which it arrives.
type repeats struct {
	last unix.Signal
	at   time.Time
}

// is reports whether a signal that arrived at now is the request before it once
// more. A repetition does not begin the window again: who asks every 400 ms
// still escalates.
func (r *repeats) is(sig unix.Signal, now time.Time) bool {
	if !ends(sig) {
		return false
	}
	if sig == r.last && now.Sub(r.at) < repeatWindow {
		return true
	}
	r.last, r.at = sig, now
	return false
}

// once makes of take one that is not called for a repetition. The signals that
// were kept have been compared as they arrived.
func (h *house) once(s *signals, take func(unix.Signal)) func(unix.Signal) {
	kept := len(s.early)
	return func(sig unix.Signal) {
		switch {
		case kept > 0:
			kept--
		case s.repeats.is(sig, time.Now()):
			h.Emit(event.SignalRepeated{Signal: unix.SignalName(sig), Within: repeatWindow})
			return
		}
		take(sig)
	}
}
