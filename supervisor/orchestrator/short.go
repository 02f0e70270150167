package orchestrator

import (
	"context"
	"errors"
	"time"

	"tp0/supervisor/event"
	"tp0/supervisor/lifecycle"
	"tp0/supervisor/limits"
	"tp0/supervisor/probe"
	"tp0/supervisor/process"
	"tp0/supervisor/process/spawn"
)

// A spawn that lacks a process, memory or a descriptor is tried again until it
// has it. That is no failure of the child: no restart attempt is counted, and
// what depends on the child waits. The delay doubles from the first to the last.
const (
	shortFirst = 50 * time.Millisecond
	shortLast  = 2 * time.Second
)

// shortage is of the spawns of an instance, since the last one that went well.
type shortage struct {
	failed int
	since  time.Time // the first of them
}

func (s *shortage) waits() bool { return s.failed > 0 }

// spawnLater has a run spawned again after a delay, if the spawn lacked
// something that comes back and the run is still wanted. It reports whether it
// does.
func (f *Orchestrator) spawnLater(u *unit, err error) bool {
	now, s := time.Now(), &u.short
	if !f.comesBack(u, err) || f.opt.ShortageTimeout > 0 && s.waits() && now.Sub(s.since) >= f.opt.ShortageTimeout {
		*s = shortage{}
		return false
	}
	if s.failed == 0 {
		s.since = now
	}
	delay := min(shortFirst<<min(s.failed, 16), shortLast)
	s.failed++
	lack := limits.ShortageOf(err)
	f.opt.Sink.Emit(event.SpawnDelayed{
		Child: u.spec.Name, Resource: lack.Resource, Limit: lack.Limit, Delay: delay, Reason: err.Error(),
	})
	u.last = lifecycle.Decision{Event: lifecycle.EndedToRestart, Delay: delay, Reason: err.Error()}
	f.feed(u, lifecycle.EndedToRestart)
	return true
}

// comesBack reports whether a run is still wanted and its spawn lacked something
// that comes back.
func (f *Orchestrator) comesBack(u *unit, err error) bool {
	if u.goal != toRun || u.state != lifecycle.Starting || f.stop.phase != running {
		return false
	}
	// What its own limits refuse the start verb never comes back.
	return limits.MeansShortage(err) && (!spawn.FromStartVerb(err) || len(u.spec.Launch.Attributes.Limits) == 0)
}

// able tells a look that failed from one that could not be made.
func able(look probe.Probe) probe.Probe {
	return func(ctx context.Context) error {
		err := look(ctx)
		if errors.Is(err, process.ErrProbeNotStarted) || limits.MeansShortage(err) {
			return &probe.NotStartedError{Err: err}
		}
		return err
	}
}

// probeAgain gives a run the time of its ready block once more if, at the end of
// that, its probe could not be made. It reports whether it does.
func (f *Orchestrator) probeAgain(u *unit, err error) bool {
	var unable *probe.NotStartedError
	if !errors.As(err, &unable) || u.goal != toRun || f.stop.phase != running {
		return false
	}
	f.opt.Sink.Emit(notProbed(u, "ready", unable.Err))
	r := u.spec.Launch.Ready
	f.probeUntil(u, r, time.Now().Add(r.Timeout))
	return true
}

func notProbed(u *unit, probe string, err error) event.ProbeSkipped {
	e := event.ProbeSkipped{Child: u.spec.Name, Pid: u.pid, Probe: probe, Reason: err.Error()}
	if limits.MeansShortage(err) {
		lack := limits.ShortageOf(err)
		e.Resource, e.Limit = lack.Resource, lack.Limit
	}
	return e
}
