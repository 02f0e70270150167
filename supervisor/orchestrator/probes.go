package orchestrator

import (
	"context"
	"errors"
	"os"
	"reflect"
	"time"

	"tp0/supervisor/config"
	"tp0/supervisor/event"
	"tp0/supervisor/limits"
	"tp0/supervisor/probe"
	"tp0/supervisor/process"
	"tp0/supervisor/process/spawn"
)

type (
	// probeDone is the result of the probe of a ready block.
	probeDone struct {
		inst    *instance
		process process.ID
		err     error
	}
	// checkDone is the result of a check.
	checkDone struct {
		inst  *instance
		ctx   context.Context // of the checks of the process; the result is stale if it is done
		name  string
		err   error
		fatal bool // the check failed as often in a row as its limit says
	}
	watchdogFired struct {
		inst    *instance
		process process.ID
	}
)

// runProbe runs the probe of the ready block until it succeeds or the time is over.
func (o *Orchestrator) runProbe(inst *instance, r *config.Ready) {
	ctx, cancel := o.clock.WithTimeout(o.ctx, r.Timeout)
	inst.health.cancelProbe = cancel
	wait, id := o.readyProbe(inst, r), inst.process.id
	o.wg.Go(func() {
		defer cancel()
		o.mail.Put(probeDone{inst, id, wait(ctx)})
	})
}

// readyProbe returns a function that waits until the process is ready.
func (o *Orchestrator) readyProbe(inst *instance, r *config.Ready) func(context.Context) error {
	if inst.health.line != nil {
		return inst.health.line.Wait
	}
	p, maxInterval := o.newProbe(inst, &r.Probe), probe.MaxPollInterval
	if len(r.Exec) > 0 {
		maxInterval = probe.MaxPollIntervalExec
	}
	return func(ctx context.Context) error { return p.Poll(ctx, maxInterval) }
}

// newProbe returns a probe of the present process.
func (o *Orchestrator) newProbe(inst *instance, p *config.Probe) probe.Probe {
	switch {
	case p.HTTP != "":
		return markNotStarted(probe.HTTP(p.HTTP))
	case len(p.Exec) > 0:
		l, s := &inst.spec.Launch, o.opt.ProcessDefaults.Spec
		s.Name, s.Path, s.Argv, s.Env, s.Dir = inst.spec.Name, p.ExecPath, p.Exec, l.Env, l.Dir
		s.Attributes, s.LateEnv = spawn.Attributes(l.Attributes), l.LateEnv
		return markNotStarted(func(ctx context.Context) error {
			resolved, err := s.Resolve()
			if err != nil {
				return err
			}
			return o.opt.Processes.RunProbe(ctx, resolved)
		})
	}
	c := probe.Child{Pid: inst.process.pid, UID: uint32(os.Geteuid())}
	if uid := inst.spec.Launch.Attributes.UID; uid != nil {
		c.UID = *uid
	}
	return markNotStarted(probe.TCP(p.TCP, c))
}

// markNotStarted wraps the error of a probe that could not be started for lack of a resource: that
// says nothing about the health of the process.
func markNotStarted(p probe.Probe) probe.Probe {
	return func(ctx context.Context) error {
		err := p(ctx)
		if errors.Is(err, process.ErrProbeNotStarted) || limits.MeansShortage(err) {
			return &probe.NotStartedError{Err: err}
		}
		return err
	}
}

func probeSkipped(inst *instance, probe string, err error) event.ProbeSkipped {
	e := event.ProbeSkipped{
		Child: inst.spec.Name, Pid: inst.process.pid, Probe: probe, Reason: err.Error(),
	}
	if limits.MeansShortage(err) {
		lack := limits.ShortageOf(err)
		e.Resource, e.Limit = lack.Resource, lack.Limit
	}
	return e
}

func (inst *instance) cancelProbe() {
	if inst.health.cancelProbe != nil {
		inst.health.cancelProbe()
		inst.health.cancelProbe = nil
	}
}

// startMonitoring starts the checks, the watchdog and the watch_fds of a process that is ready.
func (o *Orchestrator) startMonitoring(inst *instance) {
	o.startChecks(inst)
	o.startWatchdog(inst)
	o.startFDWatch(inst)
}

// startChecks starts the checks of a process that is ready.
func (o *Orchestrator) startChecks(inst *instance) {
	checks := inst.spec.Policy.Checks
	if len(checks) == 0 {
		return
	}
	ctx, cancel := context.WithCancel(o.ctx)
	inst.health.cancelChecks, inst.health.checks = cancel, nil
	for i := range checks {
		c := &checks[i]
		check := probe.Check{
			Clock: o.clock, Probe: o.newProbe(inst, &c.Probe),
			Grace: c.Grace, Interval: c.Interval, Timeout: c.Timeout, Limit: c.Limit,
		}
		if o.opt.CountCheck != nil {
			name := inst.spec.Name
			check.Count = func(r event.CheckResult) { o.opt.CountCheck(name, c.Name, r) }
		}
		report := func(err error) { o.mail.Put(checkDone{inst, ctx, c.Name, err, false}) }
		o.wg.Go(func() {
			if err := check.Run(ctx, report); err != nil {
				o.mail.Put(checkDone{inst, ctx, c.Name, err, true})
			}
		})
	}
}

func (inst *instance) cancelChecks() {
	if inst.health.cancelChecks != nil {
		inst.health.cancelChecks()
		inst.health.cancelChecks = nil
	}
}

// restartChecks restarts the checks of a process if a reload changed them.
func (o *Orchestrator) restartChecks(inst *instance, old []config.Check) {
	off := inst.health.cancelChecks == nil && len(old) > 0
	if off || !inst.serves() || reflect.DeepEqual(old, inst.spec.Policy.Checks) {
		return
	}
	inst.cancelChecks()
	o.startChecks(inst)
}

// watchdogInterval returns the longest time between two WATCHDOG=1; 0 disables the watchdog.
func (inst *instance) watchdogInterval() time.Duration {
	switch r := inst.spec.Launch.Ready; {
	case inst.notified.interval != nil:
		return *inst.notified.interval
	case r != nil:
		return r.Watchdog
	}
	return 0
}

// startWatchdog starts the watchdog of a process that is ready.
func (o *Orchestrator) startWatchdog(inst *instance) {
	interval := inst.watchdogInterval()
	if interval == 0 {
		return
	}
	m := watchdogFired{inst, inst.process.id}
	inst.notified.watchdog = o.clock.Watchdog(interval, func() { o.mail.Put(m) })
}

// stopMonitoring stops what startMonitoring started.
func (inst *instance) stopMonitoring() {
	inst.cancelChecks()
	inst.stopWatchdog()
	inst.stopFDWatch()
}

func (inst *instance) stopWatchdog() {
	if inst.notified.watchdog != nil {
		inst.notified.watchdog.Stop()
		inst.notified.watchdog = nil
	}
}
