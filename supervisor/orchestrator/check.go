package orchestrator

import (
	"context"
	"errors"
	"fmt"
	"reflect"

	"tp0/supervisor/config"
	"tp0/supervisor/event"
	"tp0/supervisor/lifecycle"
	"tp0/supervisor/probe"
)

// checked is what a check of a run has to tell.
type checked struct {
	u     *unit
	watch context.Context // of those that were asked for together; stale if it is over
	name  string
	err   error
	fatal bool // it failed often enough
}

// check begins the checks of a run that is ready. Without one there is nothing
// that waits.
func (f *Orchestrator) check(u *unit) {
	checks := u.spec.Policy.Checks
	if len(checks) == 0 {
		return
	}
	ctx, cancel := context.WithCancel(f.ctx)
	u.stopChecks = cancel
	for i := range checks {
		c := &checks[i]
		loop := probe.Check{Probe: f.looker(u, &c.Probe), Grace: c.Grace, Interval: c.Interval, Timeout: c.Timeout, Limit: c.Limit}
		f.wg.Go(func() {
			err := loop.Run(ctx, func(err error) { f.mail.Put(checked{u, ctx, c.Name, err, false}) })
			if err != nil {
				f.mail.Put(checked{u, ctx, c.Name, err, true})
			}
		})
	}
}

func (u *unit) uncheck() {
	if u.stopChecks != nil {
		u.stopChecks()
		u.stopChecks = nil
	}
}

// recheck begins the checks anew if they changed under a run.
func (f *Orchestrator) recheck(u *unit, old []config.Check) {
	if u.stopChecks == nil && len(old) > 0 || u.state != lifecycle.Ready || reflect.DeepEqual(old, u.spec.Policy.Checks) {
		return
	}
	u.uncheck()
	f.check(u)
}

func (f *Orchestrator) checked(m checked) {
	if m.watch.Err() != nil {
		return // a stop began, or the run ended
	}
	var unable *probe.NotStartedError
	switch {
	case errors.As(m.err, &unable):
		f.opt.Sink.Emit(notProbed(m.u, m.name, unable.Err))
	case m.err == nil:
		f.opt.Sink.Emit(event.CheckPassed{Child: m.u.spec.Name, Pid: m.u.pid, Check: m.name})
	case !m.fatal:
		f.opt.Sink.Emit(event.CheckFailed{Child: m.u.spec.Name, Pid: m.u.pid, Check: m.name, Reason: m.err.Error()})
	default:
		f.fail(m.u, fmt.Sprintf("check %q %v", m.name, m.err))
	}
}

// fail stops a run that is ready and does not serve. However it ends then, that
// is a failure.
func (f *Orchestrator) fail(u *unit, reason string) {
	if u.state != lifecycle.Ready || u.goal == toEnd || f.stop.phase != running {
		return
	}
	u.why = reason
	f.opt.Sink.Emit(event.Unhealthy{Child: u.spec.Name, Pid: u.pid, Reason: reason})
	f.feed(u, lifecycle.CheckFailed)
}
