package orchestrator

import (
	"fmt"
	"strings"
	"time"

	"tp0/supervisor/event"
	"tp0/supervisor/process"
)

// A run is looked at a moment after it is ready, which is what is known of it
// if it crashes; and while its stop takes long, to say why. And it may have to be
// told of a reload once it can hear it.
type moment uint8

const (
	glanceMoment moment = iota
	slowMoment
	reloadMoment
)

const (
	glanceAfter = time.Second           // of ready: a program without a ready block has no handlers yet at its exec
	slowAfter   = time.Second           // of the first signal
	slowBefore  = 20 * time.Millisecond // the end of a rung: after it there may be nothing to look at
)

type lookNow struct {
	u    *unit
	run  process.ID
	what moment
}

// later has a run looked at, unless it ends first.
func (f *Orchestrator) later(u *unit, d time.Duration, what moment) {
	m := lookNow{u, u.run, what}
	u.moments = append(u.moments, time.AfterFunc(d, func() { f.mail.Put(m) }))
}

func (u *unit) forget() {
	for _, t := range u.moments {
		t.Stop()
	}
	u.moments, u.known = nil, nil
}

// watchSlow has a run looked at that takes long for the rung which it is on.
func (f *Orchestrator) watchSlow(u *unit, wait time.Duration) {
	if u.rung == 1 && wait > slowAfter+slowBefore {
		f.later(u, slowAfter, slowMoment)
	}
	f.later(u, max(wait-slowBefore, wait/2), slowMoment)
}

func (f *Orchestrator) lookNow(m lookNow) {
	u := m.u
	if u.run != m.run || !u.state.HasProcess() {
		return
	}
	switch m.what {
	case glanceMoment:
		f.opt.Processes.Inspect(u.run, u.spec.Policy.KillSignal)
	case reloadMoment:
		f.tellReload(u)
	case slowMoment:
		if r, ok := u.ladder().Step(u.rung); ok {
			f.opt.Processes.Diagnose(u.run, r.Signal)
		}
	}
}

// glanced keeps what is known of a run, and warns once of a signal that will
// not stop it, or not gracefully.
func (f *Orchestrator) glanced(x process.Inspected) {
	u := f.runs[x.Process]
	u.known = &x
	if x.Disposition == u.unheard {
		return
	}
	u.unheard = x.Disposition
	if x.Disposition == "ignored" || x.Disposition == "default" {
		f.opt.Sink.Emit(event.SignalNotHandled{Child: u.spec.Name, Pid: x.Pid, Signal: signalName(u.spec.Policy.KillSignal), Disposition: x.Disposition})
	}
}

func (f *Orchestrator) diagnosed(x process.Diagnosed) {
	u := f.runs[x.Process]
	rung := u.rung
	if r, ok := u.ladder().Step(rung - 1); ok && r.Signal == x.Signal {
		rung-- // it climbed while we looked
	}
	f.opt.Sink.Emit(event.SlowStop{
		Child: u.spec.Name, Pid: x.Pid, Stop: time.Since(u.stopped), Step: rung, Signal: signalName(x.Signal),
		Disposition: x.Disposition, CPU: x.CPU, Threads: x.Threads,
	})
}

// mostKnown bounds how many descriptors are named of a run that crashed.
const mostKnown = 8

// lastKnown says what is known of the descriptors of a run that ended by
// itself.
func (u *unit) lastKnown() string {
	if u.known == nil {
		return ""
	}
	var words []string
	n := 0
	for _, fd := range u.known.FDs {
		if fd.IsStandard() {
			continue
		}
		if n++; n <= mostKnown {
			words = append(words, fmt.Sprintf("%d %s", fd.Num, fd.Target))
		}
	}
	if n > mostKnown {
		words = append(words, fmt.Sprintf("and %d more", n-mostKnown))
	}
	noun := "descriptors"
	if n == 1 {
		noun = "descriptor"
	}
	return fmt.Sprintf("%d %s, %v before: %s", n, noun, time.Since(u.known.At).Round(time.Millisecond), strings.Join(words, ", "))
}
