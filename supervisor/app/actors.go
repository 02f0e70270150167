package app

import (
	"context"
	"errors"
	"time"

	oklog "github.com/oklog/run"
	"golang.org/x/sys/unix"

	"tp0/supervisor/event"
)

// runActors runs the actors until one of them ends. Only the orchestrator ends by itself. Then the
// group interrupts the others and waits for them.
func (a *app) runActors(s *signals, handle func(unix.Signal)) {
	var g oklog.Group
	g.Add(a.orchestrator.Supervise, func(error) {
		a.guard.Arm()
		a.orchestrator.Stop()
	})
	g.Add(func() error { return s.deliver(a.withoutRepeats(s, handle)) }, func(error) { s.close() })
	g.Add(a.loop.Run, func(error) { a.loop.Close() })
	if a.control != nil {
		g.Add(a.control.server.Run, func(error) { a.control.server.Close() })
	}
	if m := a.observation; m != nil {
		g.Add(m.endpoint.Run, func(error) { m.endpoint.Close() })
	}
	if a.watcher != nil {
		g.Add(a.watcher.Run, func(error) { a.watcher.Close() })
	}
	if a.serviceManager != nil {
		g.Add(a.serviceManager.Run, func(error) { a.serviceManager.Stop() })
	}
	if err := g.Run(); err != nil {
		a.fault("actors", err)
	}
}

// withoutRepeats returns a function that calls handle unless the signal is a repetition. It does
// not check the kept signals, which come first: they were checked when they arrived.
func (a *app) withoutRepeats(s *signals, handle func(unix.Signal)) func(unix.Signal) {
	kept := len(s.kept)
	return func(sig unix.Signal) {
		switch {
		case kept > 0:
			kept--
		case s.repeats.isRepeat(sig, time.Now()):
			a.Emit(event.SignalRepeated{Signal: unix.SignalName(sig), Within: repeatWindow})
			return
		}
		handle(sig)
	}
}

// alive returns an error if the process loop or the orchestrator does not respond.
func (a *app) alive(ctx context.Context) error {
	if !a.loop.Responds(ctx) {
		return errors.New("the process loop does not answer")
	}
	if dead := a.orchestrator.Health(ctx).Dead; dead != "" && ctx.Err() != nil {
		return errors.New(dead)
	}
	return nil
}
