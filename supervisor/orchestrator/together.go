package orchestrator

import (
	"time"

	"golang.org/x/sys/unix"

	"tp0/supervisor/event"
	"tp0/supervisor/lifecycle"
	"tp0/supervisor/output"
	"tp0/supervisor/process"
)

// A service manager may send its SIGTERM to all processes of a control group at
// once (systemd.kill(5), KillMode=control-group): to us, to each child and to
// what is below it. The end of a child can then be seen before our own signal.
// An end by a signal that asks for it is therefore judged togetherWindow later,
// where it would be a failure for good; if the same signal reaches us meanwhile,
// it was the stop that ended the child.
const togetherWindow = 500 * time.Millisecond

// heldEnd is the end of a run that is not judged yet.
type heldEnd struct {
	run    process.ID
	signal unix.Signal
	at     time.Time
	words  event.UnexpectedEnd
	relay  *output.ChildOutput
	whole  bool        // nothing is left of the process tree
	timer  *time.Timer // nil: the process tree has not ended yet
}

type heldOver struct {
	u   *unit
	run process.ID
}

// askedToEnd is the signal that asked a process to end and ended it, by its
// status or as shells have it; 0: none did.
func askedToEnd(code int) unix.Signal {
	switch sig := unix.Signal(code - 128); sig {
	case unix.SIGTERM, unix.SIGINT, unix.SIGQUIT:
		return sig
	}
	return 0
}

// together reports whether a signal that ended a run at a time, and one that
// reached us, are one and the same.
func (s *stop) together(sig unix.Signal, at time.Time) bool {
	return sig != 0 && sig == s.signal && s.signalAt.Sub(at).Abs() < togetherWindow
}

// hold puts off the judgement of an end, if it must be; else it returns nil.
func (f *Orchestrator) hold(u *unit, at time.Time, words event.UnexpectedEnd) *heldEnd {
	sig := askedToEnd(u.code)
	if sig == 0 || u.goal != toRun || f.stop.phase != running || u.state == lifecycle.Unready {
		return nil
	}
	if !u.restarts.Exhausted(lifecycle.RestartPolicy(u.spec.Policy.Restart), at) {
		return nil // another run follows, and a stop is free to come before it
	}
	return &heldEnd{run: u.run, signal: sig, at: at, words: words, relay: u.relay}
}

// holdOn is called once nothing is left of the process tree.
func (f *Orchestrator) holdOn(u *unit) {
	h := u.held
	h.whole = true
	wait := time.Until(h.at.Add(togetherWindow))
	if f.stop.asked > 0 || wait <= 0 {
		f.judgeHeld(u)
		return
	}
	m := heldOver{u, h.run}
	h.timer = time.AfterFunc(wait, func() { f.mail.Put(m) })
}

func (f *Orchestrator) heldOver(m heldOver) {
	if h := m.u.held; h != nil && h.run == m.run {
		f.judgeHeld(m.u)
	}
}

// judgeAllHeld judges the ends that are held now that a signal asks for a stop.
func (f *Orchestrator) judgeAllHeld() {
	for _, u := range f.units {
		if u.held != nil && u.held.whole {
			f.judgeHeld(u)
		}
	}
}

func (f *Orchestrator) judgeHeld(u *unit) {
	h, o := u.held, u.outcome
	u.held, u.outcome = nil, nil
	if h.timer != nil {
		h.timer.Stop()
	}
	if f.stop.together(h.signal, h.at) {
		f.feed(u, lifecycle.EndedBeforeStop)
		return
	}
	f.lastWords(h.relay, h.words)
	if u.goal == toRun {
		f.books.judging(o.before, func() { f.ended(u, *o) })
		return
	}
	// Something else began a stop, or a reload replaces it. The failure came before.
	if f.stop.phase != running {
		u.failed = true
		f.opt.Sink.Emit(event.Failed{Child: u.spec.Name, Attempts: u.restarts.Count(), Reason: o.reason})
	}
	f.feed(u, lifecycle.EndedBeforeStop)
}
