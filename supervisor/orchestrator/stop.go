package orchestrator

import (
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"tp0/supervisor/event"
	"tp0/supervisor/lifecycle"
	"tp0/supervisor/process"
)

// phase is how far the end of everything has come.
type phase uint8

const (
	running  phase = iota
	stopping       // the children walk their ladders, in reverse order
	sweeping       // what is left below us is ended
	draining       // the last output is passed on
	over
)

// stop is the end of everything.
type stop struct {
	phase    phase
	asked    int         // how often somebody asked for it
	signal   unix.Signal // that asked first, and when it arrived
	signalAt time.Time
	began    time.Time
	deadline time.Time // absolute
	timers   []*time.Timer
}

// stopEvent is a moment of the budget.
type stopEvent uint8

const (
	killAll  stopEvent = iota // what the ladders did not end is killed
	sweepNow                  // what cannot even be killed is left
)

// The reserve, 5 % of the deadline or 500 ms, is what is left for the sweep and
// the flush when the ladders took all they may. Its parts: half for the dying
// of what was killed, a quarter for the sweep, an eighth for the last output,
// the rest to flush and say so.
func (s *stop) at(reserve time.Duration, part time.Duration) time.Time {
	return s.deadline.Add(-reserve / part)
}

// begin starts the stop, once. An empty reason: a signal said it.
func (f *Orchestrator) begin(reason string) {
	if f.stop.phase != running {
		return
	}
	f.late.Store(true)
	f.books.begin()
	f.beginBudget()
	if reason != "" {
		f.opt.Sink.Emit(event.ShutdownBegun{Reason: reason, Deadline: f.cfg.Shutdown.Deadline})
	}
	f.stop.phase = stopping
	if f.loading {
		f.opt.Sink.Emit(event.ReloadIgnored{Reason: "a stop began while it was read"})
	}
	if f.reload != nil {
		f.opt.Sink.Emit(event.ReloadIgnored{Reason: "a stop began before it was fully applied"})
		f.reload = nil
	}
	for _, u := range f.units {
		u.goal = toEnd
		u.unwatch()
		f.shorten(u)
		if r := u.spec.Launch.Ready; r != nil && len(r.Exec) > 0 {
			f.unprobe(u) // no command runs beside a stop
		}
	}
}

// shorten gives an instance that is being stopped already no more than its share of the
// deadline, as those have that are stopped from now on.
func (f *Orchestrator) shorten(u *unit) {
	r, ok := u.ladder().Step(u.rung)
	if ok && u.spec.Policy.SharedTimeout && u.timer != nil && r.Wait > 0 && time.Until(u.due) > r.Wait {
		f.arm(u, rungTimer, r.Wait)
	}
}

func (f *Orchestrator) beginBudget() {
	s, reserve := &f.stop, f.cfg.Shutdown.Reserve
	s.began = time.Now()
	s.deadline = s.began.Add(f.cfg.Shutdown.Deadline)
	f.opt.Processes.SetDeadline(s.deadline)
	for what, at := range map[stopEvent]time.Time{killAll: s.at(reserve, 1), sweepNow: s.at(reserve, 2)} {
		s.timers = append(s.timers, time.AfterFunc(time.Until(at), func() { f.mail.Put(stopTimer{what}) }))
	}
}

// asked handles a request for the end: a stop, then its next rung, then its
// last.
func (f *Orchestrator) asked(m asked) {
	sig := m.sig
	if sig == 0 {
		f.begin("an internal fault")
		f.books.fault = true
		return
	}
	f.stop.asked++
	meaning := ""
	switch {
	case f.stop.asked == 1:
		f.stop.signal, f.stop.signalAt = sig, m.at
		f.judgeAllHeld()
		if f.opt.Terminal && sig == unix.SIGINT {
			meaning = "stop; again to hasten"
		}
		defer f.begin("")
	case f.stop.asked == 2:
		meaning = "again: the next rung now"
		defer f.hasten(lifecycle.Escalate)
	default:
		meaning = "again: SIGKILL now"
		defer f.hasten(lifecycle.Kill)
	}
	f.opt.Sink.Emit(event.SignalReceived{Signal: signalName(sig), Meaning: meaning})
}

func (f *Orchestrator) hasten(e lifecycle.Event) {
	f.begin("")
	if f.stop.phase == sweeping {
		f.opt.Processes.CleanUpOrphans(time.Now(), f.stop.at(f.cfg.Shutdown.Reserve, 4), event.Proof(f.cfg.Shutdown.Proof))
	}
	for _, u := range f.units {
		told := u.rung > 0
		if !told { // it still waits for what depends on it: its next rung is the first
			f.feed(u, lifecycle.Stop)
		}
		if told || e == lifecycle.Kill {
			f.feed(u, e)
		}
	}
}

func (f *Orchestrator) stopEvent(what stopEvent) {
	switch {
	case f.stop.phase != stopping:
	case what == killAll:
		f.hasten(lifecycle.Kill)
	case what == sweepNow:
		f.hasten(lifecycle.Kill) // after we stood still both are due at once, in any order
		f.startSweep()
	}
}

// startSweep ends what is left below us when no child runs any more. Nothing
// is spawned from here on.
func (f *Orchestrator) startSweep() {
	if f.stop.phase == running { // the last end is the one that ends everything
		f.books.judging(f.books.lastEnd, func() { f.begin("nothing runs and nothing is due") })
	}
	for _, u := range f.units {
		if u.state == lifecycle.Waiting || u.state == lifecycle.BackingOff {
			f.feed(u, lifecycle.Stop)
		}
	}
	f.stop.phase = sweeping
	if f.opt.LeaveOrphans {
		f.swept(process.OrphanCleanupDone{})
		return
	}
	reserve := f.cfg.Shutdown.Reserve
	f.opt.Processes.CleanUpOrphans(f.stop.at(reserve, 1), f.stop.at(reserve, 4), event.Proof(f.cfg.Shutdown.Proof))
}

func (f *Orchestrator) swept(x process.OrphanCleanupDone) {
	if f.stop.phase != sweeping {
		return
	}
	f.stop.phase = draining
	f.books.survived = len(x.Left)
	for _, p := range x.Left {
		f.opt.Sink.Emit(event.Leftover{What: "process", Number: p.Pid, Detail: fmt.Sprintf("%s, state %c", p.Comm, p.State)})
	}
	for _, t := range f.stop.timers {
		t.Stop()
	}
	f.drain()
}

// drain waits until the output of every run is passed on: to the end of its
// pipes, which somebody who survived may hold open, or until the time for it
// is over.
func (f *Orchestrator) drain() {
	relays, until := f.relays, f.stop.at(f.cfg.Shutdown.Reserve, 8)
	f.wg.Go(func() {
		late := time.NewTimer(time.Until(until))
		defer late.Stop()
		for i, r := range relays {
			select {
			case <-r.Done():
			case <-late.C:
				for _, r := range relays[i:] {
					r.Close()
					<-r.Done()
				}
				f.mail.Put(drained{})
				return
			}
		}
		f.mail.Put(drained{})
	})
}
